/* SPDX-License-Identifier: Apache-2.0 */
/* Where a layer is and what is around it: its directories, its content, its children. */
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include <cstorage/report.h>
#include <errno.h>

int cst_store_layer_paths(cst_store *store, const char *id, cst_pairs **ret, cst_error **error)
{
	_cleanup_strv_ struct strv pairs = {0};
	_cleanup_hold_ struct hold layers = {0};
	const cst_layer *layer;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r == 0)
		r = store->driver->ops->paths(store->driver, layer->id, &pairs, error);
	return r == 0 ? pairs_give(&pairs, ret, error) : r;
}

int cst_store_layer_fd(cst_store *store, const char *id, int *fd, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_close_ int content = -1;
	const cst_layer *layer;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r == 0)
		r = store->driver->ops->content_open(store->driver, layer->id, &content, error);
	if (r < 0)
		return r;
	int path_fd = openat(content, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (path_fd < 0)
		return error_sys(error, errno, "open the content of layer \"%s\"", layer->id);
	*fd = path_fd;
	return 0;
}

int cst_store_layer_children(cst_store *store, const char *id, cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv ids = {0};
	_cleanup_hold_ struct hold layers = {0};
	int r = item_hold(store, CST_KIND_LAYER, id, &layers, error);
	if (r < 0)
		return r;
	struct record_set *table = store->sets.layers.table;
	const cst_layer *layer = layers.item;
	for (const cst_layer *child = layer_table_first_child(table, layer->id); child;
	     child = layer_table_next_child(table, child))
		if (!strv_add(&ids, child->id))
			return error_oom(error);
	return strings_give(&ids, ret, error);
}
