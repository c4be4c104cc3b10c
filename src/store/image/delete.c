/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes an image, alone or with the layers that nothing else needs. */
#include "store/change/deletion.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/image/image.h"

DEFINE_CLEANUP(struct lockfile *, lockfile_free)
DEFINE_CLEANUP(struct record_set *, record_set_free)

int image_delete_record(cst_store *store, const char *id, const cst_progress *progress,
                        cst_error **error)
{
	_cleanup_change_ struct change change = {.trash.progress = progress};
	int r = deletion_begin(&change, store, (struct hold_modes){.images = HOLD_WRITE}, error);
	if (r < 0)
		return r;
	const cst_image *image = image_table_find(store->sets.images.table, id);
	if (!image)
		return error_about(error, CST_ENOT_AN_IMAGE, id);
	deletion_add(&change, CST_KIND_IMAGE, image->id);
	return change_commit(&change, error);
}

/* ---- with its layers ---- */

static bool other_image_has_top_layer(const cst_store *store, const cst_image *image,
                                      const char *layer)
{
	const struct record_set *images = store->sets.images.table;
	const cst_image *other = NULL;
	while ((other = image_table_by_layer(images, IMAGE_ANY_LAYER, layer, other))) {
		if (!streq(other->id, image->id))
			return true;
	}
	return false;
}

static bool has_child_outside(const cst_store *store, const char *id, const struct strv *going)
{
	const struct record_set *layers = store->sets.layers.table;
	for (const cst_layer *child = layer_table_first_child(layers, id); child;
	     child = layer_table_next_child(layers, child)) {
		if (!strv_contains(going, child->id))
			return true;
	}
	return false;
}

/* Lists the mapped copies first, and then the layers from the top down, until something else needs
 * one (docs/format/store.md, "Delete family"). */
static int layers_of_image(cst_store *store, const cst_image *image, struct strv *ret,
                           cst_error **error)
{
	for (size_t i = 0; i < image->mapped_layers.len; i++) {
		const char *id = image->mapped_layers.items[i];
		if (layer_table_get(store->sets.layers.table, id) && !strv_add(ret, id))
			return error_oom(error);
	}
	const cst_layer *layer = layer_table_get(store->sets.layers.table, image->layer);
	while (layer) {
		if (container_table_by_layer(store->sets.containers.table, layer->id) ||
		    other_image_has_top_layer(store, image, layer->id) ||
		    has_child_outside(store, layer->id, ret))
			break;
		if (!strv_contains(ret, layer->id) && !strv_add(ret, layer->id))
			return error_oom(error);
		layer = *layer->parent ? layer_table_get(store->sets.layers.table, layer->parent)
		                       : NULL;
	}
	return 0;
}

static int image_in_use(const cst_image *image, const cst_container *container, cst_error **error)
{
	const int code = CST_EIMAGE_USED_BY_CONTAINER;
	error_set(error, code, "the image \"%s\" is used by the container \"%s\"", image->id,
	          container->id);
	return error_go_words(error, code, image->id, "image used by %s: %s", container->id,
	                      cst_strerror(code));
}

static int check_no_container(cst_store *store, const cst_image *image, cst_error **error)
{
	const cst_container *container =
	        record_set_next(store->sets.containers.table, KEY_IMAGE, image->id, NULL);
	return container ? image_in_use(image, container, error) : 0;
}

/* Deletes the record of an image from before the store was split. It is in the graph root, under a
 * lock of its own, which is taken last. */
static int drop_own_record(cst_store *store, const char *id, const struct source *source,
                           cst_error **error)
{
	_cleanup_free_ char *path = path_join(source->dir, "images.lock");
	_cleanup_(lockfile_freep) struct lockfile *lock = NULL;
	_cleanup_(record_set_freep) struct record_set *table = NULL;
	_cleanup_unlock_ struct lockfile *held = NULL;
	struct lock_token token;
	bool repair;
	int r = path ? lockfile_new(path, false, &lock, error) : error_oom(error);
	lockfile_set_wait(lock, &store->lock_wait);
	if (r == 0)
		r = image_table_new(source->dir, false, &table, error);
	if (r == 0)
		r = lockfile_hold(lock, LOCKFILE_WRITE, &held, error);
	if (r == 0)
		r = lockfile_read_token(lock, &token, error);
	if (r == 0)
		r = record_set_open(table, &token, error);
	if (r == 0)
		r = record_set_parse(table, &repair, error);
	if (r == 0 && image_table_get(table, id) && !record_set_remove(table, id))
		r = error_oom(error);
	if (r == 0)
		r = record_set_save(table, lock, error);
	lockfile_unlock(steal_ptr(&held));
	if (r == 0)
		r = fs_remove_tree(source->fd, id, NULL, error);
	return r == 0 ? image_remove_userdata(store, store->run_root, id, error) : r;
}

/* The record of an image from before the store was split is not part of the change: it is deleted
 * before. */
static int delete_image(struct change *change, const cst_image *image, const struct source *source,
                        const struct strv *going, cst_error **error)
{
	cst_store *store = change->store;
	int r = source->own ? drop_own_record(store, image->id, source, error) : 0;
	if (r < 0)
		return r;
	if (!source->own)
		deletion_add(change, CST_KIND_IMAGE, image->id);
	for (size_t i = 0; i < going->len; i++)
		deletion_add_layer(change,
		                   layer_table_get(store->sets.layers.table, going->items[i]),
		                   source->own ? 0 : CST_KIND_IMAGE, image->id);
	return change_commit(change, error);
}

int image_delete(cst_store *store, const char *id, bool commit, const cst_progress *progress,
                 cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv going = {0};
	_cleanup_change_ struct change change = {.trash.progress = progress};
	int r = deletion_begin(&change, store, hold_three(HOLD_WRITE, HOLD_WRITE, HOLD_READ),
	                       error);
	if (r < 0)
		return r;
	struct source source;
	const cst_image *image = image_find(store, id, &source);
	if (!image || (source.foreign && !source.own))
		return error_about(error, CST_ENOT_AN_IMAGE, id);
	r = check_no_container(store, image, error);
	if (r == 0)
		r = layers_of_image(store, image, &going, error);
	if (r == 0 && commit)
		r = delete_image(&change, image, &source, &going, error);
	return r < 0 ? r : strings_give(&going, ret, error);
}

int cst_store_delete_image(cst_store *store, const char *id, bool commit, cst_strings **ret,
                           cst_error **error)
{
	return image_delete(store, id, commit, NULL, ret, error);
}
