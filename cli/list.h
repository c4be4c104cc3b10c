/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of cstorage: layers, images and containers as rows of fields, which --filter, --sort and --format name.
 *
 * A terminal gets a table for people. Without a terminal there is a line for each row, with tabs between the fields of
 * the table and everything in full. --json, --quiet and --format choose other forms (cstorage(1), "LISTS").
 */
#ifndef CST_CLI_LIST_H
#define CST_CLI_LIST_H

#include "command.h"

enum field_type {
	FIELD_ID,
	FIELD_TEXT,
	FIELD_TEXTS, /* several, as names are */
	FIELD_NUMBER,
	FIELD_BOOL,
	FIELD_SIZE,  /* bytes; -1: unknown */
	FIELD_TIME,  /* seconds since 1970; a table shows how long ago */
	FIELD_AGE,   /* seconds */
};

struct field {
	const char *name;
	const char *title; /* of the table's column; NULL: it has none */
	enum field_type type;
};

/* A text is borrowed from the list's records, or `owned`, which the list frees. */
struct value {
	int64_t number;
	const char *text;
	const char *const *texts;
	size_t n_texts;
	char *owned;
};

struct list {
	const struct field *fields; /* the first is the ID */
	size_t n_fields, n_rows;
	/* Called at most once for each field of each row, and only for fields that are used, since
	 * some must be measured. */
	void (*find)(const struct list *list, size_t row, size_t field, struct value *ret);
	int (*print_json)(const struct list *list, size_t row);
	const char *json_if_empty;
	const struct invocation *in;
	const void *source; /* of the caller */
};

/* Makes "image NAME, 2 containers": a single user is named, by its first name or else its ID. */
struct users {
	char *text;
	size_t length;
	bool failed;
};
void users_add(struct users *users, const char *kind, size_t n, const char *id, const char *const *names, size_t n_names);
char *users_done(struct users *users); /* the caller frees it; "nobody" if there is none; NULL: out of memory */

/* The size of a layer's content in bytes: as its record says; that of an empty layer or of a
 * container's is measured. -1: unknown. */
int64_t layer_content_size(const struct invocation *in, const cst_layer *layer);

/* Returns an exit code. */
int list_print(const struct list *list);

/* ---- inside ---- */

struct listing {
	const struct list *list;
	struct value *values; /* n_fields of each row; where nothing is sorted, of one row at a time */
	bool *known;
	bool one_at_a_time;
	size_t row; /* whose values those are */
	size_t *rows; /* those shown, in their order */
	size_t n;
	int64_t now;
};
#define NO_FIELD SIZE_MAX

const struct value *listing_value(struct listing *listing, size_t row, size_t field);
/* The field of that name. If there is none, prints a message with the name of the option, and
 * returns NO_FIELD. */
size_t list_field(const struct list *list, const char *option, const char *name, size_t length);
/* Drops the rows that --filter excludes. Returns an exit code. */
int list_filter(struct listing *listing);
int list_sort(struct listing *listing);
/* Prints a value in full. False: out of memory. */
bool print_value(struct listing *listing, size_t row, size_t index);
/* Prints the rows as --format says. */
int list_print_format(struct listing *listing, const char *format);
/* A value in full, for programs: bytes, RFC 3339, names with commas. NULL: out of memory. It lives as long as the value
 * and the room for it. */
struct text_room {
	char number[32];
	char *joined;
};
const char *value_text(const struct field *field, const struct value *value, struct text_room *room);
void free_text_room(struct text_room *room);
#define _cleanup_text_room_ __attribute__((cleanup(free_text_room)))

#endif
