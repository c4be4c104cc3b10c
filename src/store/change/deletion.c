/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes items in two halves of a step: the record first, then the files. */
#include "store/change/deletion.h"
#include "store/core/edit.h"
#include "store/core/store.h"

static int drop_record(struct change *change, const struct intent *intent, void *arg,
                       cst_error **error)
{
	cst_store *store = change->store;
	if (!record_set_remove(set_of(store, intent->kind)->table, intent->id))
		return error_oom(error);
	return kind_of(intent->kind)->in_driver && hold_writes(change->held, CST_KIND_IMAGE)
	               ? image_unlist_mapped(&store->sets.images, intent->id, error)
	               : 0;
}

static int remove_files(struct change *change, const struct intent *intent, void *arg,
                        cst_error **error)
{
	return item_remove_files(change->store, intent->kind, intent->id, "", &change->trash,
	                         error);
}

/* Writes down that mounted layers are gone. */
static int forget_mounts(struct change *change, const struct intent *intent, void *arg,
                         cst_error **error)
{
	struct record_set *layers = change->store->sets.layers.table;
	static const struct lock_wait to_the_end = {0}; /* the records are gone already */
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	int r = lockfile_lock_for(change->store->mounts_lock, LOCKFILE_WRITE, &to_the_end, error);
	if (r < 0)
		return r;
	mounts = change->store->mounts_lock;
	r = layer_table_load_mounts(layers, mounts, error);
	return r == 0 ? layer_table_save_mounts(layers, mounts, error) : r;
}

/* An owner's record goes before those of its layers: a crash in between is then finished, not
 * undone. */
int deletion_begin(struct change *change, cst_store *store, struct hold_modes modes,
                   cst_error **error)
{
	int r = trash_announce(&change->trash, error);
	return r == 0 ? change_hold(change, store, modes, error) : r;
}

void deletion_add(struct change *change, enum cst_kind kind, const char *id)
{
	change->owners_first = true;
	change_add(change, &(struct intent){.kind = kind, .id = id}, drop_record, remove_files,
	           NULL);
}

void deletion_add_layer(struct change *change, const cst_layer *layer, enum cst_kind owner_kind,
                        const char *owner_id)
{
	const struct intent intent = {.kind = CST_KIND_LAYER,
	                              .id = layer->id,
	                              .owner_kind = owner_kind,
	                              .owner_id = owner_id,
	                              .created = layer->created};
	change_add(change, &intent, drop_record, remove_files, NULL);
	if (layer->mount_count > 0)
		change_add(change, NULL, NULL, forget_mounts, NULL);
}
