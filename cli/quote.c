/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that a stranger may have written: names, metadata, paths, and messages with such texts in
 * them. On a terminal a control character in them can change the title of the window, clear the
 * screen or hide a line, and a character that changes the direction of writing can show another
 * name than the real one. So every such text is written by show_text() or write_message(), which
 * write escapes where the stream is a terminal. A pipe or a file gets the bytes as they are. */
#include "command.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

/* Characters that the C library may call printable and Go does not: spaces other than ' ', format
 * characters, private use. */
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

/* Made for the first character beyond ASCII. Most runs have none. */
static locale_t utf8_locale(void)
{
	static locale_t utf8;
	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	return utf8;
}

bool is_printable(uint32_t point)
{
	if (point < 0x80)
		return point >= 0x20 && point != 0x7f;
	if (is_hidden(point))
		return false;
	return !utf8_locale() || iswprint_l((wint_t)point, utf8_locale());
}

size_t character_columns(uint32_t point)
{
	if (point < 0x80 || !utf8_locale())
		return 1;
	locale_t before = uselocale(utf8_locale());
	int columns = wcwidth((wchar_t)point);
	uselocale(before);
	return columns < 0 ? 1 : (size_t)columns;
}

size_t utf8_decode(const char *text, size_t left, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char lead = (unsigned char)text[0];
	size_t length = 0;
	if (lead < 0x80)
		length = 1;
	else if ((lead & 0xe0) == 0xc0)
		length = 2;
	else if ((lead & 0xf0) == 0xe0)
		length = 3;
	else if ((lead & 0xf8) == 0xf0)
		length = 4;
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

/* Writes the character at `at` quoted. Returns its length. */
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

/* How many of the next characters are printable ASCII that nothing needs to quote. */
static size_t plain_length(const char *text)
{
	size_t n = 0;
	while (text[n] >= ' ' && text[n] < 0x7f && text[n] != '"' && text[n] != '\\')
		n++;
	return n;
}

/* Characters in `stays` are written as they are. */
static void write_escaped(FILE *to, const char *text, const char *stays)
{
	for (const char *at = text; *at;) {
		size_t plain = plain_length(at);
		fwrite(at, 1, plain, to);
		at += plain;
		if (*at == '\0')
			break;
		if (strchr(stays, *at))
			fputc(*at++, to);
		else
			at += quote_next(to, at);
	}
}

static char *escaped(const char *text, const char *around, const char *stays)
{
	char *result = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&result, &size);
	if (!to)
		return NULL;
	fputs(around, to);
	write_escaped(to, text, stays);
	fputs(around, to);
	if (fclose(to) != 0) {
		free(result);
		return NULL;
	}
	return result;
}

char *go_quote(const char *text)
{
	return escaped(text, "\"", "");
}

/* Quotes and backslashes are harmless, and parts of the text may be quoted already. */
static const char harmless[] = "\"\\";

#define BYTES(b) (0x0101010101010101ULL * (b))

/* Most texts are such. It looks at eight bytes a step; a byte that is not has its highest bit in the marks. */
static bool is_printable_ascii(const char *text, size_t length)
{
	uint64_t marks = 0, word;
	for (; length >= sizeof(word); length -= sizeof(word), text += sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		marks |= word | (word - BYTES(' ')) | (word + BYTES(0x7f - '~'));
	}
	for (size_t i = 0; i < length; i++)
		marks |= text[i] < ' ' || text[i] > '~' ? BYTES(0x80) : 0;
	return !(marks & BYTES(0x80));
}

void show_plain(FILE *to, const char *text)
{
	size_t length = strlen(text);
	if (is_printable_ascii(text, length))
		fwrite_unlocked(text, 1, length, to);
	else
		write_escaped(to, text, harmless);
}

char *plain_text(const char *text)
{
	if (is_printable_ascii(text, strlen(text)))
		return strdup(text);
	return escaped(text, "", harmless);
}

bool is_terminal(FILE *to)
{
	static signed char known[STDERR_FILENO + 1]; /* 0: not asked yet */
	int fd = fileno(to);
	if (fd < 0 || fd > STDERR_FILENO)
		return false;
	if (!known[fd])
		known[fd] = isatty(fd) ? 1 : -1;
	return known[fd] > 0;
}

void show_text(FILE *to, const char *text)
{
	if (is_terminal(to))
		write_escaped(to, text, harmless);
	else
		fputs(text, to);
}

void show_content(FILE *to, const void *data, size_t size)
{
	if (!is_terminal(to)) {
		fwrite(data, 1, size, to);
		return;
	}
	const char *bytes = data;
	for (size_t i = 0; i < size;) {
		uint32_t point = 0;
		size_t length = utf8_decode(bytes + i, size - i, &point);
		if (length > 0 && (is_printable(point) || point == '\n' || point == '\t'))
			fwrite(bytes + i, 1, length, to);
		else if (length > 0)
			quote_character(to, point, bytes + i, length);
		else
			fprintf(to, "\\x%02x", (unsigned char)bytes[i]);
		i += length ? length : 1;
	}
}

void show_keyed(FILE *to, const char *key, const char *text)
{
	show_text(to, key);
	fputs(": ", to);
	show_text(to, text);
	fputc('\n', to);
}

void print_field(const char *label, const char *text)
{
	fputs(label, stdout);
	show_text(stdout, text);
	putchar('\n');
}

void print_fields(const char *label, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print_field(label, texts[i]);
}

/* Without a terminal, containers-storage escapes only what is in quotes. */
void write_message(FILE *to, const char *text, bool only_in_quotes)
{
	bool in_quotes = false;
	only_in_quotes = only_in_quotes && !is_terminal(to);
	for (const char *at = text; *at;) {
		in_quotes ^= *at == '"';
		bool stays =
		        strchr(harmless, *at) || (!in_quotes && (only_in_quotes || *at == '\n'));
		if (stays)
			fputc(*at++, to);
		else
			at += quote_next(to, at);
	}
}
