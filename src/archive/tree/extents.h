/* SPDX-License-Identifier: Apache-2.0 */
/* Where on the disk the content of a file is, as the file system tells (FIEMAP). */
#ifndef CST_ARCHIVE_TREE_EXTENTS_H
#define CST_ARCHIVE_TREE_EXTENTS_H

#include <linux/fiemap.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Can files share blocks on this file system, and does it tell? On others no file need be opened. */
bool extents_may_be_shared(int fd);

/* Calls `seen` for each extent, in their order, until it returns false. False: the file system cannot say. `flags`:
 * FIEMAP_FLAG_SYNC writes what is not on the disk yet, else the file may seem to share what it no longer does. */
bool extents_each(int fd, uint32_t flags, bool (*seen)(const struct fiemap_extent *extent, void *userdata), void *userdata);

struct extents_sum {
	uint64_t places; /* a keyed hash: two files of one size with the same share all their blocks, and are equal. 0: unknown */
	uint64_t own;    /* bytes on disk that no other file has */
	bool is_inline;  /* the content is among the metadata and has no blocks */
};
/* Writes what is not on the disk yet. False: the file system cannot say. */
bool extents_sum(int fd, const struct stat *st, const uint64_t key[2], struct extents_sum *ret);

#endif
