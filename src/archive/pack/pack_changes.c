/* SPDX-License-Identifier: Apache-2.0 */
/* A full tree, or what changed in it, as a layer tar (docs/format/archive.md, "Producing a layer
 * tar"). */
#include "archive/pack/packer.h"
#include "archive/tree/walk.h"
#include "base/fs.h"
#include <errno.h>
#include <unistd.h>

/* The directory of the last path, since the next one is often in it or below. */
struct parent_cache {
	int root, fd;
	char *path; /* "" is the root */
};

static void parent_cache_free(struct parent_cache *cache)
{
	closep(&cache->fd);
	free(cache->path);
}

/* Descriptor of the directory `path` (n bytes, no slash at either end). *ret -1: it is gone. */
static int open_parent(struct parent_cache *cache, const char *path, size_t n, int *ret,
                       cst_error **error)
{
	size_t have = cache->path ? strlen(cache->path) : 0;
	bool below = cache->fd >= 0 && have > 0 && n >= have &&
	             strncmp(cache->path, path, have) == 0 && (n == have || path[have] == '/');
	*ret = cache->fd;
	if (below && n == have)
		return 0;
	_cleanup_free_ char *wanted = strndup(path, n);
	if (!wanted)
		return error_oom(error);
	int fd = below ? fs_open_dir_below(cache->fd, wanted + have + 1, O_PATH)
	               : fs_open_dir_below(cache->root, wanted, O_PATH);
	*ret = fd;
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
		               ? 0
		               : error_sys(error, errno, "open %s", wanted);
	closep(&cache->fd);
	cache->fd = fd;
	free(cache->path);
	cache->path = steal_ptr(&wanted);
	return 0;
}

/* Where a changed file is now. *ret_fd -1: it is gone. */
static int find_changed(struct parent_cache *cache, const char *path, int *ret_fd, struct stat *st,
                        cst_error **error)
{
	const char *name = path_base(path);
	int r = open_parent(cache, path, name > path ? (size_t)(name - path) - 1 : 0, ret_fd,
	                    error);
	if (r < 0 || *ret_fd < 0 || fstatat(*ret_fd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return r;
	*ret_fd = -1;
	return errno == ENOENT ? 0 : error_sys(error, errno, "lstat %s", path);
}

static const char *unrooted(const struct path_change *change)
{
	return change->path + (change->path[0] == '/');
}

static int pack_change(struct packer *packer, struct parent_cache *cache,
                       const struct path_change *change, cst_error **error)
{
	const char *path = unrooted(change);
	if (change->kind == CST_DELETE)
		return packer_add_whiteout(packer, path, NULL, error);
	int fd;
	struct stat st;
	int r = find_changed(cache, path, &fd, &st, error);
	if (r < 0 || fd < 0)
		return r;
	return packer_add(packer, fd, path_base(path), path, &st, NULL, error);
}

int pack_changes(int new_fd, const struct cst_changes *changes, const struct pack_options *options,
                 const cst_sink *sink, cst_error **error)
{
	_cleanup_packer_ struct packer packer = {0};
	_cleanup_(parent_cache_free) struct parent_cache cache = {.root = new_fd, .fd = -1};
	int r = packer_init(&packer, options, sink, error);
	for (size_t i = 0; r == 0 && i < changes->len; i++)
		r = pack_change(&packer, &cache, &changes->items[i], error);
	return r < 0 ? r : packer_finish(&packer, error);
}

int pack_tree(int root_fd, const struct pack_options *options, const cst_sink *sink,
              cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	_cleanup_packer_ struct packer packer = {0};
	int r = tree_walk_new(&root_fd, 1, true, &walk, error);
	if (r < 0 || (r = packer_init(&packer, options, sink, error)) < 0)
		return r;
	for (;;) {
		enum tree_event event;
		struct tree_entry entry;
		r = tree_walk_next(walk, &event, &entry, error);
		if (r < 0)
			return r;
		if (event == TREE_END)
			return packer_finish(&packer, error);
		if (event == TREE_ENTRY)
			r = packer_add(&packer, entry.dirfd, entry.name, entry.path, &entry.stat,
			               NULL, error);
		if (r < 0)
			return r;
	}
}

int changes_size(int new_fd, const struct cst_changes *changes, int64_t *ret, cst_error **error)
{
	_cleanup_(parent_cache_free) struct parent_cache cache = {.root = new_fd, .fd = -1};
	_cleanup_inode_map_ struct inode_map seen = {0};
	int64_t total = 0;
	for (size_t i = 0; i < changes->len; i++) {
		const struct path_change *change = &changes->items[i];
		if (change->kind == CST_DELETE)
			continue;
		int fd;
		struct stat st;
		int r = find_changed(&cache, unrooted(change), &fd, &st, error);
		if (r < 0)
			return r;
		if (fd < 0)
			continue;
		bool failed = false;
		if (S_ISDIR(st.st_mode) ||
		    (st.st_nlink > 1 && !inode_map_add(&seen, st.st_dev, st.st_ino, &failed)))
			continue;
		if (failed)
			return error_oom(error);
		total += st.st_size;
	}
	*ret = total;
	return 0;
}
