/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of records with the same digest or parent, in the order of the records. */
#include "records/chain_index.h"

struct chain {
	struct slot *first, *last;
	char key[];
};

static struct chain *chain_of(struct chain_index *index, const char *key)
{
	struct chain *chain = hashmap_get(&index->map, key);
	if (chain)
		return chain;
	size_t len = strlen(key);
	chain = calloc(1, sizeof(*chain) + len + 1);
	if (!chain)
		return NULL;
	memcpy(chain->key, key, len);
	if (hashmap_put(&index->map, chain->key, chain))
		return chain;
	free(chain);
	return NULL;
}

bool chain_index_add(struct chain_index *index, const char *key, struct slot *slot)
{
	if (isempty(key))
		return true;
	struct chain *chain = chain_of(index, key);
	if (!chain)
		return false;
	slot->next[index->which] = NULL;
	if (chain->last)
		chain->last->next[index->which] = slot;
	else
		chain->first = slot;
	chain->last = slot;
	return true;
}

void chain_index_remove(struct chain_index *index, const char *key, const struct slot *slot)
{
	struct chain *chain = isempty(key) ? NULL : hashmap_get(&index->map, key);
	struct slot *previous = NULL, *at = chain ? chain->first : NULL;
	while (at && at != slot) {
		previous = at;
		at = at->next[index->which];
	}
	if (!at)
		return;
	if (previous)
		previous->next[index->which] = slot->next[index->which];
	else
		chain->first = slot->next[index->which];
	if (chain->last == slot)
		chain->last = previous;
	if (!chain->first) {
		hashmap_remove(&index->map, chain->key);
		free(chain);
	}
}

struct slot *chain_index_first(const struct chain_index *index, const char *key)
{
	const struct chain *chain = hashmap_get(&index->map, key);
	return chain ? chain->first : NULL;
}

struct slot *chain_index_next(const struct chain_index *index, const struct slot *slot)
{
	return slot->next[index->which];
}

void chain_index_clear(struct chain_index *index)
{
	void *chain;
	for (size_t i = 0; hashmap_next(&index->map, &i, NULL, &chain);)
		free(chain);
	hashmap_free(&index->map);
}
