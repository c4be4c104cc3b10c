/* SPDX-License-Identifier: Apache-2.0 */
#include "store/image/image.h"
#include "base/digest.h"
#include "base/id.h"
#include "store/item/data.h"
#include "store/item/edit.h"
#include "store/layer/delete.h"
#include <errno.h>

/* ---- create ---- */

struct new_image {
	struct arena arena;
	struct strv names;   /* the caller's */
	struct strv taken;   /* with those of `base`, which may be somebody else's */
	struct strv history; /* of `taken` */
	struct image_base base;
	struct tempdir *stage;
	struct new_data data;
	cst_image record;
	bool has_id; /* chosen by the caller */
};

static void new_image_free(struct new_image *image)
{
	tempdir_free(image->stage);
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
	_cleanup_layers_read_ cst_store *layers = NULL;
	const cst_layer *layer;
	int r = layers_read(store, &layers, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r < 0)
		return r;
	image->record.layer = arena_strdup(&image->arena, layer->id);
	return image->record.layer ? 0 : error_oom(error);
}

static struct strings joined(struct arena *arena, const struct strings *a, const struct strings *b)
{
	const char **items = arena_alloc(arena, (a->len + b->len + 1) * sizeof(*items));
	for (size_t i = 0; items && i < a->len + b->len; i++)
		items[i] = i < a->len ? a->items[i] : b->items[i - a->len];
	return (struct strings){.items = items, .len = items ? a->len + b->len : 0};
}

/* The names of the image that the new one is to hide, then the caller's. `record.names_history` is
 * of both. */
static int plan_taken_names(struct new_image *image, cst_error **error)
{
	const cst_image *base = image->base.image;
	const struct strings given = strings_of(&image->names), old = image->record.names_history;
	int r = names_unique(base->names.items, base->names.len, &image->taken, error);
	if (r == 0)
		r = names_unique(given.items, given.len, &image->taken, error);
	if (r == 0)
		r = image_history(&old, &image->taken, &image->history, error);
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

/* The items of the base that are not given anew, then the given ones. */
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
	int r = new_data_stage(store, "image", items, n, &image->stage, &image->arena, &image->data,
	                       error);
	image->record.data =
	        (struct data_items){.items = image->data.items, .len = image->data.len};
	return r;
}

static const char *first_of(const char *given, const char *otherwise)
{
	return isempty(given) ? strempty(otherwise) : given;
}

static int plan_base(cst_store *store, const cst_image_options *options,
                     const struct record_edit *edit, void *arg, struct new_image *image,
                     cst_error **error)
{
	if (!image->has_id)
		return 0;
	int r = image_base_read(store, options->id, &image->base, error);
	if (r < 0 || !image->base.image)
		return r;
	image->record.digest = first_of(options->digest, image->base.image->digest);
	image->record.metadata = first_of(options->metadata, image->base.image->metadata);
	if (!options->has_created)
		image->record.created = image->base.image->created;
	image->record.names_history = joined(&image->arena, &image->base.image->names_history,
	                                     &image->record.names_history);
	if (image->arena.failed)
		return error_oom(error);
	if (!edit)
		return plan_taken_names(image, error);
	return edit->image(&image->record, arg, error);
}

static int plan_image(cst_store *store, const cst_image_options *options,
                      const struct record_edit *edit, void *arg, struct new_image *image,
                      cst_error **error)
{
	char id[ID_HEX_LEN + 1];
	cst_image *record = &image->record;
	int r = store->read_only ? error_code(error, CST_ESTORE_READ_ONLY) : 0;
	image->has_id = !isempty(options->id);
	if (r == 0)
		r = image->has_id ? id_check_new("image", options->id, error)
		                  : id_generate(id, error);
	if (r == 0)
		r = names_unique(options->names, options->n_names, &image->names, error);
	if (r < 0)
		return r;
	record->id = arena_strdup(&image->arena, image->has_id ? options->id : id);
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
	if (!record->id)
		return error_oom(error);
	r = flags_set_all(&image->arena, &record->flags, options->flags, options->n_flags, error);
	if (r == 0)
		r = plan_base(store, options, edit, arg, image, error);
	if (r == 0)
		r = plan_data(store, options, image, error);
	for (size_t i = 0; isempty(record->digest) && i < record->data.len; i++) {
		if (has_prefix(record->data.items[i].name,
		               "manifest")) /* the first one written names the image */
			record->digest = record->data.items[i].digest;
	}
	return r == 0 ? resolve_top_layer(store, options->layer, image, error) : r;
}

static int check_new_image(cst_store *store, const struct new_image *image, cst_error **error)
{
	const struct record_set *table = store->images.table;
	const cst_image *record = &image->record;
	const struct strings names = strings_of(&image->names);
	if (image_table_get(table, record->id))
		return error_wrap_code(error, CST_EDUPLICATE_ID,
		                       "an image with ID \"%s\" already exists", record->id);
	for (size_t i = 0; i < names.len; i++) {
		const cst_image *other = image_table_by_name(table, names.items[i]);
		if (other)
			return error_wrap_code(
			        error, CST_EDUPLICATE_NAME,
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

static int commit_image(cst_store *store, struct new_image *image, struct trash *trash,
                        cst_error **error)
{
	struct record_set *table = store->images.table;
	const char *id = image->record.id;
	_cleanup_intents_ struct intents intents = {0};
	intents_add(&intents, &(struct intent){.kind = CST_KIND_IMAGE, .id = id});
	int r = journal_begin(&store->image_journal, &intents, error);
	if (r < 0)
		return r;
	r = image_remove_files(store, id, trash, error); /* of a crashed Go process */
	if (r == 0)
		r = new_data_commit(&image->data, image->stage, store->images.fd, id, error);
	if (r == 0 && !record_set_add(table, &image->record))
		r = error_oom(error);
	if (r == 0)
		r = record_set_save(table, store->images.set.lock, error);
	if (r == 0)
		journal_end(&store->image_journal);
	else
		journal_settle(store, &store->image_journal, &intents, SETTLE_IMAGES, trash);
	return r;
}

int image_create(cst_store *store, const cst_image_options *options, const struct record_edit *edit,
                 void *arg, cst_image **ret, cst_error **error)
{
	_cleanup_(new_image_free) struct new_image image = {0};
	_cleanup_trash_ struct trash trash = {0};
	int r = plan_image(store, options, edit, arg, &image, error);
	if (r < 0)
		return r;
	_cleanup_layers_read_locked_ cst_store *layers =
	        NULL; /* so that nobody deletes the top layer meanwhile */
	_cleanup_images_write_ cst_store *images = NULL;
	if (*image.record.layer) {
		const cst_layer *layer;
		r = layers_read_locked(store, &layers, error);
		if (r == 0)
			r = layer_must(store, image.record.layer, &layer, error);
	}
	if (r == 0)
		r = images_write(store, &images, error);
	if (r == 0)
		r = check_new_image(store, &image, error);
	if (r == 0)
		r = commit_image(store, &image, &trash, error);
	return r < 0 ? r
	             : image_give(image_table_get(store->images.table, image.record.id), ret,
	                          error);
}

int cst_store_create_image(cst_store *store, const cst_image_options *given, cst_image **ret,
                           cst_error **error)
{
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, error);
	return r == 0 ? image_create(store, &options, NULL, NULL, ret, error) : r;
}

/* ---- delete ---- */

int image_delete_record(cst_store *store, const char *id, const cst_progress *progress,
                        cst_error **error)
{
	_cleanup_deletion_ struct deletion deletion = {.images = true};
	_cleanup_trash_ struct trash trash = {.progress = progress};
	_cleanup_images_write_ cst_store *images = NULL;
	int r = images_write(store, &images, error);
	if (r == 0)
		r = trash_announce(&trash, error);
	if (r < 0)
		return r;
	const cst_image *image = image_table_find(store->images.table, id);
	if (!image)
		return error_code(error, CST_ENOT_AN_IMAGE);
	deletion_add(&deletion, CST_KIND_IMAGE, image->id);
	return deletion_commit(store, &deletion, &trash, error);
}

static bool image_has_top(const cst_image *image, const char *layer)
{
	if (streq(image->layer, layer))
		return true;
	for (size_t i = 0; i < image->mapped_layers.len; i++) {
		if (streq(image->mapped_layers.items[i], layer))
			return true;
	}
	return false;
}

static bool other_image_has_top(const cst_store *store, const cst_image *image, const char *layer)
{
	for (size_t i = 0; i < record_set_size(store->images.table); i++) {
		const cst_image *other = image_table_at(store->images.table, i);
		if (!streq(other->id, image->id) && image_has_top(other, layer))
			return true;
	}
	return false;
}

static bool has_child_outside(const cst_store *store, const char *id, const struct strv *going)
{
	for (size_t i = 0; i < record_set_size(store->layers.table); i++) {
		const cst_layer *layer = layer_table_at(store->layers.table, i);
		if (streq(layer->parent, id) && !strv_contains(going, layer->id))
			return true;
	}
	return false;
}

/* docs/format/store.md, "Delete family": mapped copies first, then from the top down until somebody
 * else needs one. */
static int layers_of_image(cst_store *store, const cst_image *image, struct strv *ret,
                           cst_error **error)
{
	for (size_t i = 0; i < image->mapped_layers.len; i++) {
		const char *id = image->mapped_layers.items[i];
		if (layer_table_get(store->layers.table, id) && !strv_add(ret, id))
			return error_oom(error);
	}
	const cst_layer *layer = layer_table_get(store->layers.table, image->layer);
	while (layer) {
		if (container_table_by_layer(store->containers.table, layer->id) ||
		    other_image_has_top(store, image, layer->id) ||
		    has_child_outside(store, layer->id, ret))
			break;
		if (!strv_contains(ret, layer->id) && !strv_add(ret, layer->id))
			return error_oom(error);
		layer = *layer->parent ? layer_table_get(store->layers.table, layer->parent) : NULL;
	}
	return 0;
}

static int check_no_container(cst_store *store, const cst_image *image, cst_error **error)
{
	for (size_t i = 0; i < record_set_size(store->containers.table); i++) {
		const cst_container *container = container_table_at(store->containers.table, i);
		if (streq(container->image, image->id))
			return error_wrap_code(error, CST_EIMAGE_USED_BY_CONTAINER,
			                       "image used by %s", container->id);
	}
	return 0;
}

static int delete_image(cst_store *store, const cst_image *image, const struct strv *going,
                        struct trash *trash, cst_error **error)
{
	_cleanup_deletion_ struct deletion deletion = {.images = true, .layers = true};
	deletion_add(&deletion, CST_KIND_IMAGE, image->id);
	for (size_t i = 0; i < going->len; i++)
		deletion_add_layer(&deletion, layer_table_get(store->layers.table, going->items[i]),
		                   CST_KIND_IMAGE, image->id);
	return deletion_commit(store, &deletion, trash, error);
}

/* An image from before the store was split: its record is in the graph root, under a lock of its
 * own, taken last. */
static int drop_own_record(cst_store *store, const char *id, const struct image_source *source,
                           cst_error **error)
{
	_cleanup_free_ char *path = path_join(source->dir, "images.lock");
	struct lockfile *lock = NULL;
	struct record_set *table = NULL;
	struct lock_token token;
	bool repair;
	int r = path ? lockfile_new(path, false, &lock, error) : error_oom(error);
	if (r == 0)
		r = image_table_new(source->dir, false, &table, error);
	if (r == 0)
		r = lockfile_lock(lock, LOCKFILE_WRITE, error);
	if (r == 0) {
		r = lockfile_read_token(lock, &token, error);
		if (r == 0)
			r = record_set_open(table, &token, error);
		if (r == 0)
			r = record_set_parse(table, &repair, error);
		if (r == 0 && image_table_get(table, id) && !record_set_remove(table, id))
			r = error_oom(error);
		if (r == 0)
			r = record_set_save(table, lock, error);
		lockfile_unlock(lock);
	}
	record_set_free(table);
	lockfile_free(lock);
	if (r == 0)
		r = fs_remove_tree(source->fd, id, NULL, error);
	return r == 0 ? image_remove_userdata(store, store->run_root, id, error) : r;
}

static int delete_own_image(cst_store *store, const cst_image *image,
                            const struct image_source *source, const struct strv *going,
                            struct trash *trash, cst_error **error)
{
	_cleanup_deletion_ struct deletion deletion = {.layers = true};
	for (size_t i = 0; i < going->len; i++)
		deletion_add_layer(&deletion, layer_table_get(store->layers.table, going->items[i]),
		                   0, NULL);
	int r = drop_own_record(store, image->id, source, error);
	return r == 0 && going->len ? deletion_commit(store, &deletion, trash, error) : r;
}

int image_delete(cst_store *store, const char *id, bool commit, const cst_progress *progress,
                 cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv going = {0};
	_cleanup_trash_ struct trash trash = {.progress = progress};
	_cleanup_layers_write_ cst_store *layers = NULL;
	_cleanup_images_write_ cst_store *images = NULL;
	_cleanup_containers_read_ cst_store *containers = NULL;
	int r = layers_write(store, &layers, error);
	if (r == 0)
		r = images_write(store, &images, error);
	if (r == 0)
		r = containers_read(store, &containers, error);
	if (r < 0)
		return r;
	struct image_source source;
	const cst_image *image = image_find(store, id, &source);
	if (!image || (source.foreign && !source.own))
		return error_code(error, CST_ENOT_AN_IMAGE);
	r = check_no_container(store, image, error);
	if (r == 0)
		r = trash_announce(&trash, error);
	if (r == 0)
		r = layers_of_image(store, image, &going, error);
	if (r == 0 && commit)
		r = source.own ? delete_own_image(store, image, &source, &going, &trash, error)
		               : delete_image(store, image, &going, &trash, error);
	return r < 0 ? r : strings_give(&going, ret, error);
}

int cst_store_delete_image(cst_store *store, const char *id, bool commit, cst_strings **ret,
                           cst_error **error)
{
	return image_delete(store, id, commit, NULL, ret, error);
}
