/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tree/relabel.h"
#include "archive/tree/walk.h"
#include "base/str.h"
#include "base/sys.h"
#include <errno.h>
#include <fcntl.h>

static int relabel(int fd, const char *label, const char *shown, cst_error **error)
{
	if (fd >= 0 && sys_fsetxattr(fd, SELINUX_XATTR, label, strlen(label), 0) == 0)
		return 0;
	return error_sys(error, errno, "lsetxattr(label=%s) %s", label, shown);
}

int relabel_tree(int dirfd, const char *label, cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	enum tree_event event = TREE_ENTRY;
	struct tree_entry entry;
	int r = tree_walk_new(&dirfd, 1, false, &walk, error);
	while (r == 0 && event != TREE_END) {
		r = tree_walk_next(walk, &event, &entry, error);
		if (r < 0 || event != TREE_ENTRY)
			continue;
		_cleanup_close_ int fd =
		        openat(entry.dirfd, entry.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		r = relabel(fd, label, entry.path, error);
	}
	return r == 0 ? relabel(dirfd, label, "the root of the layer", error) : r;
}
