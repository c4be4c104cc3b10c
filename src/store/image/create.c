/* SPDX-License-Identifier: Apache-2.0 */
/* Creates an image. One that takes the ID of an image of an additional store hides it, and takes
 * over its names and data. */
#include "base/digest.h"
#include "base/id.h"
#include "store/change/change.h"
#include "store/core/lookup.h"
#include "store/core/names.h"
#include "store/core/store.h"
#include "store/image/image.h"
#include "store/item/data_stage.h"

struct new_image {
	struct arena arena;
	struct strv names;   /* the caller's */
	struct strv taken;   /* with those of `base`, which may be somebody else's */
	struct strv history; /* of `taken` */
	struct image_base base;
	struct staged_item staged;
	cst_image record;
	bool has_id; /* chosen by the caller */
};

static void new_image_free(struct new_image *image)
{
	tempdir_free(image->staged.stage);
	strv_free(&image->names);
	strv_free(&image->taken);
	strv_free(&image->history);
	image_base_free(&image->base);
	arena_clear(&image->arena);
}

static int resolve_top_layer(cst_store *store, const char *id, struct new_image *image,
                             cst_error **error)
{
	image->record.layer = "";
	if (isempty(id))
		return 0;
	_cleanup_hold_ struct hold layers = {0};
	int r = item_hold(store, CST_KIND_LAYER, id, &layers, error);
	if (r < 0)
		return r;
	image->record.layer = arena_strdup(&image->arena, record_id(layers.item));
	return image->record.layer ? 0 : error_oom(error);
}

static struct strings joined(struct arena *arena, const struct strings *a, const struct strings *b)
{
	const char **items = arena_alloc(arena, (a->len + b->len + 1) * sizeof(*items));
	for (size_t i = 0; items && i < a->len + b->len; i++)
		items[i] = i < a->len ? a->items[i] : b->items[i - a->len];
	return (struct strings){.items = items, .len = items ? a->len + b->len : 0};
}

/* The names are those of the image that the new one hides, then the caller's.
 * `record.names_history` has both. */
static int plan_taken_names(struct new_image *image, cst_error **error)
{
	const cst_image *base = image->base.image;
	const struct strings given = strings_of(&image->names), old = image->record.names_history;
	int r = names_unique(base->names.items, base->names.len, &image->taken, error);
	if (r == 0)
		r = names_unique(given.items, given.len, &image->taken, error);
	if (r == 0)
		r = names_history(&old, &image->taken, &image->history, error);
	image->record.names = strings_of(&image->taken);
	image->record.names_history = strings_of(&image->history);
	return r;
}

static bool is_given(const cst_image_options *options, const char *key)
{
	for (size_t i = 0; i < options->n_data; i++) {
		if (options->data[i].key && streq(options->data[i].key, key))
			return true;
	}
	return false;
}

/* Takes the items of the base that the caller does not give, then those of the caller. */
static int plan_data(cst_store *store, const cst_image_options *options, struct new_image *image,
                     cst_error **error)
{
	const struct image_base *base = &image->base;
	_cleanup_free_ cst_data_item *items =
	        new0(cst_data_item, base->n_items + options->n_data + 1);
	size_t n = 0;
	if (!items)
		return error_oom(error);
	for (size_t i = 0; i < base->n_items; i++) {
		if (!is_given(options, base->items[i].key))
			items[n++] = base->items[i];
	}
	for (size_t i = 0; i < options->n_data; i++)
		items[n++] = options->data[i];
	int r = new_data_stage(store, "image", items, n, &image->staged.stage, &image->arena,
	                       &image->staged.data, error);
	image->record.data = (struct data_items){.items = image->staged.data.items,
	                                         .len = image->staged.data.len};
	return r;
}

static int plan_base(cst_store *store, const cst_image_options *options, record_edit edit,
                     void *arg, struct new_image *image, cst_error **error)
{
	if (!image->has_id)
		return 0;
	int r = image_base_read(store, options->id, &image->base, error);
	if (r < 0 || !image->base.image)
		return r;
	image->record.digest = str_or(options->digest, image->base.image->digest);
	image->record.metadata = str_or(options->metadata, image->base.image->metadata);
	if (!options->has_created)
		image->record.created = image->base.image->created;
	image->record.names_history = joined(&image->arena, &image->base.image->names_history,
	                                     &image->record.names_history);
	if (image->arena.failed)
		return error_oom(error);
	if (!edit)
		return plan_taken_names(image, error);
	return edit(kind_of(CST_KIND_IMAGE), &image->record, arg, error);
}

static int plan_image(cst_store *store, const cst_image_options *options, record_edit edit,
                      void *arg, struct new_image *image, cst_error **error)
{
	cst_image *record = &image->record;
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root) : 0;
	image->has_id = !isempty(options->id);
	if (r == 0)
		r = id_for_new("image", options->id, &image->arena, &record->id, error);
	if (r == 0)
		r = names_unique(options->names, options->n_names, &image->names, error);
	if (r < 0)
		return r;
	record->digest = strempty(options->digest);
	record->names = strings_of(&image->names);
	record->names_history =
	        (struct strings){.items = options->names_history, .len = options->n_names_history};
	record->metadata = strempty(options->metadata);
	record->created = timestamp_now();
	if (options->has_created)
		record->created = (struct timestamp){.sec = options->created,
		                                     .nsec = options->created_nanoseconds,
		                                     .zulu = true};
	r = flags_set_all(&image->arena, &record->flags, options->flags, options->n_flags, error);
	if (r == 0)
		r = plan_base(store, options, edit, arg, image, error);
	if (r == 0)
		r = plan_data(store, options, image, error);
	/* The manifest that was written first names the image. */
	for (size_t i = 0; isempty(record->digest) && i < record->data.len; i++)
		if (has_prefix(record->data.items[i].name, "manifest"))
			record->digest = record->data.items[i].digest;
	return r == 0 ? resolve_top_layer(store, options->layer, image, error) : r;
}

static int check_new_image(cst_store *store, const struct new_image *image, cst_error **error)
{
	const struct record_set *table = store->sets.images.table;
	const cst_image *record = &image->record;
	const struct strings names = strings_of(&image->names);
	if (image_table_get(table, record->id))
		return error_about_go(error, CST_EDUPLICATE_ID, record->id,
		                      "an image with ID \"%s\" already exists", record->id);
	for (size_t i = 0; i < names.len; i++) {
		const cst_image *other = image_table_by_name(table, names.items[i]);
		if (other)
			return error_about_go(
			        error, CST_EDUPLICATE_NAME, names.items[i],
			        "image name \"%s\" is already associated with image \"%s\"",
			        names.items[i], other->id);
	}
	if (!isempty(record->digest) && digest_validate(record->digest, error) < 0)
		return error_prefix(
		        error, CST_EINVAL,
		        "validating digests for new image: validating image digest \"%s\"",
		        record->digest);
	return 0;
}

/* The layers stay locked, so that no other process deletes the top layer meanwhile. */
static int hold_for(struct change *change, cst_store *store, const struct new_image *image,
                    cst_error **error)
{
	const cst_layer *layer;
	int r = 0;
	if (*image->record.layer) {
		r = change_hold(change, store, hold_only(CST_KIND_LAYER, HOLD_READ_LOCKED), error);
		if (r == 0)
			r = layer_must(store, image->record.layer, &layer, error);
	}
	return r == 0 ? change_hold(change, store, hold_only(CST_KIND_IMAGE, HOLD_WRITE), error)
	              : r;
}

int image_create(cst_store *store, const cst_image_options *options, record_edit edit, void *arg,
                 cst_image **ret, cst_error **error)
{
	_cleanup_(new_image_free) struct new_image image = {0};
	_cleanup_change_ struct change change = {0};
	int r = plan_image(store, options, edit, arg, &image, error);
	image.staged.record = &image.record;
	if (r == 0)
		r = hold_for(&change, store, &image, error);
	if (r == 0)
		r = check_new_image(store, &image, error);
	if (r < 0)
		return r;
	change_add(&change, &(struct intent){.kind = CST_KIND_IMAGE, .id = image.record.id},
	           staged_item_place, NULL, &image.staged);
	r = change_commit(&change, error);
	return r < 0 ? r
	             : image_give(image_table_get(store->sets.images.table, image.record.id), ret,
	                          error);
}

int cst_store_create_image(cst_store *store, const cst_image_options *given, cst_image **ret,
                           cst_error **error)
{
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_image_options", error);
	return r == 0 ? image_create(store, &options, NULL, NULL, ret, error) : r;
}
