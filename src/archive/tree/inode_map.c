/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table of inodes (inode_map.h). */
#include "archive/tree/inode_map.h"

struct inode_slot {
	dev_t dev;
	ino_t ino, copy; /* copy: 0 where nobody asked to remember one */
	char *path;      /* NULL: slot is free; EMPTY is not owned */
};

static char EMPTY[] = "";

/* Inode numbers are the file system's choice, not an attacker's: mixing the bits is enough. */
static size_t hash(dev_t dev, ino_t ino)
{
	uint64_t x = (uint64_t)ino ^ ((uint64_t)dev << 40 | (uint64_t)dev >> 24);
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return (size_t)(x ^ x >> 33);
}

/* The slot that holds the inode, or the free one where it belongs. */
static struct inode_slot *find(struct inode_slot *slots, size_t capacity, dev_t dev, ino_t ino)
{
	size_t i = hash(dev, ino) & (capacity - 1);
	while (slots[i].path && (slots[i].dev != dev || slots[i].ino != ino))
		i = (i + 1) & (capacity - 1);
	return &slots[i];
}

static bool grow(struct inode_map *map)
{
	if (map->len * 4 < map->capacity * 3)
		return true;
	size_t capacity = map->capacity ? map->capacity * 2 : 64;
	struct inode_slot *slots = new0(struct inode_slot, capacity);
	if (!slots)
		return false;
	for (size_t i = 0; i < map->capacity; i++)
		if (map->slots[i].path)
			*find(slots, capacity, map->slots[i].dev, map->slots[i].ino) =
			        map->slots[i];
	free(map->slots);
	map->slots = slots;
	map->capacity = capacity;
	return true;
}

const char *inode_map_get(const struct inode_map *map, dev_t dev, ino_t ino)
{
	return map->capacity ? find(map->slots, map->capacity, dev, ino)->path : NULL;
}

const char *inode_map_get_copy(const struct inode_map *map, dev_t dev, ino_t ino, ino_t *copy)
{
	if (!map->capacity)
		return NULL;
	const struct inode_slot *slot = find(map->slots, map->capacity, dev, ino);
	*copy = slot->copy;
	return slot->path;
}

/* Takes path over, also on failure. */
static bool take(struct inode_map *map, dev_t dev, ino_t ino, char *path, ino_t copy)
{
	if (!path || !grow(map)) {
		if (path != EMPTY)
			free(path);
		return false;
	}
	struct inode_slot *slot = find(map->slots, map->capacity, dev, ino);
	if (!slot->path)
		map->len++;
	else if (slot->path != EMPTY)
		free(slot->path);
	*slot = (struct inode_slot){.dev = dev, .ino = ino, .copy = copy, .path = path};
	return true;
}

bool inode_map_put(struct inode_map *map, dev_t dev, ino_t ino, const char *path)
{
	return take(map, dev, ino, strdup(path), 0);
}

bool inode_map_put_copy(struct inode_map *map, dev_t dev, ino_t ino, const char *path, ino_t copy)
{
	return take(map, dev, ino, strdup(path), copy);
}

bool inode_map_add(struct inode_map *map, dev_t dev, ino_t ino, bool *failed)
{
	if (inode_map_get(map, dev, ino))
		return false;
	if (!take(map, dev, ino, EMPTY, 0))
		*failed = true;
	return true;
}

void inode_map_free(struct inode_map *map)
{
	for (size_t i = 0; i < map->capacity; i++)
		if (map->slots[i].path != EMPTY)
			free(map->slots[i].path);
	free(map->slots);
	*map = (struct inode_map){0};
}
