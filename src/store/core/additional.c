/* SPDX-License-Identifier: Apache-2.0 */
/* Additional image stores. Their records are looked at after the store's own. They are never locked
 * for writing and never changed. */
#include "store/core/additional.h"
#include "base/log.h"
#include <errno.h>
#include <unistd.h>

/* An additional store may be on a medium of another user, whose processes can hold its locks for
 * any time. */
#define LONGEST_WAIT_MS 5000

/* A part that is missing is empty: an image store may have the layers or the images of one
 * driver only, or nothing yet. */
static int open_part(const cst_store *store, const char *root, struct set *set, cst_error **error)
{
	set->foreign = true;
	set->dir = set_path(root, store, set->kind->files);
	_cleanup_free_ char *lock =
	        set->dir ? str_join(set->dir, "/", set->kind->files, ".lock") : NULL;
	if (!lock)
		return error_oom(error);
	set->fd = open(set->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (set->fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s", set->dir);
	int r = lockfile_new(lock, true, &set->lock, error);
	if (r < 0)
		return r;
	struct lock_wait wait = store->lock_wait;
	if (!wait.timeout_ms || wait.timeout_ms > LONGEST_WAIT_MS)
		wait.timeout_ms = LONGEST_WAIT_MS;
	lockfile_set_wait(set->lock, &wait);
	return 0;
}

static int open_one(cst_store *store, const char *root, struct additional_store *ret,
                    cst_error **error)
{
	struct set *layers = &ret->sets.layers, *images = &ret->sets.images;
	sets_init(&ret->sets);
	int r = open_part(store, root, images, error);
	if (r == 0)
		r = image_table_new(images->dir, true, &images->table, error);
	if (r == 0)
		set_use_index(store, images);
	if (r < 0 || ret->own)
		return r;
	r = open_part(store, root, layers, error);
	if (r < 0)
		return r;
	const struct layer_paths paths = {
	        .dir = layers->dir, .volatile_dir = layers->dir, .read_only = true};
	r = layer_table_new(&paths, &layers->table, error);
	if (r == 0)
		set_use_index(store, layers);
	return r;
}

static bool same_directory(const char *a, const char *b)
{
	struct stat first, second;
	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

static int open_roots(cst_store *store, const struct strv *roots, cst_error **error)
{
	for (size_t i = 0; i < roots->len; i++) {
		const char *root = roots->items[i];
		if (!*root)
			continue;
		if (same_directory(root, store->graph_root) ||
		    same_directory(root, store->image_store)) {
			log_warning("the additional image store %s is this store itself: ignored",
			            root);
			continue;
		}
		int r = open_one(store, root, &store->additional[store->n_additional++], error);
		if (r < 0)
			return r;
	}
	return 0;
}

int additional_open(cst_store *store, cst_error **error)
{
	const struct strv *roots = store->driver->ops->image_stores(store->driver);
	store->additional = new0(struct additional_store, roots->len + 1);
	if (!store->additional)
		return error_oom(error);
	if (!isempty(store->image_store)) {
		struct additional_store *own = &store->additional[store->n_additional++];
		own->own = true;
		int r = open_one(store, store->graph_root, own, error);
		if (r < 0)
			return r;
	}
	return open_roots(store, roots, error);
}

/* Does the message name something in this additional store? A message about our graph root, which
 * may be inside of it, does not count. */
static bool is_about(const cst_store *store, const char *message, const char *path)
{
	return *path && strstr(message, path) &&
	       (has_prefix(path, store->graph_root) || !strstr(message, store->graph_root));
}

int additional_blame(const cst_store *store, int code, cst_error **error)
{
	const char *message = error && *error ? cst_error_message(*error) : "";
	for (size_t i = 0; i < store->driver_options.len; i++) {
		const char *value = strstr(store->driver_options.items[i], "imagestore=");
		const char *origin = store->option_origins.items[i];
		_cleanup_strv_ struct strv paths = {0};
		if (!value || !*origin || !strv_split(&paths, strchr(value, '=') + 1, ','))
			continue;
		strv_foreach (path, &paths)
			if (is_about(store, message, path))
				return error_suffix(error, code, " (an additional image store, %s)",
				                    origin);
	}
	return code;
}

void additional_close(cst_store *store)
{
	for (size_t i = 0; i < store->n_additional; i++)
		sets_free(&store->additional[i].sets);
	free(store->additional);
}
