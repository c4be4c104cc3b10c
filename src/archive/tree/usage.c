/* SPDX-License-Identifier: Apache-2.0 */
/* Disk usage as the store counts it (docs/format/drivers.md, "Usage and dedup"). */
#include "archive/pack/pack.h"
#include "archive/tree/inode_map.h"
#include "archive/tree/walk.h"

int usage_tree(int root_fd, int64_t *ret_bytes, int64_t *ret_inodes, cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	_cleanup_inode_map_ struct inode_map seen = {0};
	int64_t bytes = 0, inodes = 1;
	int r = tree_walk_new(&root_fd, 1, false, &walk, error);
	if (r < 0)
		return r;
	for (;;) {
		enum tree_event event;
		struct tree_entry entry;
		r = tree_walk_next(walk, &event, &entry, error);
		if (r < 0)
			return r;
		if (event == TREE_END)
			break;
		if (event != TREE_ENTRY)
			continue;
		bool is_directory = S_ISDIR(entry.stat.st_mode), failed = false;
		if (!is_directory && entry.stat.st_nlink > 1 &&
		    !inode_map_add(&seen, entry.stat.st_dev, entry.stat.st_ino, &failed))
			continue;
		if (failed)
			return error_oom(error);
		inodes++;
		bytes += is_directory ? 0 : entry.stat.st_size;
	}
	*ret_bytes = bytes;
	*ret_inodes = inodes;
	return 0;
}
