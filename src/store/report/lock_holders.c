/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds the lock files of a store. Only directories are opened; the lock files of all drivers
 * are found by their names (docs/format/store.md, "Directory layout" and "Lock protocol"). */
#include "base/fs.h"
#include "config/storage_conf.h"
#include "lock/proc_locks.h"
#include <cstorage/report.h>
#include <stdio.h>
#include <sys/stat.h>

struct lock_path {
	const char *kind; /* static */
	char *path;
	struct lock_inode inode;
};

struct lock_paths {
	struct lock_path *items;
	size_t len, capacity;
};

struct cst_lock_holders {
	struct arena arena;
	cst_lock_holder *items;
	size_t len;
};

static void lock_paths_free(struct lock_paths *paths)
{
	for (size_t i = 0; i < paths->len; i++)
		free(paths->items[i].path);
	free(paths->items);
}

/* Adds the file if it exists and this process may look at it. */
static int add_file(struct lock_paths *paths, const char *kind, const char *dir, const char *name,
                    cst_error **error)
{
	struct lock_inode inode;
	_cleanup_free_ char *path = path_join(dir, name);
	if (!path)
		return error_oom(error);
	if (lock_inode_of(AT_FDCWD, path, &inode) < 0)
		return 0;
	for (size_t i = 0; i < paths->len; i++) /* two roots may be one */
		if (paths->items[i].inode.inode == inode.inode &&
		    paths->items[i].inode.stat_dev == inode.stat_dev)
			return 0;
	void *grown =
	        grow_array(paths->items, &paths->capacity, paths->len + 1, sizeof(*paths->items));
	if (!grown)
		return error_oom(error);
	paths->items = grown;
	paths->items[paths->len++] =
	        (struct lock_path){.kind = kind, .path = steal_ptr(&path), .inode = inode};
	return 0;
}

/* Lists a directory. One that is missing, or that this process may not read, is empty. */
static void list_dir(const char *path, struct strv *names)
{
	(void)fs_list_dir(AT_FDCWD, path, names, path, NULL);
}

/* Adds all files `<prefix>*` of a directory; with `inner`, that file of each of its directories. */
static int add_all(struct lock_paths *paths, const char *kind, const char *root, const char *dir,
                   const char *prefix, const char *inner, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	_cleanup_free_ char *path = path_join(root, dir);
	if (!path)
		return error_oom(error);
	list_dir(path, &names);
	for (size_t i = 0; i < names.len; i++) {
		_cleanup_free_ char *below = inner ? path_join(names.items[i], inner) : NULL;
		if (inner && !below)
			return error_oom(error);
		int r = has_prefix(names.items[i], prefix)
		                ? add_file(paths, kind, path, inner ? below : names.items[i], error)
		                : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Adds the lock files of a directory of a root: `<driver>-layers`, `<driver>-images` and so on, or
 * the home of a driver. */
static int add_directory(struct lock_paths *paths, const char *root, const char *name,
                         cst_error **error)
{
	static const struct {
		const char *suffix, *kind, *file;
	} files[] = {
	        {"-layers", "layers", "layers.lock"},
	        {"-layers", "mountpoints", "mountpoints.lock"},
	        {"-images", "images", "images.lock"},
	        {"-containers", "containers", "containers.lock"},
	};
	_cleanup_free_ char *dir = path_join(root, name);
	int r = dir ? 0 : error_oom(error);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		if (has_suffix(name, files[i].suffix))
			r = add_file(paths, files[i].kind, dir, files[i].file, error);
	if (r == 0 && has_suffix(name, "-layers"))
		return add_all(paths, "staging", dir, "tmp", "lock-", NULL, error);
	if (r == 0 && has_suffix(name, "-locks"))
		return add_all(paths, "digest", root, name, "", NULL, error);
	if (r == 0 && streq(name, "cstorage"))
		return add_all(paths, "journal", root, name, "", NULL, error);
	if (r == 0 && !strchr(name, '-')) {
		r = add_all(paths, "staging", dir, "tempdirs", "lock-", NULL, error);
		if (r == 0)
			r = add_all(paths, "staging", dir, "staging", "", "staging.lock", error);
	}
	return r;
}

static int add_root(struct lock_paths *paths, const char *root, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	if (isempty(root))
		return 0;
	int r = add_file(paths, "storage", root, "storage.lock", error);
	if (r == 0)
		r = add_file(paths, "userns", root, "userns.lock", error);
	list_dir(root, &names);
	for (size_t i = 0; r == 0 && i < names.len; i++)
		r = add_directory(paths, root, names.items[i], error);
	return r;
}

/* ---- what is handed out ---- */

static const char *command_of(struct arena *arena, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t size = 0;
	if (!pid)
		return "";
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (fs_read_file(AT_FDCWD, path, 4096, &text, &size, NULL) < 0)
		return "";
	return arena_strndup(arena, text, strcspn(text, "\n"));
}

static int by_path(const void *a, const void *b)
{
	const cst_lock_holder *left = a, *right = b;
	int order = strcmp(left->path, right->path);
	if (order == 0)
		order = left->waiting - right->waiting;
	return order ? order : (left->pid > right->pid) - (left->pid < right->pid);
}

static int make_holders(const struct lock_paths *paths, const struct lock_claim *claims, size_t n,
                        cst_lock_holders **ret, cst_error **error)
{
	cst_lock_holders *holders = new0(cst_lock_holders, 1);
	if (!holders)
		return error_oom(error);
	holders->items = new0(cst_lock_holder, n + 1);
	for (size_t i = 0; holders->items && i < n; i++) {
		const struct lock_path *file = &paths->items[claims[i].file];
		holders->items[i] =
		        (cst_lock_holder){.size = sizeof(cst_lock_holder),
		                          .lock = file->kind,
		                          .path = arena_strdup(&holders->arena, file->path),
		                          .pid = claims[i].pid,
		                          .command = command_of(&holders->arena, claims[i].pid),
		                          .mode = claims[i].write ? CST_LOCK_WRITE : CST_LOCK_READ,
		                          .waiting = claims[i].waiting};
	}
	if (!holders->items || holders->arena.failed) {
		cst_lock_holders_free(holders);
		return error_oom(error);
	}
	holders->len = n;
	qsort(holders->items, n, sizeof(*holders->items), by_path);
	*ret = holders;
	return 0;
}

int cst_store_options_lock_holders(const cst_store_options *given, cst_lock_holders **ret,
                                   cst_error **error)
{
	cst_store_options taken = CST_STORE_OPTIONS_INIT;
	const cst_store_options *options = &taken;
	_cleanup_(lock_paths_free) struct lock_paths paths = {0};
	_cleanup_free_ struct lock_claim *claims = NULL;
	size_t n = 0;
	int r = store_options_take(&taken, given, error);
	if (r < 0)
		return r;
	if (isempty(options->graph_root) || isempty(options->run_root))
		return error_wrap_code(error, CST_EINCOMPLETE_OPTIONS,
		                       "no storage runroot or graphroot specified");
	r = add_root(&paths, options->graph_root, error);
	if (r == 0)
		r = add_root(&paths, options->run_root, error);
	if (r == 0)
		r = add_root(&paths, options->image_store, error);
	_cleanup_free_ struct lock_inode *inodes = new0(struct lock_inode, paths.len + 1);
	if (r == 0 && !inodes)
		r = error_oom(error);
	for (size_t i = 0; r == 0 && i < paths.len; i++)
		inodes[i] = paths.items[i].inode;
	if (r == 0)
		r = lock_claims(inodes, paths.len, &claims, &n, error);
	return r == 0 ? make_holders(&paths, claims, n, ret, error) : r;
}

size_t cst_lock_holders_size(const cst_lock_holders *holders)
{
	return holders ? holders->len : 0;
}

const cst_lock_holder *cst_lock_holders_get(const cst_lock_holders *holders, size_t index)
{
	return index < cst_lock_holders_size(holders) ? &holders->items[index] : NULL;
}

void cst_lock_holders_free(cst_lock_holders *holders)
{
	if (!holders)
		return;
	arena_clear(&holders->arena);
	free(holders->items);
	free(holders);
}
