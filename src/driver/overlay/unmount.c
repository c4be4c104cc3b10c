/* SPDX-License-Identifier: Apache-2.0 */
/* Unmounts a layer, whoever mounted it. */
#include "base/fs.h"
#include "driver/mountinfo.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <sys/mount.h>

#define MAX_STACKED 64 /* so many mounts on top of each other are taken away */

/* Unmounts by the descriptor first: if another process mounted the home meanwhile, the path does not lead to the mount any more.
 * The path is for a process that has no /proc. */
static int unmount_in(int dirfd, const char *name, const char *path)
{
	_cleanup_free_ char *reached = str_printf("/proc/self/fd/%d/%s", dirfd, name);
	int flags = MNT_DETACH | UMOUNT_NOFOLLOW;

	if (reached && sys_umount2(reached, flags) == 0)
		return 0;
	return sys_umount2(path, flags);
}

/* A mount whose program died may not even tell that it is one. */
static bool is_mounted(int dirfd, const char *name)
{
	int mounted = mountinfo_is_mount_point(dirfd, name);
	return mounted == 1 || (mounted < 0 && errno == ENOTCONN);
}

int overlay_unmount(int dirfd, const char *name, const char *path, cst_error **error)
{
	for (int i = 0; i < MAX_STACKED && is_mounted(dirfd, name); i++) {
		if (unmount_in(dirfd, name, path) == 0)
			continue;
		/* Another namespace has the mount, or it is gone by now. */
		if (errno == EINVAL || errno == ENOENT)
			return 0;
		return error_sys(error, errno, "unmounting %s", path);
	}
	return 0;
}
