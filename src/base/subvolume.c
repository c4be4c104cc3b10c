/* SPDX-License-Identifier: Apache-2.0 */
/* Subvolumes of btrfs, by the ioctls of linux/btrfs.h. */
#include "base/subvolume.h"
#include "base/mem.h"
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
	                          .read_only = info.flags & BTRFS_ROOT_SUBVOL_RDONLY};
	memcpy(ret->uuid, info.uuid, sizeof(ret->uuid));
	return 1;
}

bool subvolume_remove(int dirfd, const char *name)
{
	struct subvolume subvolume;
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || subvolume_read(fd, &subvolume) != 1 || sys_subvolume_destroy(dirfd, name) < 0)
		return false;
	/* From 6.11 on the kernel does this itself once the subvolume's files are gone, and refuses it until then. Without quotas
	 * there is no group. */
	(void)sys_quota_forget(dirfd, subvolume.id);
	return true;
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
