/* SPDX-License-Identifier: Apache-2.0 */
/* The sizes of layers, images and containers, with their private directories. */
#include "archive/pack/pack.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/item/directory.h"

int cst_store_layer_size(cst_store *store, const char *id, int64_t *size, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = item_hold(store, CST_KIND_LAYER, id, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layers.item;
	*size = *layer->diff_digest || *layer->toc_digest ? layer->diff_size : -1;
	return 0;
}

/* Sums all layers below all top layers, each once, the top first. *unknown lists those whose size
 * no record has. */
static int sum_layers(cst_store *store, const cst_image *image, int64_t *sum, struct strv *unknown,
                      cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_strv_ struct strv seen = {0};
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	for (size_t top = 0; r == 0 && top <= image->mapped_layers.len; top++) {
		const char *id = top == 0 ? image->layer : image->mapped_layers.items[top - 1];
		while (r == 0 && *id && !strv_contains(&seen, id)) {
			const cst_layer *layer = layer_get(store, id, NULL);
			if (!layer)
				return error_about_go(error, CST_ELAYER_UNKNOWN, id,
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

static int add_directory(cst_store *store, const char *id, enum cst_directory directory,
                         int64_t *sum, cst_error **error)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int64_t bytes = 0, inodes = 0;
	int r = private_directory(store, CST_KIND_CONTAINER, id, directory, false, &path, &fd,
	                          error);
	if (r == 0 && fd >= 0)
		r = usage_tree(fd, &bytes, &inodes, error);
	*sum += bytes;
	return r;
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
		r = add_directory(store, container->id, CST_DIRECTORY, &sum, error);
	if (r == 0)
		r = add_directory(store, container->id, CST_RUN_DIRECTORY, &sum, error);
	if (r < 0)
		return r;
	*size = sum + data_size(&container->data);
	return 0;
}
