/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed 64-bit hashes (siphash24 of base/hashmap.h) to small values: bounded memory per entry, however
 * long the names. Zero-initialised is empty. */
#ifndef CST_BASE_HASH_SET_H
#define CST_BASE_HASH_SET_H

#include "base/mem.h"

struct hash_set {
	uint64_t *keys;
	uint32_t *values;
	size_t len, capacity;
};
bool hash_set_put(struct hash_set *set, uint64_t key, uint32_t value); /* replaces; false: out of memory */
bool hash_set_get(const struct hash_set *set, uint64_t key, uint32_t *ret); /* ret may be NULL */
void hash_set_free(struct hash_set *set);

#endif
