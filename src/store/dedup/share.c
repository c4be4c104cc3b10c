/* SPDX-License-Identifier: Apache-2.0 */
/* Two files, one of which is to share the blocks of the other. */
#include "archive/tree/extents.h"
#include "base/sys.h"
#include "store/dedup/dedup.h"
#include <errno.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

/* The kernel takes at most 1 GiB at once. It cannot be interrupted meanwhile, and holds both files, so it gets less. */
#define SHARE_AT_ONCE (UINT64_C(16) << 20)

static bool is_unsupported(int errnum)
{
	return errnum == EOPNOTSUPP || errnum == ENOTTY || errnum == ENOSYS;
}

/* The first members of struct xfs_fsop_geom, which xfs/xfs_fs.h has: not all machines have that header. */
struct xfs_geometry {
	uint8_t sizes[92];
	uint32_t flags;
	uint8_t more[16];
};
#define XFS_GEOMETRY      _IOR('X', 100, struct xfs_geometry)
#define XFS_FLAGS_REFLINK (UINT32_C(1) << 20)

/* xfs without reflinks refuses only when there is something to share. */
static bool is_xfs_without_reflink(int fd)
{
	struct xfs_geometry geometry = {.flags = 0};
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && fs.f_type == XFS_SUPER_MAGIC &&
	       ioctl(fd, XFS_GEOMETRY, &geometry) == 0 && !(geometry.flags & XFS_FLAGS_REFLINK);
}

bool dedup_root_can_share(struct dedup *d, struct dedup_root *root, const struct dedup_file *file)
{
	uint64_t same;
	struct stat st;
	if (root->was_tried)
		return root->can_share;
	_cleanup_close_ int fd = dedup_open(d, file, &st);
	if (fd < 0)
		return true; /* it was removed: another file will tell */
	/* Nothing is asked for: only a file system that cannot share refuses. */
	root->can_share = !is_xfs_without_reflink(fd) &&
	                  (sys_dedupe_range(fd, fd, 0, 0, &same) == 0 || !is_unsupported(errno));
	root->was_tried = true;
	return root->can_share;
}

/* Nothing may be changed of such a file, and if only the place of its content. */
static bool is_sealed(int fd)
{
	static const uint64_t sealed = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_VERITY;
	struct statx stx;
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0 &&
	       (stx.stx_attributes & sealed);
}

/* These two may not share: they are on different file systems, or the file is not ours to change, or it is in use as swap. */
static bool is_refusal(int errnum)
{
	return errnum == EXDEV || errnum == EPERM || errnum == EACCES || errnum == EINVAL ||
	       errnum == ETXTBSY;
}

static int share_content(struct dedup *d, const struct dedup_file *to, int from_fd, int to_fd,
                         cst_error **error)
{
	for (uint64_t offset = 0, same; offset < to->size; offset += same) {
		int r = dedup_progress(d, 0, error);
		if (r < 0)
			return r;
		uint64_t length = MIN(to->size - offset, SHARE_AT_ONCE);
		if (sys_dedupe_range(from_fd, to_fd, offset, length, &same) < 0) {
			if (is_unsupported(errno))
				return dedup_cannot(to->layer->root, error);
			if (!is_refusal(errno))
				dedup_leave(d, to, errno);
			return 0;
		}
		if (same == 0)
			return 0;
	}
	return 1;
}

int dedup_share(struct dedup *d, const struct dedup_file *from, const struct dedup_file *to,
                uint64_t *freed, cst_error **error)
{
	struct extents_sum before = {0};
	struct stat from_st, st;
	_cleanup_close_ int to_fd = dedup_open(d, to, &st);
	_cleanup_close_ int from_fd = to_fd < 0 ? -1 : dedup_open(d, from, &from_st);
	if (from_fd < 0 || is_sealed(to_fd))
		return 0;
	extents_sum(to_fd, &st, d->known.key, &before);
	int r = share_content(d, to, from_fd, to_fd, error);
	if (r == 1)
		*freed = before.own;
	return r;
}
