/* SPDX-License-Identifier: Apache-2.0 */
/* Slots by a text that several may share: the children of a layer, the layers of a digest. Oldest
 * first. */
#ifndef CST_RECORDS_CHAIN_INDEX_H
#define CST_RECORDS_CHAIN_INDEX_H

#include "records/record_set.h"

struct chain_index {
	struct hashmap map;
	unsigned which; /* of slot->next */
};

/* The key "" is not indexed. */
bool chain_index_add(struct chain_index *index, const char *key, struct slot *slot);
void chain_index_remove(struct chain_index *index, const char *key, const struct slot *slot);
struct slot *chain_index_first(const struct chain_index *index, const char *key);
struct slot *chain_index_next(const struct chain_index *index, const struct slot *slot);
void chain_index_clear(struct chain_index *index);

#endif
