/* SPDX-License-Identifier: Apache-2.0 */
/* Growing strings, lists of strings, and numbers from text. A failed allocation is reported, never
 * fatal. */
#include "base/str.h"
#include <stdarg.h>
#include <stdio.h>

bool has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);
	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

char *str_lower(char *s)
{
	for (char *c = s; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	return s;
}

/* Makes room for n more bytes and a NUL. */
static bool strbuf_room(struct strbuf *buf, size_t n)
{
	if (buf->failed)
		return false;
	char *grown = NULL;
	if (n < SIZE_MAX - buf->len - 1)
		grown = grow_array(buf->data, &buf->capacity, buf->len + n + 1, 1);
	if (!grown) {
		buf->failed = true;
		return false;
	}
	buf->data = grown;
	return true;
}

void strbuf_add(struct strbuf *buf, const void *data, size_t n)
{
	if (!strbuf_room(buf, n))
		return;
	if (n)
		memcpy(buf->data + buf->len, data, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
}

char *strbuf_extend(struct strbuf *buf, size_t n)
{
	if (!strbuf_room(buf, n))
		return NULL;
	char *fresh = buf->data + buf->len;
	buf->len += n;
	buf->data[buf->len] = '\0';
	return fresh;
}

void strbuf_adds(struct strbuf *buf, const char *s)
{
	strbuf_add(buf, s, strlen(s));
}

void strbuf_addc(struct strbuf *buf, char c)
{
	strbuf_add(buf, &c, 1);
}

static void strbuf_addv(struct strbuf *buf, const char *format, va_list args)
{
	if (!strbuf_room(buf, 0))
		return;
	size_t room = buf->capacity - buf->len;
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(buf->data + buf->len, room, format, again);
	va_end(again);
	if (n < 0)
		buf->failed = true;
	if (n < 0 || !strbuf_room(buf, (size_t)n))
		return;
	if ((size_t)n >= room)
		(void)vsnprintf(buf->data + buf->len, (size_t)n + 1, format, args);
	buf->len += (size_t)n;
}

void strbuf_addf(struct strbuf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	strbuf_addv(buf, format, args);
	va_end(args);
}

void strbuf_reset(struct strbuf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

char *strbuf_steal(struct strbuf *buf)
{
	strbuf_add(buf, "", 0); /* at least a NUL */
	char *result = buf->failed ? NULL : steal_ptr(&buf->data);
	strbuf_free(buf);
	return result;
}

const char *strbuf_str(const struct strbuf *buf)
{
	return buf->data ? buf->data : "";
}

void strbuf_free(struct strbuf *buf)
{
	free(buf->data);
	*buf = (struct strbuf){0};
}

const char *number_text(int64_t n, char room[NUMBER_TEXT_MAX])
{
	char *p = room + NUMBER_TEXT_MAX - 1;
	uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
	*p = '\0';
	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (n < 0)
		*--p = '-';
	return p;
}

char *str_printf(const char *format, ...)
{
	struct strbuf buf = {0};
	va_list args;
	va_start(args, format);
	strbuf_addv(&buf, format, args);
	va_end(args);
	return strbuf_steal(&buf);
}

char *str_join_strings(const char *first, ...)
{
	struct strbuf buf = {0};
	va_list args;
	va_start(args, first);
	for (const char *s = first; s; s = va_arg(args, const char *))
		strbuf_adds(&buf, s);
	va_end(args);
	return strbuf_steal(&buf);
}

bool strv_take(struct strv *v, char *s)
{
	char **grown = s ? grow_array(v->items, &v->capacity, v->len + 2, sizeof(char *)) : NULL;
	if (!grown) {
		free(s);
		return false;
	}
	v->items = grown;
	v->items[v->len++] = s;
	v->items[v->len] = NULL;
	return true;
}

bool strv_add(struct strv *v, const char *s)
{
	return strv_take(v, strdup(s));
}

bool strv_addn(struct strv *v, const char *s, size_t n)
{
	return strv_take(v, strndup(s, n));
}

bool strv_contains(const struct strv *v, const char *s)
{
	for (size_t i = 0; i < v->len; i++) {
		if (streq(v->items[i], s))
			return true;
	}
	return false;
}

bool strv_copy(struct strv *to, const struct strv *from)
{
	for (size_t i = 0; i < from->len; i++) {
		if (!strv_add(to, from->items[i])) {
			strv_free(to);
			return false;
		}
	}
	return true;
}

bool strv_split(struct strv *v, const char *s, char separator)
{
	for (;;) {
		const char *end = strchrnul(s, separator);
		if (!strv_addn(v, s, (size_t)(end - s)))
			return false;
		if (!*end)
			return true;
		s = end + 1;
	}
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->len > 1)
		qsort(v->items, v->len, sizeof(char *), compare_strings);
}

void strv_free(struct strv *v)
{
	for (size_t i = 0; i < v->len; i++)
		free(v->items[i]);
	free(v->items);
	*v = (struct strv){0};
}

bool parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	if (!*s)
		return false;
	uint64_t value = 0;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		uint64_t digit = (uint64_t)(*s - '0');
		if (digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}

char *utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

size_t utf8_length(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char lowest = 0x80, highest = 0xbf;
	size_t len;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		len = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		len = 3;
		if (p[0] == 0xe0)
			lowest = 0xa0;
		if (p[0] == 0xed)
			highest = 0x9f; /* no surrogates */
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		len = 4;
		if (p[0] == 0xf0)
			lowest = 0x90;
		if (p[0] == 0xf4)
			highest = 0x8f;
	} else {
		return 0;
	}
	if (n < len || p[1] < lowest || p[1] > highest)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return len;
}

bool utf8_valid(const char *text, size_t n)
{
	for (size_t at = 0, len; at < n; at += len) {
		len = utf8_length(text + at, n - at);
		if (!len)
			return false;
	}
	return true;
}
