/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out what a mount left in a layer's directory. With metacopy or redirect_dir the kernel leaves files there that have no
 * data, since the file below has them, and directories whose content is below under another name (kernel:
 * Documentation/filesystems/overlayfs.rst). A reader of that directory alone sees files of zeros and empty directories. The
 * options of today do not tell if there are any: another tool, or another configuration, may have mounted the layer.
 */
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>

/* 1, 0, or -1 and errno. */
static int has_attribute(int dirfd, const char *name, const char *attribute)
{
	char path[XATTR_PATH_MAX];
	xattr_path(path, dirfd, name);
	if (lgetxattr(path, attribute, NULL, 0) >= 0)
		return 1;
	return errno == ENODATA || errno == EOPNOTSUPP || errno == ENOENT ? 0 : -1;
}

/* The first mount that can write makes work/work. The kernel marks every directory that it copies something into, first of all
 * the root. Either can get lost when the store is copied, so one of them is enough. */
int overlay_may_be_upper(int layer_fd, bool *ret, cst_error **error)
{
	struct stat st;
	const char *impure =
	        driver_is_rootless() ? "user.overlay.impure" : "trusted.overlay.impure";
	bool worked = fstatat(layer_fd, "work/work", &st, AT_SYMLINK_NOFOLLOW) == 0;
	int marked = worked ? 1 : has_attribute(layer_fd, "diff", impure);
	if (marked < 0)
		return error_sys(error, errno, "getxattr diff %s", impure);
	*ret = marked;
	return 0;
}

/* Has this file or directory an attribute that says that the rest of it is below? */
static int points_below(const struct tree_entry *entry, bool *ret, cst_error **error)
{
	const char *prefix = driver_is_rootless() ? "user.overlay." : "trusted.overlay.";
	const char *word = S_ISREG(entry->stat.st_mode) ? "metacopy" : "redirect";
	char attribute[64];
	if (!S_ISREG(entry->stat.st_mode) && !S_ISDIR(entry->stat.st_mode))
		return 0;
	snprintf(attribute, sizeof(attribute), "%s%s", prefix, word);
	int found = has_attribute(entry->dirfd, entry->name, attribute);
	if (found < 0)
		return error_sys(error, errno, "getxattr %s %s", entry->path, attribute);
	*ret = found;
	return 0;
}

int overlay_points_below(int diff_fd, bool *ret, cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	struct tree_entry entry;
	enum tree_event event = TREE_ENTRY;
	bool found = false;
	int r = tree_walk_new(&diff_fd, 1, false, &walk, error);
	while (r == 0 && event != TREE_END && !found) {
		r = tree_walk_next(walk, &event, &entry, error);
		if (r == 0 && event == TREE_ENTRY)
			r = points_below(&entry, &found, error);
	}
	if (r == 0)
		*ret = found;
	return r;
}
