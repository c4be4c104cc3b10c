/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes everything in a store. */
#include "store/change/deletion.h"
#include "store/core/store.h"

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
	return r;
}

/* Once the records are deleted, the store is empty for every other process. */
int cst_store_wipe(cst_store *store, const cst_progress *progress, cst_error **error)
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
