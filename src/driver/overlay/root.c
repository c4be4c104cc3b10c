/* SPDX-License-Identifier: Apache-2.0 */
/* Owner and mode of a layer's root directory. With force_mask the directory itself has others, and an attribute has the true ones
 * (docs/format/drivers.md, "force_mask"). */
#include "archive/tree/xattrs.h"
#include "base/sys.h"
#include "driver/overlay/staged.h"
#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>

#define OVERRIDE "user.containers.override_stat"

/* "UID:GID:MODE", the mode in octal, and maybe more. */
static bool parse(const char *text, struct root_attributes *ret)
{
	unsigned uid, gid, mode;
	if (sscanf(text, "%u:%u:%o", &uid, &gid, &mode) != 3)
		return false;
	*ret = (struct root_attributes){uid, gid, mode & 07777};
	return true;
}

int overlay_read_root(int dirfd, const char *name, struct root_attributes *ret, const char *shown,
                      cst_error **error)
{
	char path[XATTR_PATH_MAX], value[96];
	struct stat st;
	xattr_path(path, dirfd, name);
	ssize_t n = lgetxattr(path, OVERRIDE, value, sizeof(value) - 1);
	value[n > 0 ? n : 0] = '\0';
	if (n > 0 && parse(value, ret))
		return 0;
	if (fstatat(dirfd, name, &st, 0) < 0)
		return error_sys(error, errno, "stat %s/%s", shown, name);
	*ret = (struct root_attributes){st.st_uid, st.st_gid, st.st_mode & 07777};
	return 0;
}

int overlay_note_root(int fd, const struct root_attributes *root, const char *shown,
                      cst_error **error)
{
	char value[96];
	int n = snprintf(value, sizeof(value), "%u:%u:%04o:dir", root->uid, root->gid,
	                 (unsigned)root->mode);
	if (sys_fsetxattr(fd, OVERRIDE, value, (size_t)n, 0) < 0)
		return error_sys(error, errno, "setxattr %s " OVERRIDE, shown);
	return 0;
}
