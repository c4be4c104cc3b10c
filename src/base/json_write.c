/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON writer: gives Go's bytes, escapes included, whatever bytes it is given. */
#include "base/json.h"
#include <stdio.h>

void json_writer_init(struct json_writer *w, struct strbuf *out, enum json_dialect dialect)
{
	*w = (struct json_writer){.out = out, .dialect = dialect};
}

static inline void before_value(struct json_writer *w)
{
	if (w->need_comma)
		strbuf_addc(w->out, ',');
	w->need_comma = true;
}

static void open_bracket(struct json_writer *w, char c)
{
	before_value(w);
	strbuf_addc(w->out, c);
	w->need_comma = false;
}

static void close_bracket(struct json_writer *w, char c)
{
	strbuf_addc(w->out, c);
	w->need_comma = true;
}

void json_object_open(struct json_writer *w)
{
	open_bracket(w, '{');
}

void json_object_close(struct json_writer *w)
{
	close_bracket(w, '}');
}

void json_array_open(struct json_writer *w)
{
	open_bracket(w, '[');
}

void json_array_close(struct json_writer *w)
{
	close_bracket(w, ']');
}

/* ---- strings ---- */

/* 1: this byte cannot stand in a string as it is, or it begins a character that needs a closer
 * look. */
static const unsigned char special[256] = {
        [0 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1,          ['<'] = 1,
        ['>'] = 1,        ['&'] = 1, [0x80 ... 0xff] = 1,
};

static void put_ascii(struct json_writer *w, unsigned char c)
{
	char text[8] = {'\\', (char)c};
	switch (c) {
	case '"':
	case '\\': break;
	case '\n': text[1] = 'n'; break;
	case '\r': text[1] = 'r'; break;
	case '\t': text[1] = 't'; break;
	default:
		if (w->dialect == JSON_OUTPUT && (c == '\b' || c == '\f'))
			text[1] = c == '\b' ? 'b' : 'f';
		else
			(void)snprintf(text, sizeof(text), "\\u%04x", c);
	}
	strbuf_adds(w->out, text);
}

/* Writes one special character and returns how many of its bytes were used. */
static size_t put_special(struct json_writer *w, const unsigned char *p, size_t n)
{
	if (*p < 0x80) {
		put_ascii(w, *p);
		return 1;
	}
	size_t len = utf8_length((const char *)p, n);
	if (!len) {
		strbuf_adds(w->out, "\\ufffd");
		return 1;
	}
	if (len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] | 1) == 0xa9) /* U+2028, U+2029 */
		strbuf_adds(w->out, p[2] & 1 ? "\\u2029" : "\\u2028");
	else
		strbuf_add(w->out, p, len);
	return len;
}

static void put_quoted(struct json_writer *w, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + n;
	strbuf_addc(w->out, '"');
	while (p < end) {
		const unsigned char *run = p;
		while (p < end && !special[*p])
			p++;
		strbuf_add(w->out, run, (size_t)(p - run));
		if (p < end)
			p += put_special(w, p, (size_t)(end - p));
	}
	strbuf_addc(w->out, '"');
}

void json_put_key(struct json_writer *w, const char *key)
{
	before_value(w);
	put_quoted(w, key, strlen(key));
	strbuf_addc(w->out, ':');
	w->need_comma = false;
}

void json_put_bytes(struct json_writer *w, const char *s, size_t n)
{
	before_value(w);
	put_quoted(w, s, n);
}

void json_put_string(struct json_writer *w, const char *s)
{
	json_put_bytes(w, s, strlen(s));
}

void json_put_strings(struct json_writer *w, const char *const *items, size_t n)
{
	json_array_open(w);
	for (size_t i = 0; i < n; i++)
		json_put_string(w, items[i]);
	json_array_close(w);
}

/* ---- other values ---- */

void json_put_raw(struct json_writer *w, const char *json, size_t n)
{
	before_value(w);
	strbuf_add(w->out, json, n);
}

void json_put_int64(struct json_writer *w, int64_t n)
{
	char room[NUMBER_TEXT_MAX];
	const char *text = number_text(n, room);
	json_put_raw(w, text, strlen(text));
}

void json_put_bool(struct json_writer *w, bool b)
{
	json_put_raw(w, b ? "true" : "false", b ? 4 : 5);
}

void json_put_null(struct json_writer *w)
{
	json_put_raw(w, "null", 4);
}
