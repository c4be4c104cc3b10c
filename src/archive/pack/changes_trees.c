/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between two full trees (docs/format/archive.md, "Changes", naive). */
#include "archive/pack/change_tracker.h"
#include "archive/pack/packer.h"
#include "archive/pack/stat_compare.h"
#include "archive/tree/walk.h"
#include "base/fs.h"
#include <errno.h>
#include <unistd.h>

struct comparison {
	const struct pack_options *options;
	struct tree_walk *walk;
	struct change_tracker tracker;
	struct stat root, old_root; /* of the two trees */
};

static void comparison_free(struct comparison *c)
{
	change_tracker_free(&c->tracker);
	if (c->walk)
		tree_walk_free(c->walk);
}

static int same_target(const struct tree_entry *entry, int old_fd, bool *ret, cst_error **error)
{
	_cleanup_free_ char *now = fs_readlink(entry->dirfd, entry->name);
	_cleanup_free_ char *before = now ? fs_readlink(old_fd, entry->name) : NULL;
	if (!before)
		return error_sys(error, errno, "readlink %s", entry->path);
	*ret = streq(now, before);
	return 0;
}

/* Is this one inode that has not changed since the snapshot was made? It has the same number and the same time of its last change in
 * both trees, and that was before. A directory tells by it which names it has, and nothing of what is behind them. */
static bool is_untouched(const struct comparison *c, const struct stat *now, const struct stat *old)
{
	const struct timespec *changed = &now->st_ctim, *snapshot = &c->options->snapshot;
	return now->st_ino == old->st_ino && now->st_dev == c->root.st_dev &&
	       old->st_dev == c->old_root.st_dev && changed->tv_sec == old->st_ctim.tv_sec &&
	       changed->tv_nsec == old->st_ctim.tv_nsec &&
	       (changed->tv_sec < snapshot->tv_sec ||
	        (changed->tv_sec == snapshot->tv_sec && changed->tv_nsec < snapshot->tv_nsec));
}

static int same_file(const struct comparison *c, const struct tree_entry *entry, int old_fd,
                     const struct stat *old, bool *ret, cst_error **error)
{
	const struct stat *now = &entry->stat;
	bool device = S_ISCHR(now->st_mode) || S_ISBLK(now->st_mode);
	*ret = now->st_mode == old->st_mode &&
	       stat_same_owner(now, c->options->maps, old, c->options->old_maps) &&
	       (!device || now->st_rdev == old->st_rdev) && stat_same_mtime(now, old) &&
	       (S_ISDIR(now->st_mode) || now->st_size == old->st_size);
	int r = 0;
	if (*ret && is_untouched(c, now, old))
		return 0;
	if (*ret && S_ISLNK(now->st_mode))
		r = same_target(entry, old_fd, ret, error);
	if (r == 0 && *ret)
		r = xattrs_same(entry->dirfd, old_fd, entry->name, entry->path, ret, error);
	return r;
}

/* Where the old tree has the directory the entry is in; -1: it has not. */
static int old_directory(const struct tree_walk *walk)
{
	return tree_walk_beside(walk) ? tree_walk_beside_fd(walk, 0) : -1;
}

static int compare_entry(struct comparison *c, const struct tree_entry *entry, cst_error **error)
{
	enum cst_change_kind kind = CST_ADD;
	int old_fd = old_directory(c->walk);
	struct stat old;
	bool there = old_fd >= 0 && fstatat(old_fd, entry->name, &old, AT_SYMLINK_NOFOLLOW) == 0;
	if (!there && old_fd >= 0 && errno != ENOENT)
		return error_sys(error, errno, "lstat %s", entry->path);
	int r;
	if (there) {
		bool same = old.st_dev == entry->stat.st_dev && old.st_ino == entry->stat.st_ino;
		if (same) {
			tree_walk_skip(c->walk); /* the very same object */
			return 0;
		}
		if ((r = same_file(c, entry, old_fd, &old, &same, error)) < 0)
			return r;
		kind = same ? CHANGE_UNREPORTED : CST_MODIFY;
	}
	bool is_directory = S_ISDIR(entry->stat.st_mode);
	if (kind == CHANGE_UNREPORTED && !is_directory)
		return 0;
	if (packer_leaves_out(entry->name, entry->path)) {
		tree_walk_skip(c->walk);
		return 0;
	}
	size_t depth = tree_walk_depth(c->walk);
	r = change_tracker_add(&c->tracker, entry->path, depth, is_directory, kind, error);
	if (r == 0 && kind != CHANGE_UNREPORTED)
		change_tracker_touch(&c->tracker, depth);
	return r;
}

/* Names of the old directory that the new one lacks. The lists tell it: fuse-overlayfs 1.10 also finds names that it does not list,
 * below a directory that is opaque. */
static int find_deleted(struct comparison *c, int new_fd, const char *path, cst_error **error)
{
	int old_fd = old_directory(c->walk);
	if (old_fd < 0)
		return 0;
	struct stat now_stat, old_stat;
	if (fstat(new_fd, &now_stat) < 0 || fstat(old_fd, &old_stat) < 0)
		return error_sys(error, errno, "stat %s", path);
	if (is_untouched(c, &now_stat, &old_stat))
		return 0;
	_cleanup_strv_ struct strv names = {0}, now = {0};
	_cleanup_strbuf_ struct strbuf full = {0};
	int r = fs_list_dir(old_fd, ".", &names, path, error);
	if (r == 0)
		r = fs_list_dir(new_fd, ".", &now, path, error);
	if (r < 0)
		return r;
	size_t i = 0;
	strv_foreach (name, &names) {
		while (i < now.len && strcmp(now.items[i], name) < 0)
			i++;
		if (i < now.len && streq(now.items[i], name))
			continue;
		strbuf_reset(&full);
		strbuf_adds(&full, path);
		if (*path)
			strbuf_addc(&full, '/');
		strbuf_adds(&full, name);
		if (full.failed)
			return error_oom(error);
		if (packer_leaves_out(name, full.data))
			continue;
		size_t depth = tree_walk_depth(c->walk);
		r = change_tracker_add(&c->tracker, full.data, depth, false, CST_DELETE, error);
		if (r < 0)
			return r;
		change_tracker_touch(&c->tracker, depth);
	}
	return 0;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct path_change *)a)->path, ((const struct path_change *)b)->path);
}

static int compare_all(struct comparison *c, int new_fd, cst_error **error)
{
	for (;;) {
		enum tree_event event;
		struct tree_entry entry;
		int r = tree_walk_next(c->walk, &event, &entry, error);
		if (r == 0 && event == TREE_ENTRY)
			r = compare_entry(c, &entry, error);
		else if (r == 0 && event == TREE_LEAVE)
			r = find_deleted(c, entry.dirfd, entry.path, error);
		else if (r == 0)
			return find_deleted(c, new_fd, "", error);
		if (r < 0)
			return r;
	}
}

int changes_trees(int old_fd, int new_fd, const struct pack_options *options,
                  struct cst_changes *ret, cst_error **error)
{
	_cleanup_(comparison_free) struct comparison c = {.options = options};
	struct cst_changes found;
	int roots[] = {new_fd, old_fd};
	if (fstat(new_fd, &c.root) < 0 || (old_fd >= 0 && fstat(old_fd, &c.old_root) < 0))
		return error_sys(error, errno, "stat the root of a tree");
	int r = tree_walk_new(roots, old_fd < 0 ? 1 : 2, false, &c.walk, error);
	if (r < 0 || (r = compare_all(&c, new_fd, error)) < 0)
		return r;
	change_tracker_finish(&c.tracker, &found);
	if (found.len > 1)
		qsort(found.items, found.len, sizeof(struct path_change), compare_paths);
	*ret = found;
	return 0;
}
