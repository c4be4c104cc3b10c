/* SPDX-License-Identifier: Apache-2.0 */
/* Escapes in strings of JSON. */
#include "base/json_escape.h"
#include "base/str.h"
#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits, or -1. */
static int hex4(const char *p, const char *end)
{
	if (end - p < 4)
		return -1;
	int value = 0;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value(p[i]);
		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

size_t json_escape_length(const char *p, const char *end)
{
	if (end - p < 2)
		return 0;
	if (p[1] == 'u')
		return hex4(p + 2, end) >= 0 ? 6 : 0;
	return p[1] && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
}

/* The character of the \u escape at p, which was checked before. A surrogate pair is two escapes;
 * half a pair alone is U+FFFD. */
static uint32_t decode_unicode(const char **p, const char *end)
{
	uint32_t c = (uint32_t)hex4(*p + 2, end);
	*p += 6;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		uint32_t low = (uint32_t)hex4(*p + 2, end);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*p += 6;
			return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return 0xfffd;
}

static char *decode_escape(char *to, const char **p, const char *end)
{
	char c = (*p)[1];
	if (c == 'u')
		return utf8_put(to, decode_unicode(p, end));
	*p += 2;
	switch (c) {
	case 'b': c = '\b'; break;
	case 'f': c = '\f'; break;
	case 'n': c = '\n'; break;
	case 'r': c = '\r'; break;
	case 't': c = '\t'; break;
	default: break;
	}
	*to++ = c;
	return to;
}

size_t json_unescape(const char *p, size_t len, char *to)
{
	const char *start = to, *end = p + len;
	while (p < end) {
		const char *run = memchr(p, '\\', (size_t)(end - p));
		size_t n = (size_t)((run ? run : end) - p);
		memcpy(to, p, n);
		to += n;
		p += n;
		if (run)
			to = decode_escape(to, &p, end);
	}
	return (size_t)(to - start);
}
