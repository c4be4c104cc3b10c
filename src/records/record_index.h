/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into the index of a set. */
#ifndef CST_RECORDS_RECORD_INDEX_H
#define CST_RECORDS_RECORD_INDEX_H

#include "records/record_set.h"

/* What is on disk, as far as this process knows. */
struct index_source record_index_source(const struct record_set *set);
/* The index of a set that was just parsed from these texts. NULL: it has something that an index cannot
 * have, or there is no memory. */
struct index_file *record_index_build(struct record_set *set, char *const *texts);
/* Puts it where the next process finds it, if this set may. */
void record_index_write(const struct record_set *set, struct index_file *index);
/* Of a slot that knows where `text`, its JSON, stands. Uses the buffer, which fails when there is no memory. */
struct index_entry record_index_entry(const struct record_set *set, const struct slot *slot,
                                      const char *text, const uint64_t secret[2],
                                      struct strbuf *printed);
int64_t record_index_size(const struct record_set *set, const void *record); /* for its entry */
/* The keys of records, being gathered. */
struct index_key_list {
	struct index_key *items;
	size_t len, capacity;
	const uint64_t *secret;
	uint32_t number; /* of the record */
};
bool index_keys_add(struct index_key_list *keys, const struct record_set *set, const void *record,
                    uint32_t number);
void index_keys_sort(struct index_key_list *keys);
int index_keys_compare(const void *a, const void *b);

#endif
