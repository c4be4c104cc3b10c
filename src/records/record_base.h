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

#include "records/record_set.h"

struct record_base {
	struct index_file *index;
	struct slot **slots; /* by number. NULL: not read yet; SLOT_GONE: removed */
	struct slots edited;
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
/* The index that fits what was just opened is kept for the parse. Lock r. */
void record_base_open(struct record_set *set);
/* The set, which is empty, gets `index` as its base. False: out of memory; the index is freed. */
bool record_base_start(struct record_set *set, struct index_file *index);
void record_base_free(struct record_set *set); /* the former one, too */

/* Look-ups. False: the set has no base (any more), look into its maps. *ret is NULL if there is none.
 * The first slot with that key, or the next one after `after`. */
bool record_base_find(const struct record_set *set, enum record_key key, const char *text,
                      const struct slot *after, struct slot **ret);
/* The one whose ID begins so. */
bool record_base_find_prefix(const struct record_set *set, const char *prefix, struct slot **ret);
/* By position in the list of all. `peek`: NULL unless it was looked at before. */
bool record_base_at(const struct record_set *set, size_t i, bool peek, struct slot **ret);

#endif
