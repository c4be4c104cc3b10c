/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base of a large set: its index, and the open files of records. A record is read from its file when
 * it is looked at. Edits are on top of it: a list of the slots that were edited or added, which every
 * look-up goes through after the index.
 *
 * If the index turns out to be damaged, all records are parsed, as without an index, and the look-up goes
 * on there. What was handed out before stays good. A set that is to be saved never comes to that, since
 * the first edit reads and checks the whole index.
 */
#ifndef CST_RECORDS_RECORD_BASE_H
#define CST_RECORDS_RECORD_BASE_H

#include "records/record_edited.h"

struct record_base {
	struct index_file *index;
	struct slot **slots; /* by number. NULL: not read yet; one without a record: removed, but the IDs are still ordered by it */
	struct edited edited; /* or added */
	size_t holes; /* records that were removed from the list of all and left a hole there */
	struct index_parts parts; /* once it is prepared */
	bool prepared; /* for edits: the list of all in the set holds slots, and numbers for those that were not read */
	/* What was read of a file last. Who goes on from there gets more than the one record. */
	char *window;
	size_t window_capacity, window_len;
	uint32_t window_at, next_number;
	unsigned window_file;
};

/* Is the set large enough? */
bool record_base_wanted(const struct record_set *set);
/* All records are parsed, and the index is not used any more. False: the set is broken. */
bool record_base_leave(struct record_set *set);
/* The index is kept for the parse, also one of what the files held before. Lock r. */
void record_base_open(struct record_set *set);
/* The set, which is empty, gets `index` as its base. False: out of memory; the index is freed. */
bool record_base_start(struct record_set *set, struct index_file *index);
void record_base_free(struct record_set *set); /* the former one, too */

/* Look-ups. False: the set has no base (any more), look into its maps. *ret is NULL if there is none.
 * The first slot with one of these keys, or the next one after `after`. */
bool record_base_find(const struct record_set *set, unsigned keys, const char *text,
                      const struct slot *after, struct slot **ret);
/* The one whose ID begins so. */
bool record_base_find_prefix(const struct record_set *set, const char *prefix, struct slot **ret);
bool record_base_size(const struct record_set *set, size_t *ret);
/* By position in the list of all. */
bool record_base_at(const struct record_set *set, size_t i, struct slot **ret);
/* The next that was looked at before; see record_set_next_known(). */
bool record_base_next_known(const struct record_set *set, size_t *i, struct slot **ret);

/* Reads the record at this position to *record. False: it was looked at before, or cannot be read. */
bool record_base_read_at(const struct record_set *set, size_t i, struct record_reader *r,
                         void *record);

/* ---- edits ---- */

/* Before an edit and a save: all of the index is read, and the list of all is made. If the index is damaged, the set
 * has no base afterwards. False: out of memory. */
bool record_base_prepare(struct record_set *set);
/* The slot has another record now than the index says, or is new. False: out of memory. */
bool record_base_edited(struct record_set *set, struct slot *slot);
/* The record is removed. */
void record_base_removed(struct record_set *set, struct slot *slot);

/* The list of all gets rid of its holes. */
void record_base_tidy(struct record_set *set);
/* In the list of all: a record that was not read yet. */
struct slot *record_base_unread(uint32_t number);
/* What stands at this position of the list of all, which has no holes. The set is prepared. */
struct base_item {
	uint32_t number; /* in the index; UINT32_MAX: it is not there */
	unsigned file;
	bool edited;
	struct slot *slot; /* NULL: it was not read */
};
struct base_item record_base_item(const struct record_set *set, size_t i);
/* The JSON of a record as it is in its file, until the next call. NULL: it cannot be read. */
const char *record_base_text(struct record_set *set, uint32_t number);
/* NULL: it cannot be read. */
const void *record_base_record(struct record_set *set, uint32_t number);
const char *record_base_id(struct record_set *set, uint32_t number);

#endif
