/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing; a key of 0 is a free slot. */
#include "base/hash_set.h"

static size_t find_slot(const struct hash_set *set, uint64_t key)
{
	size_t mask = set->capacity - 1, i = key & mask;

	while (set->keys[i] && set->keys[i] != key)
		i = (i + 1) & mask;
	return i;
}

static bool grow(struct hash_set *set)
{
	struct hash_set larger = {.len = set->len,
	                          .capacity = set->capacity ? set->capacity * 2 : 256};

	larger.keys = calloc(larger.capacity, sizeof(*larger.keys));
	larger.values = calloc(larger.capacity, sizeof(*larger.values));
	if (!larger.keys || !larger.values) {
		hash_set_free(&larger);
		return false;
	}
	for (size_t i = 0; i < set->capacity; i++) {
		if (!set->keys[i])
			continue;
		size_t slot = find_slot(&larger, set->keys[i]);
		larger.keys[slot] = set->keys[i];
		larger.values[slot] = set->values[i];
	}
	hash_set_free(set);
	*set = larger;
	return true;
}

bool hash_set_put(struct hash_set *set, uint64_t key, uint32_t value)
{
	key += key == 0;
	if ((set->len + 1) * 4 > set->capacity * 3 && !grow(set))
		return false;
	size_t slot = find_slot(set, key);
	set->len += set->keys[slot] == 0;
	set->keys[slot] = key;
	set->values[slot] = value;
	return true;
}

bool hash_set_get(const struct hash_set *set, uint64_t key, uint32_t *ret)
{
	key += key == 0;
	if (set->len == 0)
		return false;
	size_t slot = find_slot(set, key);
	if (!set->keys[slot])
		return false;
	if (ret)
		*ret = set->values[slot];
	return true;
}

void hash_set_free(struct hash_set *set)
{
	free(set->keys);
	free(set->values);
	*set = (struct hash_set){0};
}
