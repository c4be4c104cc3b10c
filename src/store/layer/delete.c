/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes a layer, with and without the check that nothing uses it. */
#include "store/layer/delete.h"
#include "store/change/deletion.h"
#include "store/core/lookup.h"
#include "store/core/store.h"

/* `user` is "image" or the like. The Go command has other words if the user is a layer. */
static int layer_in_use(int code, const cst_layer *layer, const char *user, const char *id,
                        cst_error **error)
{
	error_set(error, code, "the layer \"%s\" is used by the %s \"%s\"", layer->id, user, id);
	if (code == CST_ELAYER_HAS_CHILDREN)
		return error_go_words(error, code, layer->id, "used by layer %s: %s", id,
		                      cst_strerror(code));
	return error_go_words(error, code, layer->id, "layer %s used by %s %s: %s", layer->id, user,
	                      id, cst_strerror(code));
}

static int check_unused(cst_store *store, const cst_layer *layer, cst_error **error)
{
	const cst_layer *child = layer_table_first_child(store->sets.layers.table, layer->id);
	if (child)
		return layer_in_use(CST_ELAYER_HAS_CHILDREN, layer, "layer", child->id, error);
	const cst_image *image =
	        image_table_by_layer(store->sets.images.table, IMAGE_TOP_LAYER, layer->id, NULL);
	if (image)
		return layer_in_use(CST_ELAYER_USED_BY_IMAGE, layer, "image", image->id, error);
	const cst_container *container =
	        container_table_by_layer(store->sets.containers.table, layer->id);
	return container ? layer_in_use(CST_ELAYER_USED_BY_CONTAINER, layer, "container",
	                                container->id, error)
	                 : 0;
}

int layer_delete(cst_store *store, const char *id, const cst_progress *progress, cst_error **error)
{
	_cleanup_change_ struct change change = {.trash.progress = progress};
	int r = deletion_begin(&change, store, hold_three(HOLD_WRITE, HOLD_WRITE, HOLD_READ),
	                       error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_table_find(store->sets.layers.table, id);
	if (!layer)
		return error_about(error, CST_ENOT_A_LAYER, id);
	r = check_unused(store, layer, error);
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
	int r = deletion_begin(&change, store, hold_three(HOLD_WRITE, HOLD_WRITE, HOLD_NOT), error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r < 0)
		return r;
	deletion_add_layer(&change, layer, 0, NULL);
	return change_commit(&change, error);
}
