/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IDs by unique prefix. Sorted at the first look-up, since most processes never look for a prefix;
 * kept sorted through later edits. IDs are borrowed. Calls that change it need the owner's
 * exclusive access; look-ups may run in parallel.
 */
#ifndef CST_RECORDS_PREFIX_INDEX_H
#define CST_RECORDS_PREFIX_INDEX_H

#include "base/mem.h"

struct prefix_entry {
	uint64_t head; /* the first eight bytes as a number, so that sorting seldom needs the text */
	const char *id;
	void *value;
};

struct prefix_index {
	struct prefix_entry *items;
	size_t len, capacity;
	bool sorted;
};

/* An ID that is empty or contains a blank cannot be found by prefix, as in Go. False: out of
 * memory. */
bool prefix_index_add(struct prefix_index *index, const char *id, void *value);
void prefix_index_remove(struct prefix_index *index, const char *id);
void prefix_index_clear(struct prefix_index *index); /* empty, memory kept */
void prefix_index_sort(struct prefix_index *index);
uint64_t prefix_head(const char *id);
bool prefix_is_searched(const char *id); /* neither empty nor with a blank */
/* NULL: none or several. The index must be sorted. */
void *prefix_index_find(const struct prefix_index *index, const char *prefix);
/* How many begin with it, counted up to `most`; 0 for "". The index must be sorted. */
size_t prefix_index_count(const struct prefix_index *index, const char *prefix, size_t most);
void prefix_index_free(struct prefix_index *index);

#endif
