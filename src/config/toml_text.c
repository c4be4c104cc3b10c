/* SPDX-License-Identifier: Apache-2.0 */
/* The text level of TOML: encoding, strings and their escapes. */
#include "config/toml_reader.h"

static bool is_stray_control(const unsigned char *s, const unsigned char *end)
{
	if (*s == '\r')
		return s + 1 == end || s[1] != '\n';
	return (*s < 0x20 && *s != '\t' && *s != '\n') || *s == 0x7f;
}

static const char *check_character(const unsigned char *s, const unsigned char *end, size_t *len)
{
	if (is_stray_control(s, end))
		return "TOML files cannot contain control characters: '0x%02x'";
	*len = utf8_length((const char *)s, (size_t)(end - s));
	return *len ? NULL : "invalid UTF-8 byte: 0x%02x";
}

void toml_check_text(struct toml_reader *r)
{
	const unsigned char *s = (const unsigned char *)r->pos;
	const unsigned char *end = (const unsigned char *)r->end;
	size_t beginning = MIN((size_t)(end - s), (size_t)6), len;
	if (memchr(s, 0, beginning)) {
		r->bad_text = "files cannot contain NULL bytes; probably using UTF-16; TOML files "
		              "must be UTF-8";
		r->end = r->pos;
		return;
	}
	/* Nearly all of a file, and reading it is a good part of what a start costs. */
	static const bool plain[256] = {['\t'] = true, ['\n'] = true, [' ' ... '~'] = true};
	for (; !r->bad_text; s += len) {
		while (s < end && plain[*s])
			s++;
		if (s == end)
			return;
		r->bad_text = check_character(s, end, &len);
		if (!r->bad_text)
			continue;
		r->bad_byte = *s;
		r->end = (const char *)s;
		len = 0;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const struct escape {
	char letter;
	unsigned digits;
	const char *count; /* the number as a word, for messages */
	enum toml_version since;
} escapes[] = {
        {'u', 4, "four", TOML_1_0},
        {'U', 8, "eight", TOML_1_0},
        {'x', 2, "two", TOML_1_1},
};

/* Reads the digits of \xHH, \uHHHH or \UHHHHHHHH; the read position is behind the letter. */
static bool read_code_point(struct toml_reader *r, const struct escape *escape, char **out)
{
	uint32_t c = 0;
	unsigned digits = escape->digits;
	for (unsigned i = 0; i < digits; i++) {
		int digit = r->pos + i < r->end ? hex_digit(r->pos[i]) : -1;
		if (digit < 0)
			return toml_fail(r, "expected %s hexadecimal digits after '\\%c'",
			                 escape->count, escape->letter);
		c = c << 4 | (uint32_t)digit;
	}
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return toml_fail(r, "Escaped character '\\%c%.*s' is not valid UTF-8.",
		                 escape->letter, (int)digits, r->pos);
	r->pos += digits;
	*out = utf8_put(*out, c);
	return true;
}

/* The read position is behind the backslash. */
static bool read_escape(struct toml_reader *r, char **out)
{
	static const char letters[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
	char c = r->pos < r->end ? *r->pos : '\0';
	const char *found = c ? strchr(letters, c) : NULL;
	if (found) {
		r->pos++;
		*(*out)++ = values[found - letters];
		return true;
	}
	if (c == 'e' && r->version >= TOML_1_1) {
		r->pos++;
		*(*out)++ = '\033';
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++)
		if (c == escapes[i].letter && r->version >= escapes[i].since) {
			r->pos++;
			return read_code_point(r, &escapes[i], out);
		}
	if (c < ' ')
		return toml_fail(r, "invalid escape at the end of a line");
	return toml_fail(r, "invalid escape in string '\\%c'", c);
}

/* Is this a backslash before the end of a line? Then skips all white space up to the next
 * character. */
static bool skip_line_continuation(struct toml_reader *r)
{
	const char *s = r->pos;
	while (s < r->end && (*s == ' ' || *s == '\t' || *s == '\r'))
		s++;
	if (s == r->end || *s != '\n')
		return false;
	for (; s < r->end && strchr(" \t\r\n", *s); s++)
		r->line += *s == '\n';
	r->pos = s;
	return true;
}

/* How many quotes of the closing run belong to the text: `"""""` is two and the end. */
static size_t count_quotes(const struct toml_reader *r, char quote)
{
	size_t n = 0;
	while (r->pos + n < r->end && r->pos[n] == quote)
		n++;
	return n;
}

static bool read_multi_line(struct toml_reader *r, char quote, char **out)
{
	if (toml_at(r, '\r'))
		r->pos++;
	if (toml_at(r, '\n')) {
		r->pos++;
		r->line++;
	}
	while (r->pos < r->end) {
		size_t quotes = count_quotes(r, quote);
		if (quotes > 5)
			return toml_fail(r, "unexpected '%c%c%c%c%c%c'", quote, quote, quote, quote,
			                 quote, quote);
		if (quotes) {
			size_t text = quotes >= 3 ? quotes - 3 : quotes;
			memset(*out, quote, text);
			*out += text;
			r->pos += quotes;
			if (quotes >= 3)
				return true;
			continue;
		}
		char c = *r->pos++;
		if (c == '\\' && quote == '"') {
			if (!skip_line_continuation(r) && !read_escape(r, out))
				return false;
			continue;
		}
		r->line += c == '\n';
		*(*out)++ = c;
	}
	return toml_fail(r, "unexpected EOF; expected '%c%c%c'", quote, quote, quote);
}

static bool read_single_line(struct toml_reader *r, char quote, char **out)
{
	while (r->pos < r->end) {
		char c = *r->pos;
		if (c == '\n' || c == '\r')
			return toml_fail(r, "strings cannot contain newlines");
		r->pos++;
		if (c == quote)
			return true;
		if (c == '\\' && quote == '"') {
			if (!read_escape(r, out))
				return false;
			continue;
		}
		*(*out)++ = c;
	}
	return toml_fail(r, "unexpected EOF; expected '%c'", quote);
}

/* How many bytes there are up to the latest place where the string can end. That is enough for its
 * text, which is never longer than its source. */
static size_t string_room(const struct toml_reader *r, char quote, bool multi_line)
{
	const char *s = r->pos;
	size_t quotes = 0;
	for (; s < r->end; s++) {
		if (*s == '\\' && quote == '"' && s + 1 < r->end) {
			s++;
			quotes = 0;
			continue;
		}
		if (*s == quote && (!multi_line || ++quotes == 5))
			break;
		if (*s != quote) {
			if (quotes >= 3)
				break;
			quotes = 0;
		}
		if (*s == '\n' && !multi_line)
			break;
	}
	return (size_t)(s - r->pos);
}

bool toml_read_string(struct toml_reader *r, bool multi_line_allowed, const char **text,
                      size_t *len)
{
	char quote = *r->pos;
	bool multi_line = multi_line_allowed && count_quotes(r, quote) >= 3;
	r->pos += multi_line ? 3 : 1;
	char *start = arena_alloc(r->arena, string_room(r, quote, multi_line) + 8);
	if (!start)
		return toml_fail_memory(r);
	char *out = start;
	if (!(multi_line ? read_multi_line(r, quote, &out) : read_single_line(r, quote, &out)))
		return false;
	*out = '\0';
	*text = start;
	*len = (size_t)(out - start);
	return true;
}
