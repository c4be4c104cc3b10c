/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layer/delete.h"
#include "store/change/deletion.h"
#include "store/core/lookup.h"
#include "store/core/store.h"

static int check_unused(cst_store *store, const cst_layer *layer, cst_error **error)
{
	const cst_layer *child = layer_table_first_child(store->sets.layers.table, layer->id);
	if (child)
		return error_wrap_code(error, CST_ELAYER_HAS_CHILDREN, "used by layer %s",
		                       child->id);
	for (size_t i = 0; i < record_set_size(store->sets.images.table); i++) {
		const cst_image *image = image_table_at(store->sets.images.table, i);
		if (streq(image->layer, layer->id))
			return error_wrap_code(error, CST_ELAYER_USED_BY_IMAGE,
			                       "layer %s used by image %s", layer->id, image->id);
	}
	const cst_container *container =
	        container_table_by_layer(store->sets.containers.table, layer->id);
	if (container)
		return error_wrap_code(error, CST_ELAYER_USED_BY_CONTAINER,
		                       "layer %s used by container %s", layer->id, container->id);
	return 0;
}

int layer_delete(cst_store *store, const char *id, const cst_progress *progress, cst_error **error)
{
	_cleanup_change_ struct change change = {.trash.progress = progress};
	int r = change_hold(&change, store,
	                    (struct hold_modes){.layers = HOLD_WRITE,
	                                        .images = HOLD_WRITE,
	                                        .containers = HOLD_READ},
	                    error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_table_find(store->sets.layers.table, id);
	if (!layer)
		return error_code(error, CST_ENOT_A_LAYER);
	r = check_unused(store, layer, error);
	if (r == 0)
		r = trash_announce(&change.trash, error);
	if (r < 0)
		return r;
	deletion_add_layer(&change, layer, 0, NULL);
	return change_commit(&change, error);
}

int cst_store_delete_layer(cst_store *store, const char *id, cst_error **error)
{
	return layer_delete(store, id, NULL, error);
}

int layer_delete_unchecked(cst_store *store, const char *id, const cst_progress *progress,
                           cst_error **error)
{
	_cleanup_change_ struct change change = {.trash.progress = progress};
	const cst_layer *layer;
	int r = change_hold(&change, store,
	                    (struct hold_modes){.layers = HOLD_WRITE, .images = HOLD_WRITE}, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r == 0)
		r = trash_announce(&change.trash, error);
	if (r < 0)
		return r;
	deletion_add_layer(&change, layer, 0, NULL);
	return change_commit(&change, error);
}
