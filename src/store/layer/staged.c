/* SPDX-License-Identifier: Apache-2.0 */
/* Staged layers: made, filled and committed by calls of their own (<cstorage/staged.h>). What is staged is a new layer as
 * create.c makes it, or new content as replace.c puts it into place. */
#include "store/layer/staged.h"
#include "base/fs.h"
#include "chunked/cache.h"
#include "store/change/content.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/replace.h"
#include <errno.h>

void cst_staged_layer_free(cst_staged_layer *staged)
{
	if (!staged)
		return;
	new_layer_free(&staged->layer);
	free(staged);
}

int staged_must_be(const cst_staged_layer *staged, enum staged_state first, enum staged_state last,
                   cst_error **error)
{
	static const char *const words[] = {"is empty", "is filled by somebody else", "was filled",
	                                    "was committed, or failed before"};
	if (staged->state >= first && staged->state <= last)
		return 0;
	return error_set(error, CST_EINVAL, "the staged layer %s", words[staged->state]);
}

/* ---- staging ---- */

static int check_alone(const cst_stage_options *options, cst_error **error)
{
	bool more = !isempty(options->parent) || !isempty(options->mount_label) ||
	            options->n_uid_map || options->n_gid_map || options->host_uid_map ||
	            options->host_gid_map || options->writable || options->is_volatile;
	return more ? error_set(error, CST_EINVAL,
	                        "what is staged for layer \"%s\" takes parent, label and maps from "
	                        "it: none can be given",
	                        options->layer)
	            : 0;
}

/* Copies the records that the staged layer is made by. */
static int plan_existing(cst_store *store, const char *id, struct new_layer *layer,
                         cst_layer *parent, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : hold_read(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *found = layer_table_find(store->sets.layers.table, id);
	if (!found)
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	const cst_layer *below = *found->parent ? layer_get(store, found->parent, NULL) : NULL;
	if (*found->parent && !below)
		return error_about(error, CST_ELAYER_UNKNOWN, found->parent);
	if (!layer_copy(&layer->arena, found, &layer->record) ||
	    (below && !layer_copy(&layer->arena, below, parent)))
		return error_oom(error);
	layer->parent_created = parent->created;
	return 0;
}

static int stage_for_existing(cst_staged_layer *staged, const cst_stage_options *options,
                              cst_error **error)
{
	struct new_layer *layer = &staged->layer;
	cst_layer parent = {.id = ""};
	int r = check_alone(options, error);
	if (r == 0)
		r = plan_existing(staged->store, options->layer, layer, &parent, error);
	if (r < 0)
		return r;
	struct idmaps maps = {0};
	r = layer_content_maps(staged->store, &layer->record, &maps, error);
	if (r == 0 && !idmaps_copy(&layer->maps, &maps))
		return error_oom(error);
	staged->for_existing = true;
	layer->driver = staged->store->driver;
	strcpy(layer->tarsplit, TARSPLIT_STAGED);
	if (r < 0)
		return r;
	cst_error *problem = NULL;
	r = new_content_stage(staged->store, &layer->record, &parent, layer->driver, &layer->staged,
	                      &problem);
	return r == 0 ? 0 : new_layer_explain(staged->store, layer, problem, error);
}

static int stage_new(cst_staged_layer *staged, const cst_stage_options *options, cst_error **error)
{
	cst_layer_options plan = CST_LAYER_OPTIONS_INIT;
	plan.parent = options->parent;
	plan.mount_label = options->mount_label;
	plan.uid_map = options->uid_map;
	plan.n_uid_map = options->n_uid_map;
	plan.gid_map = options->gid_map;
	plan.n_gid_map = options->n_gid_map;
	plan.host_uid_map = options->host_uid_map;
	plan.host_gid_map = options->host_gid_map;
	plan.writable = options->writable;
	plan.is_volatile = options->is_volatile;
	int r = new_layer_plan(staged->store, &plan, &staged->layer, error);
	if (r < 0)
		return r;
	cst_error *problem = NULL;
	r = new_layer_stage(staged->store, &plan, &staged->layer, &problem);
	return r == 0 ? 0 : new_layer_explain(staged->store, &staged->layer, problem, error);
}

int cst_store_stage_layer(cst_store *store, const cst_stage_options *given, cst_staged_layer **ret,
                          cst_error **error)
{
	cst_stage_options options = CST_STAGE_OPTIONS_INIT;
	_cleanup_(cst_staged_layer_freep) cst_staged_layer *staged = new0(cst_staged_layer, 1);
	int r = staged ? options_take(&options, sizeof(options), given, "cst_stage_options", error)
	               : error_oom(error);
	if (r < 0)
		return r;
	staged->store = store;
	r = isempty(options.layer) ? stage_new(staged, &options, error)
	                           : stage_for_existing(staged, &options, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

/* ---- into place ---- */

/* Its files have no names any more: the data item that says so was staged before that was known. */
static int note_objects(const struct new_layer *layer, cst_error **error)
{
	_cleanup_free_ char *file = data_file_name(LAYER_DATA_KEY);
	_cleanup_close_ int fd = -1;
	if (!file)
		return error_oom(error);
	for (size_t i = 0; i < layer->data.len; i++) {
		if (!streq(layer->data.items[i].name, LAYER_DATA_KEY))
			continue;
		fd = openat(layer->metadata->fd, STAGED_DATA, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return error_sys(error, errno, "open %s/" STAGED_DATA,
			                 layer->metadata->shown);
		return fs_replace_file(fd, file, LAYER_DATA_OBJECTS, strlen(LAYER_DATA_OBJECTS),
		                       0600, FS_DURABLE, NULL, error);
	}
	return 0;
}

int staged_sync(cst_staged_layer *staged, cst_error **error)
{
	const struct driver_ops *ops = staged->layer.driver->ops;
	bool is_image = false;
	struct driver_filling filling = {.fd = -1};
	int r = 0;
	if (staged->state == STAGED_OPENED && staged->layer.driver->sync_content)
		r = ops->stage_open(staged->layer.staged, &filling, error);
	_cleanup_close_ int fd = filling.fd;
	if (r == 0 && fd >= 0 && sys_syncfs(fd) < 0)
		r = error_sys(error, errno, "syncfs the content of the staged layer");
	if (r == 0 && ops->stage_as_image && !staged->for_existing)
		r = ops->stage_as_image(staged->layer.staged, NULL, &is_image, error);
	if (r == 0 && is_image)
		r = note_objects(&staged->layer, error);
	return r == 0 ? ops->stage_sync(staged->layer.staged, error) : r;
}

/* L w is held: the record as it is now, with what is staged. */
static int describe_existing(cst_store *store, const struct new_layer *layer,
                             struct new_content *content, cst_error **error)
{
	const cst_layer *planned = &layer->record;
	const cst_layer *now = layer_table_get(store->sets.layers.table, planned->id);
	if (!now || !timestamp_equal(&now->created, &planned->created) ||
	    !streq(now->parent, planned->parent))
		return error_wrap_code(error, CST_ELAYER_UNKNOWN,
		                       "the layer \"%s\" was deleted or changed meanwhile",
		                       planned->id);
	bool in_use = false;
	int r = layer_in_use(store, now, &in_use, error);
	if (r == 0 && in_use)
		r = error_set(error, CST_EBUSY,
		              "layer %s is mounted: its content cannot be replaced until that is "
		              "unmounted",
		              now->id);
	if (r < 0)
		return r;
	content->record = *now;
	content->record.metadata = planned->metadata;
	layer_take_digests(planned, &content->record);
	return 0;
}

static bool has_name(const cst_layer *layer, const char *name)
{
	for (size_t i = 0; i < layer->data_names.len; i++)
		if (streq(layer->data_names.items[i], name))
			return true;
	return false;
}

/* The new data items after those that the layer has. */
static int add_data_names(const struct new_data *data, struct arena *arena, cst_layer *record,
                          cst_error **error)
{
	const struct strings before = record->data_names;
	const char **names = arena_alloc(arena, (before.len + data->len + 1) * sizeof(*names));
	size_t n = before.len;
	if (!names)
		return error_oom(error);
	for (size_t i = 0; i < before.len; i++)
		names[i] = before.items[i];
	for (size_t i = 0; i < data->len; i++)
		if (!has_name(record, data->items[i].name))
			names[n++] = data->items[i].name;
	record->data_names = (struct strings){.items = names, .len = n};
	return 0;
}

static int commit_existing(cst_staged_layer *staged, cst_layer **ret, cst_error **error)
{
	_cleanup_change_ struct change change = {.durable = true};
	struct new_layer *layer = &staged->layer;
	cst_store *store = staged->store;
	struct new_content content = {.driver = layer->driver,
	                              .staged = layer->staged,
	                              .metadata = layer->metadata,
	                              .data = &layer->data,
	                              .kept = layer->kept}; /* all of it stays the staged layer's */
	if (!layer->has_tarsplit)
		return error_set(error, CST_EINVAL, "new content for layer %s needs a tar-split",
		                 layer->record.id);
	int r = change_hold(&change, store, (struct hold_modes){.layers = HOLD_WRITE}, error);
	if (r == 0)
		r = describe_existing(store, layer, &content, error);
	if (r == 0)
		r = add_data_names(&layer->data, &layer->arena, &content.record, error);
	if (r == 0)
		r = new_content_add(&change, &content, error);
	if (r < 0)
		return r;
	layer->consumed = true;
	r = change_commit(&change, error);
	return r < 0 ? r
	             : layer_give(layer_table_get(store->sets.layers.table, layer->record.id), ret,
	                          error);
}

static int commit_new(cst_staged_layer *staged, const cst_staged_commit_options *options,
                      cst_layer **ret, cst_error **error)
{
	cst_layer_options named = CST_LAYER_OPTIONS_INIT;
	named.id = options->id;
	named.names = options->names;
	named.n_names = options->n_names;
	named.flags = options->flags;
	named.n_flags = options->n_flags;
	int r = new_layer_identify(&named, &staged->layer, error);
	return r == 0 ? new_layer_commit(staged->store, &staged->layer, ret, error) : r;
}

static int check_unnamed(const cst_staged_commit_options *options, cst_error **error)
{
	return !isempty(options->id) || options->n_names || options->n_flags
	               ? error_set(error, CST_EINVAL,
	                           "the staged content is for a layer that exists: it gets neither "
	                           "ID nor names nor flags")
	               : 0;
}

int cst_staged_layer_commit(cst_staged_layer *staged, const cst_staged_commit_options *given,
                            cst_layer **ret, cst_error **error)
{
	cst_staged_commit_options options = CST_STAGED_COMMIT_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_staged_commit_options", error);
	if (r == 0)
		r = staged_must_be(staged, STAGED_EMPTY, STAGED_FILLED, error);
	if (r == 0 && staged->for_existing)
		r = check_unnamed(&options, error);
	if (r == 0)
		r = staged_sync(staged, error);
	if (r == 0)
		r = staged->for_existing ? commit_existing(staged, ret, error)
		                         : commit_new(staged, &options, ret, error);
	if (staged->layer.consumed)
		staged->state = STAGED_SPENT;
	return r;
}
