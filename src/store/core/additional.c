/* SPDX-License-Identifier: Apache-2.0 */
/* Additional image stores: looked into after the store's own records, never locked for writing,
 * never changed. */
#include "store/core/additional.h"
#include "base/log.h"
#include <errno.h>
#include <unistd.h>

/* An additional store may be on a medium of somebody else, whose processes hold its locks as long as
 * they like. */
#define LONGEST_WAIT_MS 5000

static struct lock_wait wait_for(const cst_store *store, const struct set *set)
{
	struct lock_wait wait = store->lock_wait;
	if (set->foreign && (!wait.timeout_ms || wait.timeout_ms > LONGEST_WAIT_MS))
		wait.timeout_ms = LONGEST_WAIT_MS;
	return wait;
}

/* A part that is not there is empty: an image store may hold only one driver's half, or nothing
 * yet. */
static int open_part(const cst_store *store, const char *lock_name, struct set *set,
                     cst_error **error)
{
	const char *dir = set->dir;
	_cleanup_free_ char *path = path_join(dir, lock_name);
	if (!path)
		return error_oom(error);
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s", dir);
	int r = lockfile_new(path, true, &set->lock, error);
	if (r < 0)
		return r;
	const struct lock_wait wait = wait_for(store, set);
	lockfile_set_wait(set->lock, &wait);
	set->fd = steal_fd(&fd);
	return 0;
}

static int open_images(const cst_store *store, struct set *images, cst_error **error)
{
	int r = open_part(store, "images.lock", images, error);
	return r == 0 ? image_table_new(images->dir, true, &images->table, error) : r;
}

static int open_layers(const cst_store *store, struct set *layers, cst_error **error)
{
	struct layer_paths paths = {
	        .dir = layers->dir, .volatile_dir = layers->dir, .read_only = true};
	int r = open_part(store, "layers.lock", layers, error);
	return r == 0 ? layer_table_new(&paths, &layers->table, error) : r;
}

static int open_one(cst_store *store, const char *root, struct additional_store *ret,
                    cst_error **error)
{
	struct set *layers = &ret->sets.layers, *images = &ret->sets.images;
	sets_init(&ret->sets);
	layers->foreign = images->foreign = true;
	ret->root = strdup(root);
	layers->dir = set_path(root, store, layers->kind->files);
	images->dir = set_path(root, store, images->kind->files);
	if (!ret->root || !layers->dir || !images->dir)
		return error_oom(error);
	int r = open_images(store, images, error);
	return r == 0 && !ret->own ? open_layers(store, layers, error) : r;
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

/* Does the message name something in this additional store? That the graph root is in there does not count. */
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
	for (size_t i = 0; i < store->n_additional; i++) {
		sets_free(&store->additional[i].sets);
		free(store->additional[i].root);
	}
	free(store->additional);
}
