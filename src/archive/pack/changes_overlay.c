/* SPDX-License-Identifier: Apache-2.0 */
/* One overlay layer's own directory as a list of changes (docs/format/archive.md, "Changes"). */
#include "archive/pack/change_tracker.h"
#include "archive/pack/overlay_lowers.h"
#include "archive/pack/packer.h"
#include "archive/pack/stat_compare.h"
#include "archive/tree/xattrs.h"

/* A directory that is there below: changed itself, or only on the way to a change? */
static int compare_directory(const struct pack_options *options, const struct tree_entry *entry,
                             const struct stat *below, int lower_fd, enum cst_change_kind *ret,
                             cst_error **error)
{
	const struct stat *own = &entry->stat;
	*ret = CST_MODIFY;
	if (!S_ISDIR(below->st_mode) || own->st_size != below->st_size ||
	    own->st_mode != below->st_mode || !stat_same_mtime(own, below))
		return 0;
	/* Where ids are mapped the two layers may differ on disk and not in the container. */
	bool mapped = options->maps && (options->maps->uids.len || options->maps->gids.len);
	if (!mapped && (own->st_uid != below->st_uid || own->st_gid != below->st_gid))
		return 0;
	bool same;
	int r = xattrs_same(entry->dirfd, lower_fd, entry->name, entry->path, &same, error);
	if (r == 0 && same)
		*ret = CHANGE_UNREPORTED;
	return r;
}

static int kind_of(const struct pack_options *options, const struct tree_walk *walk,
                   const struct tree_entry *entry, enum cst_change_kind *ret, cst_error **error)
{
	if (stat_is_whiteout(&entry->stat)) {
		*ret = CST_DELETE;
		return 0;
	}
	struct stat below;
	int lower_fd;
	bool found;
	int r = overlay_find_below(walk, entry, &below, &lower_fd, &found, error);
	if (r < 0)
		return r;
	*ret = found ? CST_MODIFY : CST_ADD;
	if (!found || !S_ISDIR(entry->stat.st_mode))
		return 0;
	if (xattr_is_opaque(entry->dirfd, entry->name, options->userns)) {
		*ret = CST_DELETE;
		return 0;
	}
	return compare_directory(options, entry, &below, lower_fd, ret, error);
}

int changes_overlay(int diff_fd, const struct pack_options *options, struct cst_changes *ret,
                    cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	_cleanup_change_tracker_ struct change_tracker tracker = {0};
	int r = overlay_walk(diff_fd, options, false, &walk, error);
	if (r < 0)
		return r;
	for (;;) {
		enum tree_event event;
		struct tree_entry entry;
		enum cst_change_kind kind;
		r = tree_walk_next(walk, &event, &entry, error);
		if (r < 0)
			return r;
		if (event == TREE_END)
			break;
		if (event != TREE_ENTRY)
			continue;
		if (packer_leaves_out(entry.name, entry.path)) {
			tree_walk_skip(walk);
			continue;
		}
		size_t depth = tree_walk_depth(walk);
		if ((r = kind_of(options, walk, &entry, &kind, error)) < 0)
			return r;
		r = change_tracker_add(&tracker, entry.path, depth, S_ISDIR(entry.stat.st_mode),
		                       kind, error);
		if (r < 0)
			return r;
		if (kind == CST_ADD || kind == CST_DELETE)
			change_tracker_touch(&tracker, depth);
	}
	change_tracker_finish(&tracker, ret);
	return 0;
}
