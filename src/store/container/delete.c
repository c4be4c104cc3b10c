/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes a container and its layer. */
#include "store/change/deletion.h"
#include "store/container/container.h"
#include "store/core/store.h"

int container_delete(cst_store *store, const char *id, const cst_progress *progress,
                     cst_error **error)
{
	_cleanup_change_ struct change change = {.trash.progress = progress};
	int r = deletion_begin(&change, store, hold_three(HOLD_WRITE, HOLD_NOT, HOLD_WRITE), error);
	if (r < 0)
		return r;
	const cst_container *container = container_table_find(store->sets.containers.table, id);
	if (!container)
		return error_about(error, CST_ENOT_A_CONTAINER, id);
	deletion_add(&change, CST_KIND_CONTAINER, container->id);
	const cst_layer *layer = layer_table_get(store->sets.layers.table, container->layer);
	if (layer)
		deletion_add_layer(&change, layer, CST_KIND_CONTAINER, container->id);
	return change_commit(&change, error);
}

int cst_store_delete_container(cst_store *store, const char *id, cst_error **error)
{
	return container_delete(store, id, NULL, error);
}
