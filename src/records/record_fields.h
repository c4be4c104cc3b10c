/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the members of a record are read and written. A record type is a table of members: name,
 * reader, place. What Go would refuse to load at all sticks in the JSON reader; what makes only
 * this one record unusable is put into `bad`, and the record is then kept as its raw bytes.
 */
#ifndef CST_RECORDS_RECORD_FIELDS_H
#define CST_RECORDS_RECORD_FIELDS_H

#include "records/record.h"

/* A list while it is being read; its memory is used again for the next one. */
struct scratch {
	void *items;
	size_t len;      /* elements */
	size_t capacity; /* bytes */
};

struct record_reader {
	struct json_reader *json;
	struct arena *arena;
	const char *bad; /* NULL, or static text: why the record cannot be served */
	struct scratch list, unknown;
	struct strbuf text;
	/* Members that are not needed, by their number in the table; then unknown ones are not needed either. */
	uint32_t unwanted;
	bool as_written; /* these very bytes were printed by a save: the members are in the order of the table */
};
void record_reader_free(struct record_reader *r);

struct member {
	const char *name;
	size_t length; /* of the name */
	void (*read)(struct record_reader *r, void *field);
	size_t offset;
};
#define MEMBER(name, read, type, field) {name, sizeof(name) - 1, read, offsetof(type, field)}

/* Reads the next value as a record; members that are not in the table go to *unknown in their
 * order. */
void record_read(struct record_reader *r, const struct member *members, size_t n, void *record,
                 struct raw_members *unknown);

/* Readers of one member; `field` is what the comment says. */
void read_text(struct record_reader *r, void *field);     /* const char * */
void read_int64(struct record_reader *r, void *field);    /* int64_t */
void read_time(struct record_reader *r, void *field);     /* struct timestamp */
void read_strings(struct record_reader *r, void *field);  /* struct strings */
void read_uint32s(struct record_reader *r, void *field);  /* struct uint32s */
void read_idranges(struct record_reader *r, void *field); /* struct idranges */
/* struct raw_members: sorted, with the values as Go writes them. */
void read_flags(struct record_reader *r, void *field);

/* big-data-names, -sizes and -digests, which make one list when all are read. */
struct data_fields {
	struct strings names;
	struct raw_members sizes,
	        digests; /* sorted by key; sizes still as numbers, digests decoded */
};
void read_sizes(struct record_reader *r, void *field);   /* struct raw_members */
void read_digests(struct record_reader *r, void *field); /* struct raw_members */
bool data_items_build(struct arena *arena, const struct data_fields *fields,
                      struct data_items *ret);

/* The three kinds of record. They fill *ret from the next value, or make the reader fail, or set
 * its `bad`. */
void layer_read(struct record_reader *r, cst_layer *ret);
void image_read(struct record_reader *r, cst_image *ret);
void container_read(struct record_reader *r, cst_container *ret);

/* Digests an image can be found by, from its digest and data items; fills in an empty digest.
 * False: out of memory. *invalid (may be NULL): a digest that is none, or NULL. */
bool image_index_digests(struct arena *arena, cst_image *image, const char **invalid);

/* Writers. The _optional ones write nothing for what Go's omitempty leaves out. */
void put_text(struct json_writer *w, const char *key, const char *value);
void put_text_optional(struct json_writer *w, const char *key, const char *value);
void put_int64_optional(struct json_writer *w, const char *key, int64_t value);
void put_time(struct json_writer *w, const char *key, const struct timestamp *time);
void put_strings_optional(struct json_writer *w, const char *key, const struct strings *strings);
void put_uint32s_optional(struct json_writer *w, const char *key, const struct uint32s *numbers);
void put_idranges_optional(struct json_writer *w, const char *key, const struct idranges *ranges);
void put_flags_optional(struct json_writer *w, const struct raw_members *flags);
/* All three members. */
void put_data_optional(struct json_writer *w, const struct data_items *items);
void put_unknown(struct json_writer *w, const struct raw_members *unknown);

#endif
