/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for the extents of a file, and sums them up. */
#include "archive/tree/extents.h"
#include "base/hashmap.h"
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#define BCACHEFS_MAGIC  0xca451a4e
#define EXTENTS_AT_ONCE 64

bool extents_may_be_shared(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
	        (unsigned long)fs.f_type == BCACHEFS_MAGIC);
}

bool extents_each(int fd, uint32_t flags,
                  bool (*seen)(const struct fiemap_extent *extent, void *userdata), void *userdata)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + EXTENTS_AT_ONCE * sizeof(struct fiemap_extent)];
	} ask;
	for (uint64_t offset = 0;;) {
		ask.map = (struct fiemap){.fm_start = offset,
		                          .fm_length = FIEMAP_MAX_OFFSET - offset,
		                          .fm_flags = flags,
		                          .fm_extent_count = EXTENTS_AT_ONCE};
		if (ioctl(fd, FS_IOC_FIEMAP, &ask.map) < 0)
			return false;
		if (ask.map.fm_mapped_extents == 0)
			return true;
		for (uint32_t i = 0; i < ask.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *extent = &ask.map.fm_extents[i];
			offset = extent->fe_logical + extent->fe_length;
			if (!seen(extent, userdata) || (extent->fe_flags & FIEMAP_EXTENT_LAST))
				return true;
		}
	}
}

/* ---- the sum ---- */

/* What follows on each other both in the file and on the disk is one run, however the file system cuts it. */
struct run {
	uint64_t logical, physical, length, unwritten;
};

struct summing {
	struct extents_sum *sum;
	const uint64_t *key;
	uint64_t end; /* of the file, in whole blocks: room behind it belongs to nothing */
	struct run run;
	uint64_t chain; /* hash of the runs up to here */
	bool unknown;
};

static void end_run(struct summing *s)
{
	const uint64_t next[] = {s->chain, s->run.logical, s->run.physical, s->run.length,
	                         s->run.unwritten};
	if (s->run.length > 0)
		s->chain = siphash24(next, sizeof(next), s->key);
	s->run = (struct run){0};
}

static bool add_extent(const struct fiemap_extent *extent, void *userdata)
{
	/* The file system does not tell the place, or the data is not on disk yet. */
	static const uint32_t placeless = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
	                                  FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE |
	                                  FIEMAP_EXTENT_DATA_TAIL;
	struct summing *s = userdata;
	if (extent->fe_logical >= s->end)
		return false;
	if (extent->fe_flags & placeless) {
		s->sum->is_inline = extent->fe_flags & FIEMAP_EXTENT_DATA_INLINE;
		s->unknown = true;
		return true;
	}
	const struct run next = {.logical = extent->fe_logical,
	                         .physical = extent->fe_physical,
	                         .length = MIN(extent->fe_length, s->end - extent->fe_logical),
	                         .unwritten = extent->fe_flags & FIEMAP_EXTENT_UNWRITTEN};
	if (!(extent->fe_flags & FIEMAP_EXTENT_SHARED))
		s->sum->own += next.length;
	if (next.logical != s->run.logical + s->run.length ||
	    next.physical != s->run.physical + s->run.length ||
	    next.unwritten != s->run.unwritten) {
		end_run(s);
		s->run = next;
	} else {
		s->run.length += next.length;
	}
	return true;
}

bool extents_sum(int fd, const struct stat *st, const uint64_t key[2], struct extents_sum *ret)
{
	uint64_t size = (uint64_t)st->st_size, block = (uint64_t)MAX(st->st_blksize, (blksize_t)1);
	struct summing s = {
	        .sum = ret, .key = key, .end = (size + block - 1) / block * block, .chain = size};
	*ret = (struct extents_sum){0};
	if (!extents_each(fd, FIEMAP_FLAG_SYNC, add_extent, &s))
		return false;
	end_run(&s);
	ret->places = s.unknown ? 0 : s.chain;
	return true;
}
