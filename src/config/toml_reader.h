/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the TOML reader share. */
#ifndef CST_CONFIG_TOML_READER_H
#define CST_CONFIG_TOML_READER_H

#include "config/toml.h"

/* One part of a dotted key. */
struct toml_key {
	struct toml_key *next;
	const char *text;
	size_t len;
};

/* The functions below return false after setting the error. */
struct toml_reader {
	const char *pos, *end;
	unsigned line;
	/* What is wrong with the byte at `end`, NULL if the document ends there. */
	const char *bad_text;
	unsigned char bad_byte;
	enum toml_version version;
	struct arena *arena;
	struct toml_node *root, *table; /* table: what [header] opened */
	/* "last key" of an error: the path of `context`, then the parts of `pending` up to
	 * `pending_end`. */
	const struct toml_node *context;
	const struct toml_key *pending, *pending_end;
	int code;
	cst_error **error;
};

bool toml_fail(struct toml_reader *r, const char *format, ...) CST_PRINTF(2, 3);
bool toml_fail_memory(struct toml_reader *r);
/* For messages: the character at the read position as Go quotes it, or "end of file". */
#define TOML_SEEN_MAX 16
const char *toml_seen(const struct toml_reader *r, char buffer[TOML_SEEN_MAX]);

static inline bool toml_at(const struct toml_reader *r, char c)
{
	return r->pos < r->end && *r->pos == c;
}
static inline bool toml_starts(const struct toml_reader *r, const char *s)
{
	size_t n = strlen(s);
	return (size_t)(r->end - r->pos) >= n && memcmp(r->pos, s, n) == 0;
}

/* toml_text.c: the level of text. toml_check_text() moves `end` to the first byte that no
 * document may have there, so that the rest of the reader sees only UTF-8 without stray control
 * characters. */
void toml_check_text(struct toml_reader *r);
bool toml_read_string(struct toml_reader *r, bool multi_line_allowed, const char **text,
                      size_t *len);
/* toml_scalar.c: numbers, booleans, dates and times. */
bool toml_read_scalar(struct toml_reader *r, struct toml_node *node);

void toml_key_quote(const char *text, size_t len, struct strbuf *out);
/* Sets an error with `toml: line N (last key "KEY"): ` in front. `key` may be NULL. */
int toml_set_error(cst_error **error, unsigned line, const char *key, const char *message);

#endif
