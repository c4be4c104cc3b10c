/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery walks over what dead processes left, and asks the rules (rules.c) what it means. */
#include "store/change/recover.h"
#include "base/log.h"
#include "store/change/deletion.h"
#include "store/change/rules.h"
#include "store/core/store.h"
#include <errno.h>

/* ---- announcements ---- */

/* A layer journal may speak of all three kinds, the others of their own only. */
static struct hold_modes modes_for(const struct kind *kind)
{
	static const struct hold_modes all = {
	        .layers = HOLD_WRITE, .images = HOLD_WRITE, .containers = HOLD_WRITE};
	return kind->in_driver ? all : hold_only(kind->id, HOLD_WRITE);
}

/* Another opener may have been here first. An announcement that never became complete is cleared,
 * too, or every opener would look at it again. */
static int recover_journal(cst_store *store, struct set *set, cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	_cleanup_intents_ struct intents intents = {0};
	int r = change_hold(&change, store, modes_for(set->kind), error);
	if (r == 0)
		r = journal_read(&set->journal, &intents, error);
	if (r == 0 && intents.len) {
		log_debug("finishing what a crashed process left half done: %zu items",
		          intents.len);
		r = rules_apply(store, &change.hold, &intents, &change.trash, error);
	}
	if (r == 0 && journal_pending(&set->journal))
		journal_clear(&set->journal);
	return r;
}

/* ---- temporary files of writers that were killed ---- */

/* A file that is replaced by renaming a temporary one, by writers that hold the lock. */
struct replaced_file {
	const char *dir, *name;
	struct lockfile *const *lock; /* may not be open yet: the layers' are opened when needed */
};

static int sweep(cst_store *store, const struct replaced_file *file, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *held = NULL;
	_cleanup_close_ int fd = -1;
	if (!file->dir || !fs_has_temporary(file->dir, file->name))
		return 0;
	int r = layers_need(store, error);
	if (r == 0)
		r = lockfile_lock(*file->lock, LOCKFILE_WRITE, error);
	if (r < 0)
		return r;
	held = *file->lock;
	r = fs_open_dir(file->dir, &fd, error);
	if (r == 0)
		fs_sweep_temporary(fd, file->name);
	return r;
}

static int sweep_temporaries(cst_store *store, cst_error **error)
{
	struct sets *sets = &store->sets;
	const struct set *images = &sets->images, *containers = &sets->containers;
	_cleanup_free_ char *dir = set_path(store->graph_root, store, "layers");
	_cleanup_free_ char *run_dir = set_path(store->run_root, store, "layers");
	_cleanup_free_ char *image_dir =
	        isempty(store->image_store) ? NULL : set_path(store->image_store, store, "layers");
	if (!dir || !run_dir || (!image_dir && !isempty(store->image_store)))
		return error_oom(error);
	const char *journals = images->journal.dir;
	const struct replaced_file files[] = {
	        {dir, "layers.json", &sets->layers.lock},
	        {store->transient ? run_dir : dir, "volatile-layers.json", &sets->layers.lock},
	        {image_dir, "layers.json", &sets->layers.second},
	        {run_dir, "mountpoints.json", &store->mounts_lock},
	        {images->dir, "images.json", &images->lock},
	        {containers->dir, "containers.json", &containers->lock},
	        {store->transient ? containers->run_dir : containers->dir,
	         "volatile-containers.json", &containers->lock},
	        {journals, "layers.intent", &sets->layers.lock},
	        {journals, "images.intent", &images->lock},
	        {journals, "containers.intent", &containers->lock},
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = sweep(store, &files[i], error);
	return r;
}

int journals_recover(cst_store *store, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		struct set *set = &store->sets.of[i];
		if (journal_pending(&set->journal))
			r = recover_journal(store, set, error);
	}
	if (r == 0)
		r = sweep_temporaries(store, error);
	return r < 0 ? error_prefix(error, r, "recovering the store %s", store->graph_root) : 0;
}

/* ---- what a crashed Go process leaves ---- */

/* May this incomplete layer be deleted? Not if a complete layer is built on it. */
static bool incomplete_is_free(const struct record_set *layers, const cst_layer *layer)
{
	const cst_layer *child = layer_table_first_child(layers, layer->id);
	if (!child || child->incomplete)
		return true;
	log_warning("layer %s is incomplete but has children: left alone; delete those first",
	            layer->id);
	return false;
}

int layers_repair(cst_store *store, cst_error **error)
{
	const struct record_set *layers = store->sets.layers.table;
	const struct hold held = {.store = store, .modes = {.layers = HOLD_WRITE}};
	_cleanup_change_ struct change change = {0};
	change_within(&change, store, &held);
	for (size_t i = 0; i < record_set_size(layers); i++) {
		const cst_layer *layer = layer_table_at(layers, i);
		if (!layer->incomplete || !incomplete_is_free(layers, layer))
			continue;
		log_warning("deleting the incomplete layer %s", layer->id);
		deletion_add_layer(&change, layer, 0, NULL);
	}
	return change_commit(&change, error);
}
