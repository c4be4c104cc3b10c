/* SPDX-License-Identifier: Apache-2.0 */
/* A map from strings to pointers. It does not copy the keys: they must live as long as the map. The
 * hash is SipHash with a random key, so that an attacker who chooses names cannot make the map
 * slow. Zero-initialised is empty and valid. */
#ifndef CST_BASE_HASHMAP_H
#define CST_BASE_HASHMAP_H

#include "base/mem.h"

struct hashmap_entry;
struct hashmap {
	struct hashmap_entry *slots;
	size_t len, capacity;
	uint64_t key[2];
};
void *hashmap_get(const struct hashmap *map, const char *key); /* NULL if absent */
bool hashmap_contains(const struct hashmap *map, const char *key);
bool hashmap_put(struct hashmap *map, const char *key, void *value); /* replaces; false: out of memory */
void *hashmap_remove(struct hashmap *map, const char *key);    /* the old value, NULL if absent */
void hashmap_free(struct hashmap *map);
#define _cleanup_hashmap_ _cleanup_(hashmap_free)

/* Walks all entries in no order: for (size_t i = 0; hashmap_next(m, &i, &k, &v);) */
bool hashmap_next(const struct hashmap *map, size_t *cursor, const char **key, void **value);

uint64_t siphash24(const void *data, size_t n, const uint64_t key[2]);

#endif
