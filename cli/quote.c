/* SPDX-License-Identifier: Apache-2.0 */
/* Go's %q, in which file names and log messages are shown. */
#include "command.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* What the C library may call printable and Go does not: spaces other than ' ', format characters,
 * private use. */
static bool is_hidden(uint32_t point)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
	        {0x80, 0xa0},        {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
	        {0x6dd, 0x6dd},      {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},
	        {0x1680, 0x1680},    {0x180e, 0x180e},   {0x2000, 0x200f},   {0x2028, 0x202f},
	        {0x205f, 0x206f},    {0x3000, 0x3000},   {0xd800, 0xf8ff},   {0xfeff, 0xfeff},
	        {0xfff0, 0xfffb},    {0xfffe, 0xffff},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
	        {0x13430, 0x1343f},  {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe00ff},
	        {0xf0000, 0x10ffff},
	};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (point >= ranges[i].first && point <= ranges[i].last)
			return true;
	return false;
}

static bool is_printable(uint32_t point)
{
	static locale_t utf8; /* made at the first character beyond ASCII: most runs see none */
	if (point < 0x80)
		return point >= 0x20 && point != 0x7f;
	if (is_hidden(point))
		return false;
	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	return !utf8 || iswprint_l((wint_t)point, utf8);
}

size_t utf8_decode(const char *text, size_t left, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char lead = (unsigned char)text[0];
	size_t length = lead < 0x80             ? 1
	                : (lead & 0xe0) == 0xc0 ? 2
	                : (lead & 0xf0) == 0xe0 ? 3
	                : (lead & 0xf8) == 0xf0 ? 4
	                                        : 0;
	if (length == 0 || length > left)
		return 0;
	uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*ret = point;
	return length;
}

static void quote_character(FILE *to, uint32_t point, const char *text, size_t length)
{
	static const char letters[] = "\a\b\f\n\r\t\v\"\\", escapes[] = "abfnrtv\"\\";
	const char *special = point > 0 && point < 0x80 ? strchr(letters, (int)point) : NULL;
	if (special)
		fprintf(to, "\\%c", escapes[special - letters]);
	else if (is_printable(point))
		fwrite(text, 1, length, to);
	else if (point < 0x20 || point == 0x7f)
		fprintf(to, "\\x%02x", point);
	else if (point < 0x10000)
		fprintf(to, "\\u%04x", point);
	else
		fprintf(to, "\\U%08x", point);
}

/* The character at `at`, quoted; its length. */
static size_t quote_next(FILE *to, const char *at)
{
	uint32_t point = 0;
	size_t length = utf8_decode(at, strnlen(at, 4), &point);
	if (length == 0) {
		fprintf(to, "\\x%02x", (unsigned char)*at);
		return 1;
	}
	quote_character(to, point, at, length);
	return length;
}

char *go_quote(const char *text)
{
	char *quoted = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&quoted, &size);
	if (!to)
		return NULL;
	fputc('"', to);
	for (const char *at = text; *at;)
		at += quote_next(to, at);
	fputc('"', to);
	if (fclose(to) != 0) {
		free(quoted);
		return NULL;
	}
	return quoted;
}

/* Quotes and backslashes stay: the text may have been quoted in part. */
static bool stays(char c, bool in_quotes, bool only_in_quotes)
{
	return c == '"' || c == '\\' || (!in_quotes && (only_in_quotes || c == '\n'));
}

void write_message(FILE *to, const char *text, bool only_in_quotes)
{
	bool in_quotes = false;
	for (const char *at = text; *at;) {
		in_quotes ^= *at == '"';
		if (stays(*at, in_quotes, only_in_quotes))
			fputc(*at++, to);
		else
			at += quote_next(to, at);
	}
}
