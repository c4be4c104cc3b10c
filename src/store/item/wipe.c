/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes everything in a store. */
#include "store/change/deletion.h"
#include "store/core/store.h"
#include <cstorage/staged.h>

/* Newest first, so that children go before their parents. */
static void add_everything(struct change *change)
{
	const struct sets *sets = &change->store->sets;
	for (enum cst_kind kind = CST_KIND_CONTAINER; kind > CST_KIND_LAYER; kind--) {
		const struct record_set *table = set_of(change->store, kind)->table;
		for (size_t i = record_set_size(table); i > 0; i--)
			deletion_add(change, kind, record_id(record_set_at(table, i - 1)));
	}
	for (size_t i = record_set_size(sets->layers.table); i > 0; i--)
		deletion_add_layer(change, layer_table_at(sets->layers.table, i - 1), 0, NULL);
}

/* Removes the content that the driver has without any record. */
static int remove_strays(struct change *change, cst_error **error)
{
	cst_store *store = change->store;
	_cleanup_strv_ struct strv ids = {0};
	int r = store->driver->ops->list(store->driver, &ids, error);
	for (size_t i = 0; r == 0 && i < ids.len; i++)
		r = item_remove_files(store, CST_KIND_LAYER, ids.items[i], "", &change->trash,
		                      error);
	return r == 0 ? fs_later_sync(&change->trash.left, error) : r;
}

/* Once the records are deleted, the store is empty for every other process. */
static int wipe(cst_store *store, const cst_progress *progress, cst_error **error)
{
	_cleanup_change_ struct change change = {.trash.progress = progress, .owners_first = true};
	int r = deletion_begin(&change, store, hold_three(HOLD_WRITE, HOLD_WRITE, HOLD_WRITE),
	                       error);
	if (r < 0)
		return r;
	add_everything(&change);
	r = change_commit(&change, error);
	return r == 0 ? remove_strays(&change, error) : r;
}

/* Those that another process has, or has just taken away, are not ours to remove. */
static int discard_staged(cst_store *store, cst_error **error)
{
	cst_strings *ids = NULL;
	int r = cst_store_staged_layers(store, &ids, error);
	for (size_t i = 0; r == 0 && i < cst_strings_size(ids); i++) {
		_cleanup_error_ cst_error *problem = NULL;
		int failed =
		        cst_store_discard_staged_layer(store, cst_strings_get(ids, i), &problem);
		if (failed < 0 && failed != CST_EBUSY && failed != CST_ELAYER_UNKNOWN)
			r = error_propagate(error, steal_ptr(&problem));
	}
	cst_strings_free(ids);
	return r;
}

int cst_store_wipe(cst_store *store, const cst_progress *progress, cst_error **error)
{
	int r = wipe(store, progress, error);
	return r == 0 ? discard_staged(store, error) : r;
}
