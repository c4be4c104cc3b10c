/* SPDX-License-Identifier: Apache-2.0 */
/* Creates a layer in three steps: plan, fill, commit (create.h). No lock is held while it is
 * filled, so that what was planned is checked again before it is committed. */
#include "store/layer/create.h"
#include "base/id.h"
#include "store/core/lookup.h"
#include "store/core/names.h"
#include "store/core/store.h"
#include "store/layer/claim.h"
#include "store/layer/convert.h"
#include <errno.h>
#include <stdio.h>

void new_layer_free(struct new_layer *layer)
{
	if (layer->staged)
		layer->driver->ops->stage_free(layer->staged);
	tempdir_free(layer->metadata);
	strv_free(&layer->names);
	idmaps_free(&layer->maps);
	idmaps_free(&layer->parent_maps);
	arena_clear(&layer->arena);
	*layer = (struct new_layer){0};
}

/* ---- plan ---- */

/* Each kind of ids by itself: explicit maps, else the parent's, else the store's; with the host
 * flag none (docs/format/config.md, "ID mapping"). */
static int plan_map(bool host, const cst_idmap *given, size_t n, const struct idranges *parent,
                    const struct idmap *fallback, struct idmap *ret, cst_error **error)
{
	bool copied = true;
	if (host)
		return 0;
	if (n)
		copied = idmap_copy(ret, given, n);
	else if (parent && parent->len)
		copied = idmap_copy(ret, parent->items, parent->len);
	else if (!parent)
		copied = idmap_copy(ret, fallback->ranges, fallback->len);
	return copied ? 0 : error_oom(error);
}

static int plan_maps(cst_store *store, const cst_layer_options *options, const cst_layer *parent,
                     struct new_layer *layer, cst_error **error)
{
	int r = plan_map(options->host_uid_map, options->uid_map, options->n_uid_map,
	                 parent ? &parent->uid_map : NULL, &store->maps.uids, &layer->maps.uids,
	                 error);
	if (r == 0)
		r = plan_map(options->host_gid_map, options->gid_map, options->n_gid_map,
		             parent ? &parent->gid_map : NULL, &store->maps.gids, &layer->maps.gids,
		             error);
	if (r < 0 || (!layer->maps.uids.len && !layer->maps.gids.len))
		return r;
	bool shifting = false;
	r = store->driver->ops->supports_shifting(store->driver, &layer->maps, &shifting, error);
	if (r < 0)
		return r;
	if (shifting) { /* the driver maps ids when it mounts, so the content is stored unmapped */
		idmaps_free(&layer->maps);
		return 0;
	}
	layer->record.uid_map =
	        (struct idranges){.items = layer->maps.uids.ranges, .len = layer->maps.uids.len};
	layer->record.gid_map =
	        (struct idranges){.items = layer->maps.gids.ranges, .len = layer->maps.gids.len};
	return 0;
}

/* The ids that own the layer's first content. Where the driver maps ids when it mounts, content is
 * stored unmapped, and the maps of a record say nothing about it. */
static int plan_parent_maps(cst_store *store, const cst_layer *from, struct new_layer *layer,
                            cst_error **error)
{
	_cleanup_(idmaps_free) struct idmaps maps = {0};
	if (!from->uid_map.len && !from->gid_map.len)
		return 0;
	if (!idmap_copy(&maps.uids, from->uid_map.items, from->uid_map.len) ||
	    !idmap_copy(&maps.gids, from->gid_map.items, from->gid_map.len))
		return error_oom(error);
	bool shifting = false;
	int r = store->driver->ops->supports_shifting(store->driver, &maps, &shifting, error);
	if (r < 0 || shifting)
		return r;
	layer->parent_maps = maps;
	maps = (struct idmaps){0};
	return 0;
}

static int check_template(cst_store *store, struct new_layer *layer, cst_error **error)
{
	const cst_layer *template = layer->template;
	if (!template)
		return 0;
	const cst_layer *now = layer_table_get(store->sets.layers.table, template->id);
	layer->parent_gone = !now || !timestamp_equal(&now->created, &template->created) ||
	                     !streq(now->diff_digest, template->diff_digest);
	return layer->parent_gone
	               ? error_wrap_code(error, CST_ELAYER_UNKNOWN,
	                                 "the layer \"%s\" was deleted or changed meanwhile",
	                                 template->id)
	               : 0;
}

/* Are the parent and the template still the layers that the plan was made with? What this process
 * staged is a copy of them, or refers to them. */
static int check_origin(cst_store *store, struct new_layer *layer, cst_error **error)
{
	if (layer->parent) /* the change checks it, too */
		return 0;
	if (!*layer->record.parent)
		return check_template(store, layer, error);
	const cst_layer *parent = layer_get(store, layer->record.parent, NULL);
	layer->parent_gone = !parent || !timestamp_equal(&parent->created, &layer->parent_created);
	if (layer->parent_gone)
		return error_wrap_code(error, CST_ELAYER_UNKNOWN,
		                       "the parent layer \"%s\" was deleted meanwhile",
		                       layer->record.parent);
	return check_template(store, layer, error);
}

int new_layer_check(cst_store *store, struct new_layer *layer, cst_error **error)
{
	const struct record_set *table = store->sets.layers.table;
	const cst_layer *record = &layer->record;
	if (layer_table_get(table, record->id))
		return error_about(error, CST_EDUPLICATE_ID, record->id);
	for (size_t i = 0; i < record->names.len; i++) {
		if (layer_table_by_name(table, record->names.items[i]))
			return error_about(error, CST_EDUPLICATE_NAME, record->names.items[i]);
	}
	return check_origin(store, layer, error);
}

static int plan_template(cst_store *store, const char *id, struct new_layer *layer,
                         cst_error **error)
{
	if (isempty(id))
		return 0;
	const cst_layer *template = layer_table_find(store->sets.layers.table, id);
	return template ? new_layer_inherit(template, layer, error)
	                : error_about(error, CST_ELAYER_UNKNOWN, id);
}

static int plan_in_image(cst_store *store, const cst_layer_options *options,
                         struct new_layer *layer, cst_error **error)
{
	const cst_layer *parent = &layer->parent->record;
	layer->record.parent = parent->id;
	int r = plan_maps(store, options, parent, layer, error);
	return r == 0 ? plan_parent_maps(store, parent, layer, error) : r;
}

static int plan_origin(cst_store *store, const cst_layer_options *options, struct new_layer *layer,
                       cst_error **error)
{
	const cst_layer *parent = NULL;
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	if (r == 0 && !isempty(options->parent)) {
		_cleanup_hold_ struct hold containers = {0};
		r = layer_must(store, options->parent, &parent, error);
		if (r == 0)
			r = hold_read(store, CST_KIND_CONTAINER, &containers, error);
		if (r == 0 && container_table_by_layer(store->sets.containers.table, parent->id))
			r = error_about(error, CST_EPARENT_IS_CONTAINER, parent->id);
	}
	if (r < 0)
		return r;
	layer->record.parent = parent ? arena_strdup(&layer->arena, parent->id) : "";
	if (layer->arena.failed)
		return error_oom(error);
	if (parent)
		layer->parent_created = parent->created;
	r = plan_maps(store, options, parent, layer, error);
	if (r == 0)
		r = plan_template(store, options->template_layer, layer, error);
	const cst_layer *from = r == 0 && layer->template ? layer->template : parent;
	if (r == 0 && from)
		r = plan_parent_maps(store, from, layer, error);
	return r == 0 ? new_layer_check(store, layer, error) : r;
}

/* Refuses the flag "incomplete": the next reader of the record would delete the layer as one that
 * is half made. */
static int plan_flags(const cst_layer_options *options, struct new_layer *layer, cst_error **error)
{
	int r = flags_set_all(&layer->arena, &layer->record.flags, options->flags, options->n_flags,
	                      error);
	if (r == 0 && flags_has(&layer->record.flags, "incomplete"))
		r = error_set(error, CST_EINVAL, "the flag \"incomplete\" cannot be given");
	return r;
}

int new_layer_identify(const cst_layer_options *options, struct new_layer *layer, cst_error **error)
{
	int r = id_for_new("layer", options->id, &layer->arena, &layer->record.id, error);
	strv_free(&layer->names);
	if (r == 0)
		r = names_unique(options->names, options->n_names, &layer->names, error);
	layer->record.names = strings_of(&layer->names);
	layer->record.flags = (struct raw_members){0};
	if (r == 0)
		r = plan_flags(options, layer, error);
	layer->record.created = timestamp_now();
	return r;
}

int new_layer_plan(cst_store *store, const cst_layer_options *options, struct new_layer *layer,
                   cst_error **error)
{
	layer->driver = store->driver;
	layer->record = (cst_layer){
	        .metadata = "",
	        .mount_label = arena_strdup(&layer->arena, strempty(options->mount_label)),
	        .compressed_digest = "",
	        .diff_digest = "",
	        .toc_digest = "",
	        .mount_point = "",
	        .file = options->is_volatile ? LAYER_VOLATILE : LAYER_STABLE,
	};
	if (!isempty(store->image_store) && !options->writable &&
	    layer->record.file == LAYER_STABLE)
		layer->record.file = LAYER_IMAGE_STORE;
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : new_layer_identify(options, layer, error);
	snprintf(layer->tarsplit, sizeof(layer->tarsplit), "%u-addition", layer->number);
	if (r < 0)
		return r;
	return layer->parent ? plan_in_image(store, options, layer, error)
	                     : plan_origin(store, options, layer, error);
}

/* ---- fill ---- */

int new_layer_stage_data(cst_store *store, const cst_layer_options *options,
                         struct new_layer *layer, cst_error **error)
{
	int r = new_data_stage(store, "layer", options->data, options->n_data, &layer->metadata,
	                       &layer->arena, &layer->data, error);
	if (r < 0 || !layer->data.len)
		return r;
	const char **names = arena_alloc(&layer->arena, layer->data.len * sizeof(*names));
	if (!names)
		return error_oom(error);
	for (size_t i = 0; i < layer->data.len; i++)
		names[i] = layer->data.items[i].name;
	layer->record.data_names = (struct strings){.items = names, .len = layer->data.len};
	return 0;
}

int new_layer_stage(cst_store *store, const cst_layer_options *options, struct new_layer *layer,
                    cst_error **error)
{
	const char *from = layer->template ? layer->template->id : layer->record.parent;
	struct driver_stage_options stage = {
	        .parent = *from ? from : NULL,
	        .parent_maps = &layer->parent_maps,
	        .mount_label = *layer->record.mount_label ? layer->record.mount_label : NULL,
	        .maps = layer->maps.uids.len || layer->maps.gids.len ? &layer->maps : NULL,
	        .writable = options->writable,
	        .storage_options = layer->storage_options.items,
	        .n_storage_options = layer->storage_options.len,
	        .of_image = layer->of_image,
	        .staged_parent = layer->parent ? layer->parent->staged : NULL,
	};
	int r = new_layer_stage_data(store, options, layer, error);
	if (r < 0)
		return r;
	r = layer->driver->ops->stage(layer->driver, &stage, &layer->staged, error);
	return r < 0 ? error_prefix(error, r, "creating %s layer with ID \"%s\"",
	                            options->writable ? "read-write" : "read-only",
	                            layer->record.id)
	             : 0;
}

int new_layer_unpack(cst_store *store, const struct layer_unpacking *how, struct new_layer *layer,
                     cst_error **error)
{
	_cleanup_(converter_free) struct converter converter = {0};
	int r = metadata_stage(store, &layer->metadata, error);
	if (r == 0)
		r = converter_begin(store, how, &converter, error);
	if (r < 0)
		return r;
	struct layer_unpacking all = *how;
	all.copy = converter.writer ? &converter.sink : NULL;
	all.driver = layer->driver;
	all.staged = layer->staged;
	all.metadata = layer->metadata;
	all.tarsplit = layer->tarsplit;
	all.sync_later = layer->of_image && layer->driver->sync_content;
	r = layer_unpack(store, &all, &layer->arena, &layer->record, error);
	layer->has_tarsplit = r == 0;
	if (r == 0)
		r = converter_end(&converter, store, layer, error);
	return r == 0 ? layer->driver->ops->stage_sync(layer->staged, error) : r;
}

static int fill(cst_store *store, const cst_layer_options *options, const cst_source *diff,
                struct new_layer *layer, cst_error **error)
{
	int r = new_layer_stage(store, options, layer, error);
	if (r == 0 && diff)
		return new_layer_unpack(store,
		                        &(struct layer_unpacking){.options = options, .diff = diff},
		                        layer, error);
	if (r == 0 && layer->template)
		r = new_layer_copy_tarsplit(store, layer, error);
	return r == 0 ? layer->driver->ops->stage_sync(layer->staged, error) : r;
}

static int look_for_origin(cst_store *store, struct new_layer *layer, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	return r == 0 ? check_origin(store, layer, error) : r;
}

/* If the parent or the template was being deleted, that explains every error about its files. */
int new_layer_explain(cst_store *store, struct new_layer *layer, cst_error *problem,
                      cst_error **error)
{
	_cleanup_error_ cst_error *why = problem;
	int gone = look_for_origin(store, layer, error);
	return gone < 0 ? gone : error_propagate(error, steal_ptr(&why));
}

int new_layer_fill(cst_store *store, const cst_layer_options *options, const cst_source *diff,
                   struct new_layer *layer, cst_error **error)
{
	cst_error *problem = NULL;
	int r = fill(store, options, diff, layer, &problem);
	return r == 0 ? 0 : new_layer_explain(store, layer, problem, error);
}

/* ---- commit ---- */

static int commit_tarsplit(cst_store *store, const struct new_layer *layer, cst_error **error)
{
	_cleanup_free_ char *name = str_printf("%s.tar-split.gz", layer->record.id);
	if (!name)
		return error_oom(error);
	if (sys_renameat(layer->metadata->fd, layer->tarsplit, store->sets.layers.fd, name) < 0)
		return error_sys(error, errno, "rename %s/%s/%s %s/%s", layer->metadata->shown,
		                 layer->metadata->name, layer->tarsplit, store->sets.layers.dir,
		                 name);
	if (layer->followed)
		return 0;
	return fs_fsync_dir(store->sets.layers.fd, store->sets.layers.dir, error);
}

/* Puts the content into place, then the record. First removes what a crashed Go process left under
 * the ID. */
static int place_layer(struct change *change, const struct intent *intent, void *arg,
                       cst_error **error)
{
	struct new_layer *layer = arg;
	cst_store *store = change->store;
	struct set *layers = &store->sets.layers;
	int r = layer_remove_metadata(store, intent->id, &change->trash, error);
	if (r == 0)
		r = layer->driver->ops->stage_commit(
		        layer->staged, intent->id, store->driver->sync_content && !layer->followed,
		        error);
	if (r == 0 && layer->has_tarsplit)
		r = commit_tarsplit(store, layer, error);
	if (r == 0)
		r = new_data_commit(&layer->data, layer->metadata, layers->fd, intent->id, error);
	return r == 0 && !record_set_add(layers->table, &layer->record) ? error_oom(error) : r;
}

/* Only after the record is on disk, and while it is still announced. */
static int unkeep(struct change *change, const struct intent *intent, void *arg, cst_error **error)
{
	struct new_layer *layer = arg;
	return layer->driver->ops->stage_unkeep(layer->staged, error);
}

void new_layer_add(struct change *change, struct new_layer *layer, enum cst_kind owner_kind,
                   const char *owner_id)
{
	const struct intent intent = {
	        .kind = CST_KIND_LAYER,
	        .id = layer->record.id,
	        .note = layer->driver->ops->stage_note(layer->staged),
	        .owner_kind = owner_kind,
	        .owner_id = owner_id,
	        .created = layer->record.created,
	        .staged = layer->kept,
	};
	change_add(change, &intent, place_layer, layer->kept ? unkeep : NULL, layer);
}

int new_layer_prepare(struct new_layer *layer, cst_error **error)
{
	const struct driver_ops *ops = layer->driver->ops;
	return ops->stage_prepare ? ops->stage_prepare(layer->staged, layer->record.id, error) : 0;
}

int new_layer_commit(cst_store *store, struct new_layer *layer, cst_layer **ret, cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	int r = new_layer_prepare(layer, error);
	if (r == 0)
		r = change_hold(&change, store, (struct hold_modes){.layers = HOLD_WRITE}, error);
	if (r == 0)
		r = new_layer_check(store, layer, error);
	if (r < 0)
		return r;
	new_layer_add(&change, layer, 0, NULL);
	layer->consumed = true;
	r = change_commit(&change, error);
	/* If there is no memory for the copy, the layer exists all the same. */
	return r < 0 ? r
	             : layer_give(layer_table_get(store->sets.layers.table, layer->record.id), ret,
	                          error);
}

static int create_once(cst_store *store, const cst_layer_options *options, const cst_source *diff,
                       bool *parent_gone, cst_layer **ret, cst_error **error)
{
	_cleanup_new_layer_ struct new_layer layer = {0};
	_cleanup_lock_wait_ bool listening = lock_wait_listen(options->progress);
	int r = new_layer_plan(store, options, &layer, error);
	if (r == 0)
		r = new_layer_fill(store, options, diff, &layer, error);
	listening = lock_wait_listen(options->progress);
	if (r == 0)
		r = new_layer_commit(store, &layer, ret, error);
	*parent_gone = layer.parent_gone;
	return r;
}

/* If another layer got the parent's ID or name meanwhile, this process tries again with that one.
 * It cannot if it has read an archive, or data items from a source. */
static int create(cst_store *store, const cst_layer_options *options, const cst_source *diff,
                  cst_layer **ret, cst_error **error)
{
	for (;;) {
		_cleanup_error_ cst_error *problem = NULL;
		bool parent_gone = false;
		int r = create_once(store, options, diff, &parent_gone, ret, &problem);
		if (r == 0)
			return 0;
		if (!parent_gone || diff || data_items_stream(options->data, options->n_data))
			return error_propagate(error, steal_ptr(&problem));
	}
}

int cst_store_create_layer(cst_store *store, const cst_layer_options *given, const cst_source *diff,
                           cst_layer **ret, cst_error **error)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	_cleanup_claim_ struct layer_claim claim = {0};
	bool found = false;
	int r = options_take(&options, sizeof(options), given, "cst_layer_options", error);
	if (r == 0 && diff && !isempty(options.expected_digest)) {
		r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
		                     : layer_claim(store, &options, &claim, error);
		if (r == 0)
			r = layer_find_claimed(store, &options, &found, ret, error);
	}
	return r < 0 || found ? r : create(store, &options, diff, ret, error);
}
