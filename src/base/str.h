/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: growing ones, lists of them, and small tests. */
#ifndef CST_BASE_STR_H
#define CST_BASE_STR_H

#include "base/error.h"
#include "base/mem.h"

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}
static inline const char *strempty(const char *s) /* NULL as "" */
{
	return s ? s : "";
}
static inline bool isempty(const char *s)
{
	return !s || !*s;
}
static inline const char *str_or(const char *s, const char *otherwise) /* never NULL */
{
	return isempty(s) ? strempty(otherwise) : s;
}
bool has_prefix(const char *s, const char *prefix);
bool has_suffix(const char *s, const char *suffix);
char *str_lower(char *s); /* ASCII letters, in place; returns s */

/*
 * A growing byte string, always NUL-terminated once it is not empty. A failed allocation is kept: go on appending,
 * then test `failed`, or call strbuf_steal(), which returns NULL. Zero-initialised is empty and valid.
 */
struct strbuf {
	char *data;
	size_t len, capacity;
	bool failed;
};
void strbuf_add(struct strbuf *buf, const void *data, size_t n);
/* Longer by n bytes, which the caller fills. NULL: out of memory. */
char *strbuf_extend(struct strbuf *buf, size_t n);
void strbuf_adds(struct strbuf *buf, const char *s);
void strbuf_addc(struct strbuf *buf, char c);
void strbuf_addf(struct strbuf *buf, const char *format, ...) CST_PRINTF(2, 3);
void strbuf_reset(struct strbuf *buf);               /* length 0, memory kept */
char *strbuf_steal(struct strbuf *buf);              /* "" if empty; NULL when out of memory; caller frees */
const char *strbuf_str(const struct strbuf *buf);    /* "" if empty */
void strbuf_free(struct strbuf *buf);
#define _cleanup_strbuf_ _cleanup_(strbuf_free)

/* asprintf that returns the string (caller frees), NULL when out of memory. */
char *str_printf(const char *format, ...) CST_PRINTF(1, 2);
/* A number without printf(), which a start does not need otherwise; in `room`. */
#define NUMBER_TEXT_MAX 24
const char *number_text(int64_t n, char room[NUMBER_TEXT_MAX]);

/* The strings one after the other (caller frees), NULL when out of memory. For names that every
 * start makes: it is quicker than str_printf(). */
#define str_join(...) str_join_strings(__VA_ARGS__, (const char *)NULL)
char *str_join_strings(const char *first, ...) __attribute__((sentinel));

/* A list of owned strings. Zero-initialised is empty. `items` is NULL-terminated once non-empty. */
struct strv {
	char **items;
	size_t len, capacity;
};
bool strv_add(struct strv *v, const char *s);        /* copies; false when out of memory */
bool strv_take(struct strv *v, char *s);             /* takes ownership also on failure; NULL s fails */
bool strv_addn(struct strv *v, const char *s, size_t n);
bool strv_contains(const struct strv *v, const char *s);
bool strv_copy(struct strv *to, const struct strv *from); /* `to` must be empty */
bool strv_split(struct strv *v, const char *s, char separator); /* "" gives one empty item */
void strv_sort(struct strv *v);                      /* bytewise */
void strv_free(struct strv *v);
#define _cleanup_strv_ _cleanup_(strv_free)
#define strv_foreach(s, v) for (char **s##_i_ = (v)->items, *s = NULL; s##_i_ && (s = *s##_i_); s##_i_++)

/* Reads a decimal number without sign or blanks. False: it is none, or above `max`. */
bool parse_u64(const char *s, uint64_t max, uint64_t *ret);

/* As Go has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t utf8_length(const char *text, size_t n); /* of the character that begins it; 0: it is none (Unicode 15, table 3-7); n > 0 */
bool utf8_valid(const char *text, size_t n);
/* Writes a code point as UTF-8, four bytes at most, and returns where it ends. */
char *utf8_put(char *to, uint32_t c);

#endif
