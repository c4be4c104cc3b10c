/* SPDX-License-Identifier: Apache-2.0 */
/* An open-addressing hash table with linear probing. At least a quarter of the slots is always
 * free, so that a search ends. */
#include "base/hashmap.h"
#include <sys/random.h>

struct hashmap_entry {
	const char *key; /* NULL: free */
	void *value;
	uint64_t hash;
};

static inline uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* SipHash-2-4 of Aumasson and Bernstein. */
uint64_t siphash24(const void *data, size_t n, const uint64_t key[2])
{
	uint64_t v[4] = {0x736f6d6570736575ULL ^ key[0], 0x646f72616e646f6dULL ^ key[1],
	                 0x6c7967656e657261ULL ^ key[0], 0x7465646279746573ULL ^ key[1]};
	const unsigned char *p = data;
	uint64_t last = (uint64_t)n << 56;
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash_of(const struct hashmap *map, const char *key)
{
	return siphash24(key, strlen(key), map->key);
}

/* The slot that holds the key, or the free slot where it belongs. */
static struct hashmap_entry *find_slot(struct hashmap_entry *slots, size_t capacity,
                                       const char *key, uint64_t hash)
{
	for (size_t i = hash & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
		struct hashmap_entry *slot = &slots[i];
		if (!slot->key || (slot->hash == hash && strcmp(slot->key, key) == 0))
			return slot;
	}
}

void *hashmap_get(const struct hashmap *map, const char *key)
{
	if (!map->len)
		return NULL;
	return find_slot(map->slots, map->capacity, key, hash_of(map, key))->value;
}

bool hashmap_contains(const struct hashmap *map, const char *key)
{
	return map->len && find_slot(map->slots, map->capacity, key, hash_of(map, key))->key;
}

static bool hashmap_grow(struct hashmap *map)
{
	size_t capacity = map->capacity ? map->capacity * 2 : 16;
	struct hashmap_entry *slots = new0(struct hashmap_entry, capacity);
	if (!slots)
		return false;
	if (!map->capacity &&
	    getrandom(map->key, sizeof(map->key), GRND_NONBLOCK) != sizeof(map->key))
		/* No random key: addresses, which the kernel randomises, are better than nothing. */
		map->key[0] = (uint64_t)(uintptr_t)slots;
	for (size_t i = 0; i < map->capacity; i++) {
		const struct hashmap_entry *old = &map->slots[i];
		if (old->key)
			*find_slot(slots, capacity, old->key, old->hash) = *old;
	}
	free(map->slots);
	map->slots = slots;
	map->capacity = capacity;
	return true;
}

bool hashmap_put(struct hashmap *map, const char *key, void *value)
{
	if (map->len + 1 > map->capacity / 4 * 3 && !hashmap_grow(map))
		return false;
	uint64_t hash = hash_of(map, key);
	struct hashmap_entry *slot = find_slot(map->slots, map->capacity, key, hash);
	if (!slot->key)
		map->len++;
	*slot = (struct hashmap_entry){.key = key, .value = value, .hash = hash};
	return true;
}

void *hashmap_remove(struct hashmap *map, const char *key)
{
	if (!map->len)
		return NULL;
	struct hashmap_entry *slot = find_slot(map->slots, map->capacity, key, hash_of(map, key));
	if (!slot->key)
		return NULL;
	void *value = slot->value;
	map->len--;
	/* Close the gap: an entry that is behind a free slot would not be found, so move it
	 * back. */
	size_t mask = map->capacity - 1, gap = (size_t)(slot - map->slots);
	for (size_t i = (gap + 1) & mask; map->slots[i].key; i = (i + 1) & mask) {
		size_t home = map->slots[i].hash & mask;
		if (((i - home) & mask) >= ((i - gap) & mask)) {
			map->slots[gap] = map->slots[i];
			gap = i;
		}
	}
	map->slots[gap] = (struct hashmap_entry){0};
	return value;
}

void hashmap_free(struct hashmap *map)
{
	free(map->slots);
	*map = (struct hashmap){0};
}

bool hashmap_next(const struct hashmap *map, size_t *cursor, const char **key, void **value)
{
	while (*cursor < map->capacity) {
		const struct hashmap_entry *slot = &map->slots[(*cursor)++];
		if (!slot->key)
			continue;
		if (key)
			*key = slot->key;
		if (value)
			*value = slot->value;
		return true;
	}
	return false;
}
