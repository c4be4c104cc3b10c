/* SPDX-License-Identifier: Apache-2.0 */
/* The open directories on the way down a tree of any depth, with few descriptors. What is kept open
 * gets sparser with the distance from the innermost directory. What was closed is opened again, by
 * name from the nearest one above that is open, when the way leads back to it, and must be the same
 * directory then. All the way down and up again opens a directory a few times, however deep it is.
 * "..", which needs no name, would not do: below a bind mount, and each overlay home is one, the
 * kernel follows it all the way up to the mount each time. */
#ifndef CST_BASE_FS_CHAIN_H
#define CST_BASE_FS_CHAIN_H

#include "base/mem.h"
#include <sys/types.h>

#define FS_CHAIN_OPEN 32

struct fs_chain_link {
	int fd; /* -1: closed */
	dev_t dev;
	ino_t ino;
	size_t path_len; /* of its path below the first directory */
};
struct fs_chain {
	struct fs_chain_link *links;
	size_t len, capacity;
	size_t open[FS_CHAIN_OPEN + 2]; /* indices of those that are open; the first one always is */
	size_t n_open;
	size_t limit; /* open at a time besides the first: 2 up to FS_CHAIN_OPEN */
};

/* One directory further down; the first one stays the caller's, of the others the descriptor is taken
 * over, also on failure. `path_len`: of its path below the first, which has 0. -1 and errno. */
int fs_chain_push(struct fs_chain *chain, int fd, size_t path_len);
/* Leaves the innermost directory. `path` begins with the path of the one above; it is changed only
 * meanwhile. -1 and errno: the one above cannot be opened any more, or is another one (ESTALE). */
int fs_chain_pop(struct fs_chain *chain, char *path);
void fs_chain_free(struct fs_chain *chain);

static inline int fs_chain_fd(const struct fs_chain *chain) /* of the innermost */
{
	return chain->links[chain->len - 1].fd;
}

#endif
