/* SPDX-License-Identifier: Apache-2.0 */
/* The sizes of layers, images and containers, with their private directories. */
#include "archive/pack/pack.h"
#include "base/hashmap.h"
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

/* ---- images ---- */

/* Layers whose size no record has, and which image needs which of them. They are measured without locks, each once. */
struct unrecorded {
	struct strv ids;
	struct hashmap numbers; /* by ID: the place in `ids`, plus 1 */
	struct need {
		size_t image, layer;
	} * needs;
	size_t n_needs, capacity;
};

static void unrecorded_free(struct unrecorded *layers)
{
	hashmap_free(&layers->numbers);
	strv_free(&layers->ids);
	free(layers->needs);
}

static bool need_size(struct unrecorded *layers, size_t image, const char *id)
{
	size_t number = (size_t)(uintptr_t)hashmap_get(&layers->numbers, id);
	struct need *grown =
	        grow_array(layers->needs, &layers->capacity, layers->n_needs + 1, sizeof(*grown));
	if (!grown)
		return false;
	layers->needs = grown;
	if (!number) {
		number = layers->ids.len + 1;
		if (!strv_add(&layers->ids, id) ||
		    !hashmap_put(&layers->numbers, layers->ids.items[number - 1],
		                 (void *)(uintptr_t)number))
			return false;
	}
	grown[layers->n_needs++] = (struct need){.image = image, .layer = number - 1};
	return true;
}

/* Sums all layers below all top layers, each once, the top first. The layers are held. */
static int sum_layers(cst_store *store, const cst_image *image, size_t number, int64_t *sum,
                      struct unrecorded *unrecorded, cst_error **error)
{
	_cleanup_hashmap_ struct hashmap seen = {0};
	int64_t all = 0;
	if (!image->mapped_layers.len && *image->layer &&
	    layer_table_sum(store->sets.layers.table, image->layer, &all)) {
		*sum += all;
		return 0;
	}
	for (size_t top = 0; top <= image->mapped_layers.len; top++) {
		const char *id = top == 0 ? image->layer : image->mapped_layers.items[top - 1];
		while (*id && !hashmap_contains(&seen, id)) {
			const cst_layer *layer = layer_get(store, id, NULL);
			if (!layer)
				return error_about_go(error, CST_ELAYER_UNKNOWN, id,
				                      "locating layer with ID \"%s\"", id);
			if (!hashmap_put(&seen, layer->id, (void *)layer))
				return error_oom(error);
			if (*layer->diff_digest || *layer->toc_digest)
				*sum += MAX(layer->diff_size, (int64_t)0);
			else if (!need_size(unrecorded, number, layer->id))
				return error_oom(error);
			id = layer->parent;
		}
	}
	return 0;
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
	_cleanup_(unrecorded_free) struct unrecorded unrecorded = {0};
	int64_t sum = 0;
	int r = cst_store_image(store, id, &image, error);
	if (r == 0) {
		_cleanup_hold_ struct hold layers = {0};
		r = hold_read(store, CST_KIND_LAYER, &layers, error);
		if (r == 0)
			r = sum_layers(store, image, 0, &sum, &unrecorded, error);
	}
	for (size_t i = 0; r == 0 && i < unrecorded.ids.len; i++) {
		int64_t layer_size = 0;
		r = cst_store_diff_size(store, NULL, unrecorded.ids.items[i], &layer_size, error);
		sum += layer_size;
	}
	if (r < 0)
		return r;
	*size = sum + data_size(&image->data);
	return 0;
}

/* An image of which a layer is missing has no size. */
static int sum_images(cst_store *store, const cst_image_list *images, int64_t *sizes,
                      struct unrecorded *unrecorded, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	for (size_t i = 0; r == 0 && i < cst_image_list_size(images); i++) {
		const cst_image *image = cst_image_list_get(images, i);
		_cleanup_error_ cst_error *problem = NULL;
		sizes[i] = data_size(&image->data);
		int failed = sum_layers(store, image, i, &sizes[i], unrecorded, &problem);
		if (failed < 0)
			sizes[i] = -1;
		if (failed == CST_ENOMEM)
			r = error_propagate(error, steal_ptr(&problem));
	}
	return r;
}

int cst_store_image_sizes(cst_store *store, const cst_image_list *images, int64_t *sizes,
                          cst_error **error)
{
	_cleanup_(unrecorded_free) struct unrecorded unrecorded = {0};
	int r = sum_images(store, images, sizes, &unrecorded, error);
	int64_t *measured = r == 0 ? new0(int64_t, unrecorded.ids.len + 1) : NULL;
	if (r == 0 && !measured)
		r = error_oom(error);
	for (size_t i = 0; measured && i < unrecorded.ids.len; i++) {
		if (cst_store_diff_size(store, NULL, unrecorded.ids.items[i], &measured[i], NULL) <
		    0)
			measured[i] = -1;
	}
	for (size_t i = 0; measured && i < unrecorded.n_needs; i++) {
		const struct need *need = &unrecorded.needs[i];
		bool known = sizes[need->image] >= 0 && measured[need->layer] >= 0;
		sizes[need->image] = known ? sizes[need->image] + measured[need->layer] : -1;
	}
	free(measured);
	return r;
}

/* ---- containers ---- */

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
