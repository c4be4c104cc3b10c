/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes already met, by device and number, each with a text (the first path of a hard link). */
#ifndef CST_ARCHIVE_TREE_INODE_MAP_H
#define CST_ARCHIVE_TREE_INODE_MAP_H

#include "base/mem.h"
#include <sys/types.h>

struct inode_slot;
/* Zero-initialised is empty. */
struct inode_map {
	struct inode_slot *slots;
	size_t len, capacity;
};

/* The path put in for that inode; NULL if it was not met. */
const char *inode_map_get(const struct inode_map *map, dev_t dev, ino_t ino);
/* Copies path and replaces an older one. False: out of memory. */
bool inode_map_put(struct inode_map *map, dev_t dev, ino_t ino, const char *path);
/* The same with the inode number of the copy that was made of it. */
const char *inode_map_get_copy(const struct inode_map *map, dev_t dev, ino_t ino, ino_t *copy);
bool inode_map_put_copy(struct inode_map *map, dev_t dev, ino_t ino, const char *path, ino_t copy);
/* True if it is new; *failed is set when out of memory. Stores "". */
bool inode_map_add(struct inode_map *map, dev_t dev, ino_t ino, bool *failed);
void inode_map_free(struct inode_map *map);
#define _cleanup_inode_map_ _cleanup_(inode_map_free)

#endif
