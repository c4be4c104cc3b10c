/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layer/delete.h"
#include <errno.h>

/* ---- the common end of every deletion: records first, then content ---- */

void deletion_add_layer(struct deletion *d, const cst_layer *layer, enum cst_kind owner_kind,
                        const char *owner_id)
{
	struct intent intent = {.kind = CST_KIND_LAYER,
	                        .id = layer->id,
	                        .owner_kind = owner_kind,
	                        .owner_id = owner_id,
	                        .created = layer->created};
	intents_add(&d->intents, &intent);
}

void deletion_add(struct deletion *d, enum cst_kind kind, const char *id)
{
	intents_add(&d->intents, &(struct intent){.kind = kind, .id = id});
}

void deletion_free(struct deletion *d)
{
	intents_free(&d->intents);
}

static bool drop_record(cst_store *store, const struct intent *intent)
{
	switch (intent->kind) {
	case CST_KIND_LAYER: return record_set_remove(store->layers.table, intent->id);
	case CST_KIND_IMAGE: return record_set_remove(store->images.table, intent->id);
	case CST_KIND_CONTAINER: return record_set_remove(store->containers.table, intent->id);
	}
	return false;
}

static int remove_files(cst_store *store, const struct intent *intent, struct trash *trash,
                        cst_error **error)
{
	switch (intent->kind) {
	case CST_KIND_LAYER: return layer_remove_files(store, intent->id, NULL, trash, error);
	case CST_KIND_IMAGE: return image_remove_files(store, intent->id, trash, error);
	case CST_KIND_CONTAINER: return container_remove_files(store, intent->id, trash, error);
	}
	return 0;
}

/* An owner's record goes before those of its layers: a crash in between is then finished, not
 * undone. */
static int save_records(cst_store *store, const struct deletion *d, cst_error **error)
{
	int r = 0;
	if (d->containers)
		r = record_set_save(store->containers.table, store->containers.set.lock, error);
	if (r == 0 && d->images)
		r = record_set_save(store->images.table, store->images.set.lock, error);
	if (r == 0 && d->layers)
		r = layers_save(store, error);
	return r;
}

static int forget_mounts(cst_store *store, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	int r = lockfile_lock(store->layers.mounts_lock, LOCKFILE_WRITE, error);
	if (r < 0)
		return r;
	mounts = store->layers.mounts_lock;
	r = layer_table_load_mounts(store->layers.table, mounts, error);
	return r == 0 ? layer_table_save_mounts(store->layers.table, mounts, error) : r;
}

static int commit_steps(cst_store *store, struct deletion *d, struct trash *trash,
                        cst_error **error)
{
	bool mounted = false;
	int r = 0;
	for (size_t i = 0; r == 0 && i < d->intents.len; i++) {
		const struct intent *intent = &d->intents.items[i];
		if (intent->kind == CST_KIND_LAYER)
			mounted = mounted ||
			          layer_table_get(store->layers.table, intent->id)->mount_count > 0;
		if (!drop_record(store, intent))
			r = error_oom(error);
	}
	if (r == 0)
		r = save_records(store, d, error);
	for (size_t i = 0; r == 0 && i < d->intents.len; i++) {
		const struct intent *intent = &d->intents.items[i];
		if (intent->kind == CST_KIND_LAYER && d->images)
			r = unlist_mapped_layer(store, intent->id, error);
		if (r == 0)
			r = remove_files(store, intent, trash, error);
	}
	return r == 0 && mounted ? forget_mounts(store, error) : r;
}

int deletion_commit(cst_store *store, struct deletion *d, struct trash *trash, cst_error **error)
{
	struct journal *journal = d->layers   ? &store->layer_journal
	                          : d->images ? &store->image_journal
	                                      : &store->container_journal;
	unsigned sets = (d->layers ? SETTLE_LAYERS : 0) | (d->images ? SETTLE_IMAGES : 0) |
	                (d->containers ? SETTLE_CONTAINERS : 0);
	int r = journal_begin(journal, &d->intents, error);
	if (r < 0)
		return r;
	r = commit_steps(store, d, trash, error);
	if (r == 0)
		journal_end(journal);
	else
		journal_settle(store, journal, &d->intents, sets, trash);
	return r;
}

/* ---- one layer, with safety checks ---- */

static int check_unused(cst_store *store, const cst_layer *layer, cst_error **error)
{
	const cst_layer *child = layer_table_first_child(store->layers.table, layer->id);
	if (child)
		return error_wrap_code(error, CST_ELAYER_HAS_CHILDREN, "used by layer %s",
		                       child->id);
	for (size_t i = 0; i < record_set_size(store->images.table); i++) {
		const cst_image *image = image_table_at(store->images.table, i);
		if (streq(image->layer, layer->id))
			return error_wrap_code(error, CST_ELAYER_USED_BY_IMAGE,
			                       "layer %s used by image %s", layer->id, image->id);
	}
	const cst_container *container =
	        container_table_by_layer(store->containers.table, layer->id);
	if (container)
		return error_wrap_code(error, CST_ELAYER_USED_BY_CONTAINER,
		                       "layer %s used by container %s", layer->id, container->id);
	return 0;
}

int unlist_mapped_layer(cst_store *store, const char *id, cst_error **error)
{
	struct record_set *table = store->images.table;
	for (size_t i = 0; i < record_set_size(table); i++) {
		cst_image image = *image_table_at(table, i);
		_cleanup_free_ const char **kept = new0(const char *, image.mapped_layers.len + 1);
		if (!kept)
			return error_oom(error);
		size_t n = 0;
		for (size_t j = 0; j < image.mapped_layers.len; j++) {
			if (!streq(image.mapped_layers.items[j], id))
				kept[n++] = image.mapped_layers.items[j];
		}
		if (n == image.mapped_layers.len)
			continue;
		image.mapped_layers = (struct strings){.items = kept, .len = n};
		if (!record_set_replace(table, &image))
			return error_oom(error);
	}
	return record_set_save(table, store->images.set.lock, error);
}

static int delete_layer(cst_store *store, const cst_layer *layer, struct trash *trash,
                        cst_error **error)
{
	_cleanup_deletion_ struct deletion deletion = {.layers = true, .images = true};
	deletion_add_layer(&deletion, layer, 0, NULL);
	return deletion_commit(store, &deletion, trash, error);
}

int layer_delete(cst_store *store, const char *id, const cst_progress *progress, cst_error **error)
{
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
	const cst_layer *layer = layer_table_find(store->layers.table, id);
	if (!layer)
		return error_code(error, CST_ENOT_A_LAYER);
	r = check_unused(store, layer, error);
	if (r == 0)
		r = trash_announce(&trash, error);
	return r == 0 ? delete_layer(store, layer, &trash, error) : r;
}

int cst_store_delete_layer(cst_store *store, const char *id, cst_error **error)
{
	return layer_delete(store, id, NULL, error);
}

/* ---- anything, without checks ---- */

static int delete_any_layer(cst_store *store, const char *id, const cst_progress *progress,
                            cst_error **error)
{
	_cleanup_trash_ struct trash trash = {.progress = progress};
	_cleanup_layers_write_ cst_store *layers = NULL;
	_cleanup_images_write_ cst_store *images = NULL;
	const cst_layer *layer;
	int r = layers_write(store, &layers, error);
	if (r == 0)
		r = images_write(store, &images, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r == 0)
		r = trash_announce(&trash, error);
	return r == 0 ? delete_layer(store, layer, &trash, error) : r;
}

static int delete_any(cst_store *store, const char *id, const cst_progress *progress,
                      cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = container_delete(store, id, progress, &problem);
	if (r == CST_ENOT_A_CONTAINER) {
		error_freep(&problem);
		problem = NULL;
		r = image_delete_record(store, id, progress, &problem);
	}
	if (r == CST_ENOT_AN_IMAGE) {
		error_freep(&problem);
		problem = NULL;
		r = delete_any_layer(store, id, progress, &problem);
	}
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

int cst_store_delete(cst_store *store, const char *id, const cst_delete_options *options,
                     cst_strings **layers, cst_error **error)
{
	static const cst_delete_options defaults = CST_DELETE_OPTIONS_INIT;
	if (!options)
		options = &defaults;
	const cst_progress *progress = options->progress;
	if (options->dry_run && options->kind != CST_KIND_IMAGE)
		return error_set(error, CST_EINVAL, "only images can be deleted for a trial");
	switch (options->kind) {
	case 0: return delete_any(store, id, progress, error);
	case CST_KIND_LAYER: return layer_delete(store, id, progress, error);
	case CST_KIND_CONTAINER: return container_delete(store, id, progress, error);
	case CST_KIND_IMAGE:
		return image_delete(store, id, !options->dry_run, progress, layers, error);
	}
	return error_set(error, CST_EINVAL, "%d is not a kind of object", (int)options->kind);
}
