/* SPDX-License-Identifier: Apache-2.0 */
/* Additional image stores: looked into after the store's own records, never locked for writing,
 * never changed. */
#include "base/log.h"
#include "store/core/store.h"
#include <errno.h>
#include <unistd.h>

/* A part that is not there is empty: an image store may hold only one driver's half, or nothing
 * yet. */
static int open_part(const char *dir, const char *lock_name, struct store_set *set, int *ret_fd,
                     cst_error **error)
{
	_cleanup_free_ char *path = path_join(dir, lock_name);
	if (!path)
		return error_oom(error);
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s", dir);
	int r = lockfile_new(path, true, &set->lock, error);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

static int open_one(cst_store *store, const char *root, struct additional_store *ret,
                    cst_error **error)
{
	const char *driver = store->driver->ops->name;
	ret->layers_fd = ret->images_fd = -1;
	store_set_init(&ret->layer_set, &additional_layer_ops);
	store_set_init(&ret->image_set, &additional_image_ops);
	ret->layer_set.foreign = ret->image_set.foreign = true;
	ret->root = strdup(root);
	ret->layers_dir = str_printf("%s/%s-layers", root, driver);
	ret->images_dir = str_printf("%s/%s-images", root, driver);
	if (!ret->root || !ret->layers_dir || !ret->images_dir)
		return error_oom(error);
	int r = open_part(ret->images_dir, "images.lock", &ret->image_set, &ret->images_fd, error);
	if (r == 0)
		r = image_table_new(ret->images_dir, true, &ret->images, error);
	ret->image_set.table = ret->images;
	if (r < 0 || ret->own) /* whose layers are among the store's own */
		return r;
	struct layer_paths paths = {
	        .dir = ret->layers_dir, .volatile_dir = ret->layers_dir, .read_only = true};
	r = open_part(ret->layers_dir, "layers.lock", &ret->layer_set, &ret->layers_fd, error);
	if (r == 0)
		r = layer_table_new(&paths, &ret->layers, error);
	ret->layer_set.table = ret->layers;
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

void additional_close(cst_store *store)
{
	for (size_t i = 0; i < store->n_additional; i++) {
		struct additional_store *a = &store->additional[i];
		record_set_free(a->layers);
		record_set_free(a->images);
		store_set_free(&a->layer_set);
		store_set_free(&a->image_set);
		closep(&a->layers_fd);
		closep(&a->images_fd);
		free(a->root);
		free(a->layers_dir);
		free(a->images_dir);
	}
	free(store->additional);
}

/* ---- look-up over all stores ---- */

static const cst_layer *look_for_layer(cst_store *store, const char *id,
                                       const cst_layer *(*look)(const struct record_set *,
                                                                const char *),
                                       struct layer_source *source)
{
	struct layer_source found = {
	        .table = store->layers.table, .fd = store->layers.fd, .dir = store->layers.dir};
	const cst_layer *layer = look(store->layers.table, id);
	for (size_t i = 0; !layer && i < store->n_additional; i++) {
		const struct additional_store *a = &store->additional[i];
		if (!a->layers)
			continue;
		layer = look(a->layers, id);
		found = (struct layer_source){.table = a->layers,
		                              .fd = a->layers_fd,
		                              .dir = a->layers_dir,
		                              .foreign = true};
	}
	if (source)
		*source = found;
	return layer;
}

const cst_layer *layer_find(cst_store *store, const char *id, struct layer_source *source)
{
	return look_for_layer(store, id, layer_table_find, source);
}

const cst_layer *layer_get(cst_store *store, const char *id, struct layer_source *source)
{
	return look_for_layer(store, id, layer_table_get, source);
}

/* An image that was copied into this store hides the one it was copied from, with the names it lost
 * since. */
const cst_image *image_find(cst_store *store, const char *id, struct image_source *source)
{
	struct image_source found = {.fd = store->images.fd, .dir = store->images.dir};
	const cst_image *image = image_table_find(store->images.table, id);
	for (size_t i = 0; !image && i < store->n_additional; i++) {
		const struct additional_store *a = &store->additional[i];
		image = image_table_find(a->images, id);
		if (image && image_table_get(store->images.table, image->id))
			image = NULL;
		found = (struct image_source){
		        .fd = a->images_fd, .dir = a->images_dir, .foreign = true, .own = a->own};
	}
	if (source)
		*source = found;
	return image;
}
