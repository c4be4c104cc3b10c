/* SPDX-License-Identifier: Apache-2.0 */
/* How large layers, images and containers are, and their private directories. */
#include "archive/pack/pack.h"
#include "store/core/store.h"
#include <errno.h>

int cst_store_layer_size(cst_store *store, const char *id, int64_t *size, cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	const cst_layer *layer;
	int r = layers_read(store, &layers, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r < 0)
		return r;
	*size = *layer->diff_digest || *layer->toc_digest ? layer->diff_size : -1;
	return 0;
}

/* All layers of all top layers, each once, top first. Those whose size no record knows are listed
 * in *unknown. */
static int sum_layers(cst_store *store, const cst_image *image, int64_t *sum, struct strv *unknown,
                      cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	_cleanup_strv_ struct strv seen = {0};
	int r = layers_read(store, &layers, error);
	for (size_t top = 0; r == 0 && top <= image->mapped_layers.len; top++) {
		const char *id = top == 0 ? image->layer : image->mapped_layers.items[top - 1];
		while (r == 0 && *id && !strv_contains(&seen, id)) {
			const cst_layer *layer = layer_get(store, id, NULL);
			if (!layer)
				return error_wrap_code(error, CST_ELAYER_UNKNOWN,
				                       "locating layer with ID \"%s\"", id);
			if (!strv_add(&seen, id))
				return error_oom(error);
			if (*layer->diff_digest || *layer->toc_digest)
				*sum += MAX(layer->diff_size, (int64_t)0);
			else if (!strv_add(unknown, id))
				return error_oom(error);
			id = layer->parent;
		}
	}
	return r;
}

static int64_t data_size(const struct data_items *items)
{
	int64_t sum = 0;
	for (size_t i = 0; i < items->len; i++)
		sum += MAX(items->items[i].size, (int64_t)0);
	return sum;
}

DEFINE_CLEANUP(cst_image *, cst_image_free)
DEFINE_CLEANUP(cst_container *, cst_container_free)

int cst_store_image_size(cst_store *store, const char *id, int64_t *size, cst_error **error)
{
	_cleanup_(cst_image_freep) cst_image *image = NULL;
	_cleanup_strv_ struct strv unknown = {0};
	int64_t sum = 0;
	int r = cst_store_image(store, id, &image, error);
	if (r == 0)
		r = sum_layers(store, image, &sum, &unknown, error);
	for (size_t i = 0; r == 0 && i < unknown.len; i++) {
		int64_t layer_size = 0;
		r = cst_store_diff_size(store, NULL, unknown.items[i], &layer_size, error);
		sum += layer_size;
	}
	if (r < 0)
		return r;
	*size = sum + data_size(&image->data);
	return 0;
}

/* ---- private directories ---- */

/* mkdir, with the name durable. */
static int make_durably(int dirfd, const char *parent, const char *name, const char *shown,
                        cst_error **error)
{
	if (sys_mkdirat(dirfd, name, 0700) < 0)
		return errno == EEXIST ? 0 : error_sys(error, errno, "mkdir %s/%s", shown, name);
	return fs_fsync_path(dirfd, parent, shown, error);
}

/* <dirfd>/<id>/userdata, made 0700 if missing. The record's lock is held: nobody deletes the item
 * meanwhile, and is left with a directory of nothing. A store that is only read has to have it
 * already. */
static int make_userdata(const cst_store *store, int dirfd, const char *dir, const char *id,
                         char **ret, cst_error **error)
{
	_cleanup_free_ char *inner = path_join(id, USERDATA),
	                    *path = inner ? path_join(dir, inner) : NULL;
	if (!path)
		return error_oom(error);
	int r = 0;
	if (store->read_only && !fs_exists(AT_FDCWD, path))
		return error_wrap_code(error, CST_ESTORE_READ_ONLY, "making %s", path);
	if (!store->read_only)
		r = make_durably(dirfd, ".", id, dir, error);
	if (r == 0 && !store->read_only)
		r = make_durably(dirfd, id, inner, dir, error);
	if (r == 0)
		*ret = steal_ptr(&path);
	return r;
}

static int container_userdata(cst_store *store, const char *id, int dirfd, const char *dir,
                              char **path, cst_error **error)
{
	_cleanup_containers_read_locked_ cst_store *containers = NULL;
	const cst_container *container;
	int r = containers_read_locked(store, &containers, error);
	if (r == 0)
		r = container_must(store, id, &container, error);
	return r == 0 ? make_userdata(store, dirfd, dir, container->id, path, error) : r;
}

int cst_store_container_directory(cst_store *store, const char *id, char **path, cst_error **error)
{
	return container_userdata(store, id, store->containers.fd, store->containers.dir, path,
	                          error);
}

int cst_store_container_run_directory(cst_store *store, const char *id, char **path,
                                      cst_error **error)
{
	return container_userdata(store, id, store->containers.run_fd, store->containers.run_dir,
	                          path, error);
}

/* In the graph root even where images live in an image store (docs/format/store.md, "Split image
 * store"). */
static int image_userdata(cst_store *store, const char *root, const char *id, char **path,
                          cst_error **error)
{
	_cleanup_images_read_locked_ cst_store *images = NULL;
	_cleanup_free_ char *dir = str_printf("%s/%s-images", root, store->driver->ops->name);
	_cleanup_close_ int fd = -1;
	const cst_image *image;
	int r = dir ? images_read_locked(store, &images, error) : error_oom(error);
	if (r == 0)
		r = image_must(store, id, &image, error);
	if (r == 0 && !store->read_only)
		r = fs_mkdir_p(dir, 0700, error);
	if (r == 0 && !store->read_only)
		r = fs_open_dir(dir, &fd, error);
	return r == 0 ? make_userdata(store, fd, dir, image->id, path, error) : r;
}

int cst_store_image_directory(cst_store *store, const char *id, char **path, cst_error **error)
{
	return image_userdata(store, store->graph_root, id, path, error);
}

int cst_store_image_run_directory(cst_store *store, const char *id, char **path, cst_error **error)
{
	return image_userdata(store, store->run_root, id, path, error);
}

typedef int (*directory_function)(cst_store *store, const char *id, char **path, cst_error **error);

static int add_directory(cst_store *store, directory_function directory_of, const char *id,
                         int64_t *sum, cst_error **error)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	_cleanup_error_ cst_error *problem = NULL;
	int64_t bytes = 0, inodes = 0;
	int r = directory_of(store, id, &path, &problem);
	if (r == CST_ESTORE_READ_ONLY) /* never made: nothing in it */
		return 0;
	if (r == 0)
		r = fs_open_dir(path, &fd, &problem);
	if (r == 0)
		r = usage_tree(fd, &bytes, &inodes, &problem);
	*sum += bytes;
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

int cst_store_container_size(cst_store *store, const char *id, int64_t *size, cst_error **error)
{
	_cleanup_(cst_container_freep) cst_container *container = NULL;
	int64_t sum = 0;
	int r = cst_store_container(store, id, &container, error);
	if (r == 0)
		r = cst_store_diff_size(store, NULL, container->layer, &sum, error);
	if (r == CST_ELAYER_UNKNOWN)
		r = error_prefix(error, r, "locating layer with ID \"%s\"", container->layer);
	if (r == 0)
		r = add_directory(store, cst_store_container_directory, container->id, &sum, error);
	if (r == 0)
		r = add_directory(store, cst_store_container_run_directory, container->id, &sum,
		                  error);
	if (r < 0)
		return r;
	*size = sum + data_size(&container->data);
	return 0;
}
