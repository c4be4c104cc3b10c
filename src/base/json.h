/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming, typed JSON; no tree is built. Reading follows Go's encoding/json where the store needs
 * it: keys match in any case, null is the zero value, integers must be integer literals, half a
 * surrogate pair becomes U+FFFD. Bytes that are not UTF-8 are read as they are and written as
 * \ufffd. Writing gives Go's bytes (docs/format/store.md, "Encoding rules"). */
#ifndef CST_BASE_JSON_H
#define CST_BASE_JSON_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- reading. The first error is kept: every later call fails. json_error() reports it. ---- */

#define JSON_MAX_DEPTH  10000
#define JSON_KNOWN_KEYS 32

struct json_reader {
	const char *start, *pos, *end;
	/* Decoded strings go here. NULL: only json_raw, json_skip, numbers and booleans can be read. */
	struct arena *arena;
	unsigned depth;      /* at most JSON_MAX_DEPTH */
	bool first;          /* just behind an opening bracket, where no comma is due */
	bool escaped;        /* the last string had escapes; only one of those can have a NUL */
	const char *problem; /* NULL while all is well; static text */
	/* Keys decoded lately. Records repeat the same few keys, so most need not be decoded again. */
	struct json_key {
		const char *text;
		size_t len;
	} keys[JSON_KNOWN_KEYS];
};

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
	JSON_BAD
};

void json_reader_init(struct json_reader *r, const char *data, size_t n, struct arena *arena);
/* Begins with another text, and knows the keys of those before. */
void json_reader_next(struct json_reader *r, const char *data, size_t n);
/* Skips white space. JSON_BAD: the input ended, or what follows is no value. */
enum json_type json_peek(struct json_reader *r);

/* Arrays:  if (json_array_begin(r)) while (json_array_next(r)) { read one value }   Both return false on an
 * error and at the end. `null` is an empty array. Objects the same: json_object_next() gives the decoded
 * key, which lives in the arena; a NUL in it is an error. */
bool json_array_begin(struct json_reader *r);
bool json_array_next(struct json_reader *r);
bool json_object_begin(struct json_reader *r);
bool json_object_next(struct json_reader *r, const char **key);

/* Steps to the next member if it is this one, without white space and escapes, as all programs write the store. False: nothing
 * is done. */
static inline bool json_object_next_is(struct json_reader *r, const char *name, size_t len)
{
	const char *p = r->pos + !r->first;
	if (r->problem || p > r->end || (size_t) (r->end - p) < len + 3 || *p != '"' || (!r->first && p[-1] != ',') ||
	    p[len + 1] != '"' || p[len + 2] != ':' || memcmp(p + 1, name, len) != 0)
		return false;
	r->pos = p + len + 3;
	r->first = false;
	return true;
}

/* Compares as Go does, in any case; ASCII is enough for the keys there are. */
bool json_key_is(const char *key, const char *name);

/* `null` leaves *ret as it is. A NUL inside of a string is an error. */
bool json_string(struct json_reader *r, const char **ret);
bool json_bytes(struct json_reader *r, const char **ret, size_t *len);
/* The same for a string that is not kept: it may lie in the input, and no NUL ends it there. */
bool json_passing(struct json_reader *r, const char **ret, size_t *len);
/* An integer literal in range; `null` leaves *ret as it is. */
bool json_int64(struct json_reader *r, int64_t *ret);
bool json_uint32(struct json_reader *r, uint32_t *ret);
bool json_bool(struct json_reader *r, bool *ret);
/* Any one value, checked, as its bytes in the input. */
bool json_raw(struct json_reader *r, const char **start, size_t *len);
bool json_skip(struct json_reader *r);
void json_leave(struct json_reader *r);                     /* what follows is not looked at */
bool json_finish(struct json_reader *r);                    /* only white space may follow */
bool json_fail(struct json_reader *r, const char *problem); /* for callers; returns false */

/* The value of a number that was checked. False: it does not fit a double. */
bool json_parse_double(const char *number, size_t len, double *ret);

bool json_ok(const struct json_reader *r);
/* CST_ECORRUPT, `SHOWN: PROBLEM at byte N` */
int json_error(const struct json_reader *r, const char *shown, cst_error **error);

/* ---- writing into a strbuf ---- */

enum json_dialect {
	/* The files of the store: \b and \f are \u0008 and \u000c, exponents have two digits (1e-09). */
	JSON_STORE,
	/* What the command prints, and tar-split since Go 1.22: \b and \f are short, as exponents are (1e-9). */
	JSON_OUTPUT,
};
struct json_writer {
	struct strbuf *out;
	enum json_dialect dialect;
	bool need_comma;
};
void json_writer_init(struct json_writer *w, struct strbuf *out, enum json_dialect dialect);
void json_object_open(struct json_writer *w);
void json_object_close(struct json_writer *w);
void json_array_open(struct json_writer *w);
void json_array_close(struct json_writer *w);
void json_put_key(struct json_writer *w, const char *key);
void json_put_string(struct json_writer *w, const char *s);
void json_put_bytes(struct json_writer *w, const char *s, size_t n);
void json_put_int64(struct json_writer *w, int64_t n);
void json_put_bool(struct json_writer *w, bool b);
#define JSON_DOUBLE_MAX 32 /* bytes of text with NUL */
/* Go's shortest form: 1e+30, 1e-09, 12345678901234567000. */
void json_put_double(struct json_writer *w, double d);
size_t json_format_double(double d, char ret[JSON_DOUBLE_MAX]); /* the same as text; its length */
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, const char *json, size_t n);
/* Copies the next value as Go would write it after reading it into an `any`: members sorted and
 * unique, numbers as float64, strings escaped anew. Values nested deeper than JSON_NORMAL_DEPTH are
 * copied as they are. *fits: every number fits a float64; one that does not is copied as it is. */
bool json_copy_normal(struct json_reader *r, struct json_writer *w, bool *fits);
#define JSON_NORMAL_DEPTH 64
/* An array of strings. */
void json_put_strings(struct json_writer *w, const char *const *items, size_t n);

#endif
