/* SPDX-License-Identifier: Apache-2.0 */
/* Applying the rule of journal.h to what a dead process announced. */
#include "base/digest.h"
#include "base/log.h"
#include "store/core/store.h"
#include "store/item/data.h"
#include "store/layer/apply.h"
#include "store/layer/delete.h"
#include <errno.h>

static bool owner_has_record(const cst_store *store, const struct intent *intent)
{
	return intent->owner_kind == CST_KIND_IMAGE
	               ? image_table_get(store->images.table, intent->owner_id) != NULL
	               : container_table_get(store->containers.table, intent->owner_id) != NULL;
}

/* Is there anybody who needs this layer? */
static bool layer_is_used(const cst_store *store, const char *id)
{
	if (layer_table_first_child(store->layers.table, id) ||
	    container_table_by_layer(store->containers.table, id))
		return true;
	for (size_t i = 0; i < record_set_size(store->images.table); i++) {
		const cst_image *image = image_table_at(store->images.table, i);
		if (streq(image->layer, id))
			return true;
		for (size_t j = 0; j < image->mapped_layers.len; j++) {
			if (streq(image->mapped_layers.items[j], id))
				return true;
		}
	}
	return false;
}

/* Layers are announced top first, so children are gone when their parent's turn comes. */
static int drop_orphan_records(cst_store *store, const struct intents *intents, cst_error **error)
{
	for (size_t i = 0; i < intents->len; i++) {
		const struct intent *intent = &intents->items[i];
		if (intent->kind != CST_KIND_LAYER || !intent->owner_kind ||
		    owner_has_record(store, intent))
			continue;
		const cst_layer *layer = layer_table_get(store->layers.table, intent->id);
		if (!layer || !timestamp_equal(&layer->created, &intent->created) ||
		    layer_is_used(store, intent->id))
			continue;
		if (!record_set_remove(store->layers.table, intent->id))
			return error_oom(error);
	}
	return layers_save(store, error);
}

static int remove_without_record(cst_store *store, const struct intent *intent, unsigned sets,
                                 struct trash *trash, cst_error **error)
{
	switch (intent->kind) {
	case CST_KIND_LAYER:
		if (layer_table_get(store->layers.table, intent->id))
			return 0;
		if (sets & SETTLE_IMAGES) {
			int r = unlist_mapped_layer(store, intent->id, error);
			if (r < 0)
				return r;
		}
		return layer_remove_files(store, intent->id, intent->note, trash, error);
	case CST_KIND_IMAGE:
		if (image_table_get(store->images.table, intent->id))
			return 0;
		return image_remove_files(store, intent->id, trash, error);
	case CST_KIND_CONTAINER:
		if (container_table_get(store->containers.table, intent->id))
			return 0;
		return container_remove_files(store, intent->id, trash, error);
	}
	return 0;
}

static int apply_rule(cst_store *store, const struct intents *intents, unsigned sets,
                      struct trash *trash, cst_error **error)
{
	for (size_t i = 0; i < intents->len; i++) {
		const struct intent *intent = &intents->items[i];
		int r = *intent->content ? apply_recover(store, intent, error)
		        : isempty(intent->data_key)
		                ? remove_without_record(store, intent, sets, trash, error)
		                : data_remeasure(store, intent->kind, intent->id, intent->data_key,
		                                 error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Another opener may have been here first. An announcement that never became complete goes too, or
 * every opener would look at it again. */
static void clear_if_pending(struct journal *journal)
{
	if (journal_pending(journal))
		journal_clear(journal);
}

/* A layer journal may speak of all three kinds, the others of their own only. */
static int recover_layers(cst_store *store, cst_error **error)
{
	_cleanup_trash_ struct trash trash = {0};
	_cleanup_layers_write_ cst_store *layers = NULL;
	_cleanup_images_write_ cst_store *images = NULL;
	_cleanup_containers_write_ cst_store *containers = NULL;
	_cleanup_intents_ struct intents intents = {0};
	int r = layers_write(store, &layers, error);
	if (r == 0)
		r = images_write(store, &images, error);
	if (r == 0)
		r = containers_write(store, &containers, error);
	if (r == 0)
		r = journal_read(&store->layer_journal, &intents, error);
	if (r == 0 && intents.len) {
		log_debug("finishing what a crashed process left half done: %zu items",
		          intents.len);
		r = drop_orphan_records(store, &intents, error);
	}
	if (r == 0)
		r = apply_rule(store, &intents, SETTLE_LAYERS | SETTLE_IMAGES | SETTLE_CONTAINERS,
		               &trash, error);
	if (r == 0)
		clear_if_pending(&store->layer_journal);
	return r;
}

static int recover_images(cst_store *store, cst_error **error)
{
	_cleanup_trash_ struct trash trash = {0};
	_cleanup_images_write_ cst_store *images = NULL;
	_cleanup_intents_ struct intents intents = {0};
	int r = images_write(store, &images, error);
	if (r == 0)
		r = journal_read(&store->image_journal, &intents, error);
	if (r == 0)
		r = apply_rule(store, &intents, SETTLE_IMAGES, &trash, error);
	if (r == 0)
		clear_if_pending(&store->image_journal);
	return r;
}

static int recover_containers(cst_store *store, cst_error **error)
{
	_cleanup_trash_ struct trash trash = {0};
	_cleanup_containers_write_ cst_store *containers = NULL;
	_cleanup_intents_ struct intents intents = {0};
	int r = containers_write(store, &containers, error);
	if (r == 0)
		r = journal_read(&store->container_journal, &intents, error);
	if (r == 0)
		r = apply_rule(store, &intents, SETTLE_CONTAINERS, &trash, error);
	if (r == 0)
		clear_if_pending(&store->container_journal);
	return r;
}

static int settle(cst_store *store, const struct intents *intents, unsigned sets,
                  struct trash *trash, cst_error **error)
{
	int r = 0;
	if (sets & SETTLE_LAYERS)
		r = set_reload(store, &store->layers.set, error);
	if (r == 0 && sets & SETTLE_IMAGES)
		r = set_reload(store, &store->images.set, error);
	if (r == 0 && sets & SETTLE_CONTAINERS)
		r = set_reload(store, &store->containers.set, error);
	if (r == 0 && sets & SETTLE_LAYERS)
		r = drop_orphan_records(store, intents, error);
	return r == 0 ? apply_rule(store, intents, sets, trash, error) : r;
}

void journal_settle(cst_store *store, struct journal *journal, const struct intents *intents,
                    unsigned sets, struct trash *trash)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (settle(store, intents, sets, trash, &problem) == 0)
		journal_end_durably(journal);
	else
		log_warning("left to be finished when the store is opened next: %s",
		            cst_error_message(problem));
}

/* ---- temporary files of writers that were killed ---- */

static int sweep(struct lockfile *lock, const char *dir, const char *name, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *held = NULL;
	_cleanup_close_ int fd = -1;
	if (!fs_has_temporary(dir, name))
		return 0;
	int r = lockfile_lock(lock, LOCKFILE_WRITE, error);
	if (r < 0)
		return r;
	held = lock;
	r = fs_open_dir(dir, &fd, error);
	if (r == 0)
		fs_sweep_temporary(fd, name);
	return r;
}

/* Layers may not have been opened yet, and are not for this unless there is something to sweep. */
static int sweep_layers(cst_store *store, cst_error **error)
{
	_cleanup_free_ char *dir = kind_path(store->graph_root, store, "layers");
	_cleanup_free_ char *run_dir = kind_path(store->run_root, store, "layers");
	_cleanup_free_ char *image_dir =
	        isempty(store->image_store) ? NULL : kind_path(store->image_store, store, "layers");
	if (!dir || !run_dir || (!image_dir && !isempty(store->image_store)))
		return error_oom(error);
	const char *volatile_dir = store->transient ? run_dir : dir;
	if (!fs_has_temporary(dir, "layers.json") &&
	    !fs_has_temporary(volatile_dir, "volatile-layers.json") &&
	    !fs_has_temporary(run_dir, "mountpoints.json") &&
	    (!image_dir || !fs_has_temporary(image_dir, "layers.json")))
		return 0;
	int r = layers_need(store, error);
	if (r == 0)
		r = sweep(store->layers.set.lock, dir, "layers.json", error);
	if (r == 0)
		r = sweep(store->layers.set.lock, volatile_dir, "volatile-layers.json", error);
	if (r == 0 && image_dir)
		r = sweep(store->layers.set.second, image_dir, "layers.json", error);
	return r == 0 ? sweep(store->layers.mounts_lock, run_dir, "mountpoints.json", error) : r;
}

static int sweep_temporaries(cst_store *store, cst_error **error)
{
	const struct container_set *containers = &store->containers;
	int r = sweep_layers(store, error);
	if (r == 0)
		r = sweep(store->images.set.lock, store->images.dir, "images.json", error);
	if (r == 0)
		r = sweep(containers->set.lock, containers->dir, "containers.json", error);
	return r == 0 ? sweep(containers->set.lock,
	                      store->transient ? containers->run_dir : containers->dir,
	                      "volatile-containers.json", error)
	              : r;
}

int journals_recover(cst_store *store, cst_error **error)
{
	int r = 0;
	if (journal_pending(&store->layer_journal))
		r = recover_layers(store, error);
	if (r == 0 && journal_pending(&store->image_journal))
		r = recover_images(store, error);
	if (r == 0 && journal_pending(&store->container_journal))
		r = recover_containers(store, error);
	if (r == 0)
		r = sweep_temporaries(store, error);
	return r < 0 ? error_prefix(error, r, "recovering the store %s", store->graph_root) : 0;
}
