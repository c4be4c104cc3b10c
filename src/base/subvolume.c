/* SPDX-License-Identifier: Apache-2.0 */
/* Subvolumes of btrfs, by the ioctls of linux/btrfs.h. */
#include "base/subvolume.h"
#include "base/fs.h"
#include "base/sys.h"
#include <errno.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

static int is_subvolume(int fd)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_ino != BTRFS_FIRST_FREE_OBJECTID)
		return 0;
	return fstatfs(fd, &fs) < 0 ? -1 : fs.f_type == BTRFS_SUPER_MAGIC;
}

int subvolume_read(int fd, struct subvolume *ret)
{
	struct btrfs_ioctl_get_subvol_info_args info = {0};
	int is = is_subvolume(fd);

	if (is <= 0 || !ret)
		return is;
	if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0)
		return -1;
	*ret = (struct subvolume){.id = info.treeid,
	                          .read_only = info.flags & BTRFS_ROOT_SUBVOL_RDONLY,
	                          .made = {(time_t)info.otime.sec, (long)info.otime.nsec}};
	memcpy(ret->uuid, info.uuid, sizeof(ret->uuid));
	memcpy(ret->parent_uuid, info.parent_uuid, sizeof(ret->parent_uuid));
	return 1;
}

bool subvolume_is_snapshot(const struct subvolume *one, const struct subvolume *of)
{
	static const uint8_t none[sizeof(of->uuid)];
	return memcmp(one->parent_uuid, none, sizeof(none)) != 0 &&
	       memcmp(one->parent_uuid, of->uuid, sizeof(of->uuid)) == 0;
}

/* ---- subvolumes in subvolumes ---- */

/* A user can nest them as deep as there is room. Further down than this nothing is copied, and removing is slow. */
#define MAX_DEPTH 32

/* Adds the path of a subvolume, which is in the directory with the inode number dirid. */
static int add_path(int fd, uint64_t id, uint64_t dirid, struct strv *ret)
{
	struct btrfs_ioctl_ino_lookup_user_args where = {.dirid = dirid, .treeid = id};
	_cleanup_free_ char *path = NULL;

	if (ioctl(fd, BTRFS_IOC_INO_LOOKUP_USER, &where) < 0)
		return errno == ENOENT ? 0 : -1; /* it was removed meanwhile */
	path = str_join(where.path, where.name);
	if (path && strv_add(ret, path))
		return 0;
	errno = ENOMEM;
	return -1;
}

/* The paths of the subvolumes in it, without those in them. -1 and errno. */
static int list_inner(int fd, struct strv *ret)
{
	struct btrfs_ioctl_get_subvol_rootref_args inner = {0};
	bool more;

	do {
		more = ioctl(fd, BTRFS_IOC_GET_SUBVOL_ROOTREF, &inner) < 0;
		if (more && errno != EOVERFLOW)
			return -1;
		for (size_t i = 0; i < inner.num_items; i++)
			if (add_path(fd, inner.rootref[i].treeid, inner.rootref[i].dirid, ret) < 0)
				return -1;
	} while (more); /* the kernel has set min_treeid to the next one */
	return 0;
}

/* Opens the directory that a path leads to, but for its last part, which is *name. -1 and errno. */
static int open_above(int fd, const char *path, const char **name)
{
	_cleanup_free_ char *above = NULL;

	*name = path_base(path);
	above = strndup(path, (size_t)(*name - path));
	return above ? fs_open_dir_below(fd, above, O_RDONLY) : -1;
}

static int copy_inner(int from_fd, int to_fd, const char *path, int depth);

static int copy(int fd, int dirfd, const char *name, int depth)
{
	_cleanup_close_ int copied = -1;
	_cleanup_strv_ struct strv inner = {0};

	if (sys_subvolume_snapshot(fd, dirfd, name) < 0)
		return -1;
	if (depth == MAX_DEPTH || list_inner(fd, &inner) < 0)
		return depth == MAX_DEPTH ? 0 : -1;
	if (inner.len == 0)
		return 0;
	copied = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (copied < 0)
		return -1;
	strv_foreach (path, &inner)
		if (copy_inner(fd, copied, path, depth + 1) < 0)
			return -1;
	return 0;
}

/* The snapshot has an empty directory in the place of a subvolume that was in the original. */
static int copy_inner(int from_fd, int to_fd, const char *path, int depth)
{
	const char *name = NULL;
	_cleanup_close_ int from = fs_open_dir_below(from_fd, path, O_RDONLY),
	                    above = open_above(to_fd, path, &name);
	struct stat st;

	if (from < 0 || above < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(above, &st) < 0 || sys_unlinkat(above, name, AT_REMOVEDIR) < 0 ||
	    copy(from, above, name, depth) < 0)
		return -1;
	const struct timespec times[2] = {st.st_atim, st.st_mtim};
	return sys_futimens(above, times);
}

int subvolume_copy(int fd, int dirfd, const char *name)
{
	return copy(fd, dirfd, name, 0);
}

static bool remove_at(int dirfd, const char *name, int depth);

static void remove_inner(int fd, int depth)
{
	_cleanup_strv_ struct strv inner = {0};

	if (depth == MAX_DEPTH || list_inner(fd, &inner) < 0)
		return;
	strv_foreach (path, &inner) {
		const char *name = NULL;
		_cleanup_close_ int above = open_above(fd, path, &name);

		if (above >= 0)
			(void)remove_at(above, name, depth + 1);
	}
}

static bool remove_at(int dirfd, const char *name, int depth)
{
	struct subvolume subvolume;
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || subvolume_read(fd, &subvolume) != 1)
		return false;
	int r = sys_subvolume_destroy(dirfd, name);
	if (r < 0 && errno == ENOTEMPTY) {
		remove_inner(fd, depth);
		r = sys_subvolume_destroy(dirfd, name);
	}
	if (r < 0)
		return false;
	/* From 6.11 on the kernel does this itself once the subvolume's files are gone, and refuses it until then. Without quotas
	 * there is no group. */
	(void)sys_quota_forget(dirfd, subvolume.id);
	return true;
}

bool subvolume_remove(int dirfd, const char *name)
{
	return remove_at(dirfd, name, 0);
}

bool subvolume_quota_is_enabled(int fd)
{
	struct btrfs_ioctl_search_args search = {.key = {
	                                                 .tree_id = BTRFS_QUOTA_TREE_OBJECTID,
	                                                 .min_type = BTRFS_QGROUP_STATUS_KEY,
	                                                 .max_type = BTRFS_QGROUP_STATUS_KEY,
	                                                 .max_objectid = UINT64_MAX,
	                                                 .max_offset = UINT64_MAX,
	                                                 .max_transid = UINT64_MAX,
	                                                 .nr_items = 1,
	                                         }};

	return ioctl(fd, BTRFS_IOC_TREE_SEARCH, &search) == 0 && search.key.nr_items > 0;
}
