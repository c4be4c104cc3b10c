/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leftovers of a dead writer mean. The writer announced what was in flux (journal.h); an
 * opener that finds the announcement, or the writer itself after a step failed, applies these rules,
 * which are right however far the writer came:
 *
 *     1. a layer that was announced with an owner goes, if the owner has no record and nobody else
 *        uses the layer;
 *     2. what has no record has no right to content, nor to be listed as a mapped copy;
 *     3. a data item's recorded size and digest are those of its file;
 *     4. new content that took the place of the old is described by the record announced with it
 *        (content.c);
 *     5. a kept staged layer that was committed is not kept any more; if the commit is undone, it has
 *        its content again.
 *
 * Applying them twice does no harm.
 */
#include "store/change/rules.h"
#include "base/digest.h"
#include "store/change/content.h"
#include "store/core/edit.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include <errno.h>

/* ---- 1: layers whose owner is gone ---- */

/* Does a layer, an image or a container need this layer? */
static bool layer_is_used(const struct sets *sets, const char *id)
{
	const struct record_set *images = sets->images.table;
	return layer_table_first_child(sets->layers.table, id) ||
	       container_table_by_layer(sets->containers.table, id) ||
	       image_table_by_layer(images, IMAGE_ANY_LAYER, id, NULL);
}

static bool owner_is_gone(cst_store *store, const struct intent *intent)
{
	return intent->owner_kind &&
	       !record_set_get(set_of(store, intent->owner_kind)->table, intent->owner_id);
}

/* Another layer that was made later under the ID is not meant. */
static bool is_orphan(cst_store *store, const struct intent *intent)
{
	const cst_layer *layer = layer_table_get(store->sets.layers.table, intent->id);
	return layer && timestamp_equal(&layer->created, &intent->created) &&
	       !layer_is_used(&store->sets, intent->id);
}

/* Layers are announced top first, so children are gone when their parent's turn comes. */
static int drop_orphan_records(cst_store *store, const struct intents *intents, cst_error **error)
{
	for (size_t i = 0; i < intents->len; i++) {
		const struct intent *intent = &intents->items[i];
		if (kind_of(intent->kind)->in_driver && owner_is_gone(store, intent) &&
		    is_orphan(store, intent) &&
		    !record_set_remove(store->sets.layers.table, intent->id))
			return error_oom(error);
	}
	return set_save(&store->sets.layers, error);
}

/* ---- 5: kept staged layers ---- */

static int resolve_staged(cst_store *store, const struct intent *intent, bool committed,
                          cst_error **error)
{
	const struct driver_ops *ops = store->driver->ops;
	if (isempty(intent->staged) || !ops->stage_resolve)
		return 0;
	return ops->stage_resolve(store->driver, intent->staged, committed ? NULL : intent->id,
	                          error);
}

/* ---- 2: what has no record ---- */

static int remove_without_record(cst_store *store, const struct hold *held,
                                 const struct intent *intent, struct trash *trash,
                                 cst_error **error)
{
	if (!hold_writes(held, intent->kind))
		return 0;
	if (record_set_get(set_of(store, intent->kind)->table, intent->id))
		return resolve_staged(store, intent, true, error);
	int kept = resolve_staged(store, intent, false, error);
	if (kept < 0)
		return kept;
	if (kind_of(intent->kind)->in_driver && hold_writes(held, CST_KIND_IMAGE)) {
		int r = image_unlist_mapped(&store->sets.images, intent->id, error);
		if (r == 0)
			r = set_save(&store->sets.images, error);
		if (r < 0)
			return r;
	}
	return item_remove_files(store, intent->kind, intent->id, intent->note, trash, error);
}

/* ---- 3: data items ---- */

static int measure_data(cst_store *store, const struct intent *intent, cst_error **error)
{
	struct set *set = set_of(store, intent->kind);
	_cleanup_free_ char *file = data_file_name(intent->data_key),
	                    *path = file ? path_join(intent->id, file) : NULL, *content = NULL;
	char digest[DIGEST_TEXT_MAX];
	if (!path)
		return error_oom(error);
	_cleanup_close_ int fd = fs_open_beneath(set->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) /* never came into place */
		return errno == ENOENT ? 0 : error_sys(error, errno, "open %s/%s", set->dir, path);
	size_t len = 0;
	int r = fs_read_fd(fd, path, SIZE_MAX / 4, &content, &len, error);
	if (r == 0)
		r = digest_buffer(DIGEST_SHA256, content, len, digest, error);
	if (r < 0)
		return r;
	const struct data_item item = {
	        .name = intent->data_key, .size = (int64_t)len, .digest = digest};
	r = record_put_data(set, intent->id, &item, error);
	return r == 0 ? set_save(set, error) : r;
}

/* ---- 4: new content ---- */

/* If it did not take its place, it is where it was staged. */
static int settle_content(cst_store *store, const struct intent *intent, struct trash *trash,
                          cst_error **error)
{
	bool done = false;
	int r = content_settle(store, intent, trash, &done, error);
	return r == 0 && done ? resolve_staged(store, intent, true, error) : r;
}

/* ---- all of them ---- */

int rules_apply(cst_store *store, const struct hold *held, const struct intents *intents,
                struct trash *trash, cst_error **error)
{
	int r = hold_writes(held, CST_KIND_LAYER) ? drop_orphan_records(store, intents, error) : 0;
	for (size_t i = 0; r == 0 && i < intents->len; i++) {
		const struct intent *intent = &intents->items[i];
		if (!isempty(intent->content))
			r = settle_content(store, intent, trash, error);
		else if (!isempty(intent->data_key))
			r = measure_data(store, intent, error);
		else
			r = remove_without_record(store, held, intent, trash, error);
	}
	return r == 0 ? fs_later_sync(&trash->left, error) : r;
}
