/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of a base that were edited or added since its index was made, found by their keys: a change of many records costs a few
 * look-ups for each. */
#ifndef CST_RECORDS_RECORD_EDITED_H
#define CST_RECORDS_RECORD_EDITED_H

#include "records/record_set.h"

struct edited_key {
	uint32_t hash;
	uint32_t order; /* of the slot */
	uint32_t next;  /* of the keys in the same row of the table, plus 1; 0: the last one */
};

struct edited {
	struct slots slots; /* in their order; what was removed again has no record */
	struct edited_key *keys; /* of all records that the slots had, too */
	size_t n_keys, capacity;
	uint32_t *rows; /* the newest key, plus 1 */
	size_t n_rows;  /* a power of two */
	struct prefix_index added; /* the IDs that the index does not know */
};

/* The slot has a new record. False: out of memory. */
bool edited_put(struct edited *edited, const struct record_set *set, struct slot *slot);
void edited_removed(struct edited *edited, struct slot *slot); /* before it loses its record */
/* The first with one of these keys, or the next one after `after` (NULL allowed). NULL: none. */
struct slot *edited_find(const struct edited *edited, const struct record_set *set, unsigned keys,
			 const char *text, const struct slot *after);
/* How many added IDs begin so, counted up to 2; *ret is one of them. */
size_t edited_find_prefix(struct edited *edited, const char *prefix, struct slot **ret);
/* Forgets them. Slots that were added and removed again are freed. */
void edited_clear(struct edited *edited);
void edited_free(struct edited *edited);

#endif
