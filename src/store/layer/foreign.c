/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of additional layer stores (<cstorage/additional_layer.h>): looks them up, and makes layers of this store of them. */
#include "base/digest.h"
#include "records/record_fields.h"
#include "store/change/content.h"
#include "store/core/store.h"
#include "store/layer/create.h"
#include <cstorage/additional_layer.h>

struct cst_additional_layer {
	cst_store *store;
	struct driver *driver;
	char *path;
	struct tempdir *held; /* by which the store is told if this process dies */
	struct arena arena;
	cst_layer record;
};
DEFINE_CLEANUP(cst_additional_layer *, cst_additional_layer_free)

void cst_additional_layer_free(cst_additional_layer *layer)
{
	if (!layer)
		return;
	if (layer->path)
		layer->driver->ops->foreign_end(layer->path, layer->held);
	free(layer->path);
	arena_clear(&layer->arena);
	free(layer);
}

const cst_layer *cst_additional_layer_record(const cst_additional_layer *layer)
{
	return &layer->record;
}

int64_t cst_additional_layer_compressed_size(const cst_additional_layer *layer)
{
	return layer->record.compressed_size;
}

const char *cst_additional_layer_path(const cst_additional_layer *layer)
{
	return layer->path;
}

int cst_additional_layer_open_blob(const cst_additional_layer *layer, int *fd, cst_error **error)
{
	return layer->driver->ops->foreign_blob(layer->path, fd, error);
}

/* ---- looking up ---- */

static int bad_info(const cst_additional_layer *layer, const char *why, cst_error **error)
{
	return error_set(error, CST_ECORRUPT, "%s/info of the additional layer store: %s",
	                 layer->path, why);
}

static int check_digests(const cst_additional_layer *layer, const char *wanted, cst_error **error)
{
	const cst_layer *record = &layer->record;
	const char *const digests[] = {record->toc_digest, record->diff_digest,
	                               record->compressed_digest};
	bool found = false;
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		if (*digests[i] && digest_validate(digests[i], NULL) < 0)
			return bad_info(layer, "a digest is none", error);
		found = found || streq(digests[i], wanted);
	}
	return found ? 0 : bad_info(layer, "it describes a layer of another digest", error);
}

/* Only what describes the content counts: whose layer it is, its names and data items are this store's affair. */
static int parse(cst_additional_layer *layer, const char *text, cst_error **error)
{
	struct json_reader json;
	cst_layer said;
	json_reader_init(&json, text, strlen(text), &layer->arena);
	_cleanup_(record_reader_free) struct record_reader reader = {.json = &json,
	                                                             .arena = &layer->arena};
	layer_read(&reader, &said);
	if (!json_finish(&json) || reader.bad)
		return bad_info(layer, reader.bad ? reader.bad : "it is no JSON object", error);
	if (said.compression < CST_PLAIN || said.compression > CST_ZSTD)
		return bad_info(layer, "its compression is unknown", error);
	if (said.compressed_size < 0 || said.diff_size < 0)
		return bad_info(layer, "a size is negative", error);
	layer->record = (cst_layer){.id = "",
	                            .parent = "",
	                            .metadata = "",
	                            .mount_label = "",
	                            .mount_point = "",
	                            .created = TIMESTAMP_ZERO};
	layer_take_digests(&said, &layer->record);
	return 0;
}

static int read_info(cst_additional_layer *layer, const char *digest, cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	int r = layer->driver->ops->foreign_info(layer->path, &text, error);
	const char *copy = r == 0 ? arena_strdup(&layer->arena, text) : NULL;
	if (r < 0)
		return r;
	if (!copy)
		return error_oom(error);
	r = parse(layer, copy, error);
	return r == 0 ? check_digests(layer, digest, error) : r;
}

int cst_store_find_additional_layer(cst_store *store, const char *digest, const char *image,
                                    cst_additional_layer **ret, cst_error **error)
{
	_cleanup_(cst_additional_layer_freep) cst_additional_layer *layer =
	        new0(cst_additional_layer, 1);
	if (!layer)
		return error_oom(error);
	layer->store = store;
	layer->driver = store->driver;
	if (!layer->driver->ops->foreign_find)
		return error_set(error, CST_ELAYER_UNKNOWN,
		                 "the driver \"%s\" has no additional layer stores",
		                 layer->driver->ops->name);
	int r = layer->driver->ops->foreign_find(layer->driver, digest, strempty(image),
	                                         &layer->path, error);
	if (r < 0)
		return r;
	layer->driver->ops->foreign_begin(layer->driver, layer->path, &layer->held);
	r = read_info(layer, digest, error);
	if (r == 0)
		*ret = steal_ptr(&layer);
	return r;
}

int cst_store_additional_layers(cst_store *store, const char *image, cst_strings **ret,
                                cst_error **error)
{
	_cleanup_strv_ struct strv digests = {0};
	struct driver *driver = store->driver;
	int r = driver->ops->foreign_list
	                ? driver->ops->foreign_list(driver, strempty(image), &digests, error)
	                : 0;
	if (r < 0)
		return r;
	strv_sort(&digests);
	return strings_give(&digests, ret, error);
}

/* ---- putting it into the store ---- */

static int fill(cst_additional_layer *from, const cst_layer_options *options,
                struct new_layer *layer, cst_error **error)
{
	const struct driver_ops *ops = layer->driver->ops;
	int r = new_layer_stage(from->store, options, layer, error);
	if (r == 0)
		r = ops->stage_foreign(layer->staged, from->path, error);
	return r == 0 ? ops->stage_sync(layer->staged, error) : r;
}

int cst_additional_layer_put(cst_additional_layer *from, const cst_additional_layer_options *given,
                             cst_layer **ret, cst_error **error)
{
	cst_additional_layer_options options = CST_ADDITIONAL_LAYER_OPTIONS_INIT;
	cst_layer_options plan = CST_LAYER_OPTIONS_INIT;
	_cleanup_new_layer_ struct new_layer layer = {0};
	cst_error *problem = NULL;
	int r = options_take(&options, sizeof(options), given, "cst_additional_layer_options",
	                     error);
	plan.id = options.id;
	plan.parent = options.parent;
	plan.names = options.names;
	plan.n_names = options.n_names;
	if (r == 0)
		r = new_layer_plan(from->store, &plan, &layer, error);
	if (r < 0)
		return r;
	if (!idmaps_equal(&layer.maps, NULL) || !idmaps_equal(&layer.parent_maps, NULL))
		return error_set(
		        error, CST_ENOTSUP,
		        "the files in %s belong to other ids than those of this store, and "
		        "cannot be given to them",
		        from->path);
	layer_take_digests(&from->record, &layer.record);
	if (fill(from, &plan, &layer, &problem) < 0)
		return new_layer_explain(from->store, &layer, problem, error);
	return new_layer_commit(from->store, &layer, ret, error);
}
