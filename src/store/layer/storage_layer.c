/* SPDX-License-Identifier: Apache-2.0 */
/* Layers as the driver knows them. They may have no record. */
#include "base/id.h"
#include "store/change/change.h"
#include "store/core/store.h"
#include <errno.h>

struct storage_layer {
	const struct driver_ops *ops;
	struct driver_staged *staged;
};

static void storage_layer_free(struct storage_layer *layer)
{
	if (layer->staged)
		layer->ops->stage_free(layer->staged);
}

int cst_store_driver_layers(cst_store *store, cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv ids = {0};
	int r = store->driver->ops->list(store->driver, &ids, error);
	return r < 0 ? r : strings_give(&ids, ret, error);
}

static int stage(cst_store *store, const cst_layer_options *options, struct storage_layer *layer,
                 cst_error **error)
{
	_cleanup_(idmaps_free) struct idmaps maps = {0};
	bool mapped = options->n_uid_map || options->n_gid_map;
	if (!idmap_copy(&maps.uids, options->uid_map, options->n_uid_map) ||
	    !idmap_copy(&maps.gids, options->gid_map, options->n_gid_map))
		return error_oom(error);
	struct driver_stage_options stage_options = {
	        .parent = isempty(options->parent) ? NULL : options->parent,
	        .mount_label = isempty(options->mount_label) ? NULL : options->mount_label,
	        .maps = mapped ? &maps : NULL,
	        .parent_maps = mapped ? &maps : NULL, /* nobody knows: what is there stays */
	        .writable = options->writable,
	};
	layer->ops = store->driver->ops;
	int r = layer->ops->stage(store->driver, &stage_options, &layer->staged, error);
	return r == 0 ? layer->ops->stage_sync(layer->staged, error) : r;
}

static int place(struct change *change, const struct intent *intent, void *arg, cst_error **error)
{
	struct storage_layer *layer = arg;
	return layer->ops->stage_commit(layer->staged, intent->id,
	                                change->store->driver->sync_content, error);
}

/* There is no record, so the announcement says "delete this". It must be gone durably before
 * success is reported. */
static int commit(cst_store *store, struct storage_layer *layer, const char *id, cst_error **error)
{
	_cleanup_change_ struct change change = {.must_end = true};
	bool exists = false;
	int r = change_hold(&change, store, (struct hold_modes){.layers = HOLD_WRITE}, error);
	if (r == 0)
		r = layer->ops->exists(store->driver, id, &exists, error);
	if (r == 0 && (exists || layer_table_get(store->sets.layers.table, id)))
		r = error_about(error, CST_EDUPLICATE_ID, id);
	if (r < 0)
		return r;
	const struct intent intent = {
	        .kind = CST_KIND_LAYER, .id = id, .note = layer->ops->stage_note(layer->staged)};
	change_add(&change, &intent, place, NULL, layer);
	return change_commit(&change, error);
}

static int create(cst_store *store, const cst_layer_options *options, char **ret, cst_error **error)
{
	_cleanup_(storage_layer_free) struct storage_layer layer = {0};
	char random[ID_HEX_LEN + 1];
	bool chosen = !isempty(options->id);
	if (store->read_only)
		return error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	int r = chosen ? id_check_new("layer", options->id, error) : id_generate(random, error);
	if (r == 0 && !isempty(options->parent) && !path_is_component(options->parent))
		r = error_set(error, CST_EINVAL, "\"%s\" is not the ID of a storage layer",
		              options->parent);
	bool has_parent = true;
	if (r == 0 && !isempty(options->parent))
		r = store->driver->ops->exists(store->driver, options->parent, &has_parent, error);
	if (r == 0 && !has_parent)
		r = store->driver->ops->missing(store->driver, options->parent, true, error);
	if (r < 0)
		return r;
	_cleanup_free_ char *id = strdup(chosen ? options->id : random);
	if (!id)
		return error_oom(error);
	r = stage(store, options, &layer, error);
	if (r == 0 && layer.ops->stage_prepare)
		r = layer.ops->stage_prepare(layer.staged, id, error);
	if (r == 0)
		r = commit(store, &layer, id, error);
	if (r == 0 && ret)
		*ret = steal_ptr(&id);
	return r;
}

int cst_store_create_driver_layer(cst_store *store, const cst_layer_options *given, char **ret,
                                  cst_error **error)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_layer_options", error);
	return r == 0 ? create(store, &options, ret, error) : r;
}
