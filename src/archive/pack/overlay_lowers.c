/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up what the layers below have at the place of an entry (overlay_lowers.h). */
#include "archive/pack/overlay_lowers.h"
#include "archive/pack/packer.h"
#include <errno.h>
#include <fcntl.h>

int overlay_walk(int diff_fd, const struct pack_options *options, bool lenient,
                 struct tree_walk **ret, cst_error **error)
{
	_cleanup_free_ int *roots = new0(int, options->n_lowers + 1);
	if (!roots)
		return error_oom(error);
	roots[0] = diff_fd;
	if (options->n_lowers)
		memcpy(roots + 1, options->lowers, options->n_lowers * sizeof(int));
	return tree_walk_new(roots, options->n_lowers + 1, lenient, ret, error);
}

int overlay_find_below(const struct tree_walk *walk, const struct tree_entry *entry,
                       struct stat *ret, int *lower_fd, bool *found, cst_error **error)
{
	struct stat st;
	for (size_t i = 0; i < tree_walk_beside(walk); i++) {
		int fd = tree_walk_beside_fd(walk, i);
		if (fstatat(fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			*found = !stat_is_whiteout(&st);
			*ret = st;
			if (lower_fd)
				*lower_fd = fd;
			return 0;
		}
		if (errno != ENOENT)
			return error_sys(error, errno, "lstat %s", entry->path);
	}
	*found = false;
	return 0;
}
