/* SPDX-License-Identifier: Apache-2.0 */
/* The disk blocks of a directory tree: those of its own, and those that other trees may share. */
#ifndef CST_ARCHIVE_TREE_USAGE_SCAN_H
#define CST_ARCHIVE_TREE_USAGE_SCAN_H

#include "base/error.h"
#include "base/mem.h"
#include <sys/types.h>

/* Something on disk that several trees may have: a file with several names, or blocks that several
 * files share. */
struct usage_piece {
	bool is_inode;
	dev_t device;
	uint64_t start;  /* inode number, or physical byte */
	uint64_t length; /* bytes on disk */
	uint64_t links;  /* of an inode: names it has altogether */
};
struct usage_pieces {
	struct usage_piece *items;
	size_t len, capacity;
};
void usage_pieces_free(struct usage_pieces *pieces);
#define _cleanup_pieces_ _cleanup_(usage_pieces_free)
bool usage_pieces_append(struct usage_pieces *to, const struct usage_pieces *from, size_t first);
/* Adds the blocks of one file. Where the file system does not tell of them, none. False: out of memory. */
bool usage_pieces_of_file(struct usage_pieces *pieces, int fd, dev_t device);
/* Sorts and merges the pieces from index `from` on, so that each is there once. Returns their
 * bytes. */
uint64_t usage_pieces_merge(struct usage_pieces *pieces, size_t from);

struct usage_scanned {
	uint64_t exclusive, shared; /* bytes on disk */
	uint64_t entries;           /* files and directories, the root among them */
};
/* Adds what is shared to *pieces. Mounts are treated as tree_walk treats them. */
int usage_scan(int fd, struct usage_pieces *pieces, struct usage_scanned *ret, cst_error **error);

#endif
