/* SPDX-License-Identifier: Apache-2.0 */
/* One unpacking for all who want a digest. The first of them claims it by the digest's lock
 * (docs/format/store.md, "Lock files and order"), which the kernel gives to the next one when the first
 * is done, or dies. Whoever gets it looks first if the store has the layer by then. */
#include "store/layer/claim.h"
#include "base/digest.h"
#include "store/core/lookup.h"
#include "store/core/store.h"

int layer_claim(cst_store *store, const cst_layer_options *options, struct layer_claim *claim,
                cst_error **error)
{
	const char *digest = options->expected_digest;
	if (!digest_is_sha256(digest))
		return error_set(error, CST_EINVAL,
		                 "the expected digest \"%s\" is no sha256 digest", digest);
	_cleanup_lock_wait_ bool listening = lock_wait_listen(options->progress);
	_cleanup_free_ char *path = digest_lock_path(store, digest);
	int r = path ? lockfile_new(path, false, &claim->lock, error) : error_oom(error);
	if (r < 0)
		return r;
	lockfile_set_wait(claim->lock, &store->lock_wait);
	return lockfile_hold(claim->lock, LOCKFILE_WRITE, &claim->held, error);
}

void layer_claim_end(struct layer_claim *claim)
{
	lockfile_unlock(claim->held);
	lockfile_free(claim->lock);
}

/* ---- is it there? ---- */

static bool has_names(const cst_layer *layer, const cst_layer_options *options)
{
	for (size_t i = 0; i < options->n_names; i++) {
		bool found = false;
		for (size_t j = 0; j < layer->names.len; j++)
			found = found || streq(layer->names.items[j], options->names[i]);
		if (!found)
			return false;
	}
	return true;
}

/* `asked`: the plan of a new layer without ID and names. */
static bool fits(const cst_layer *layer, const cst_layer_options *options, const cst_layer *asked)
{
	const struct idmaps maps = layer_maps(layer), wanted = layer_maps(asked);
	return streq(layer->parent, asked->parent) && layer->file == asked->file &&
	       streq(layer->mount_label, asked->mount_label) && idmaps_equal(&maps, &wanted) &&
	       (isempty(options->id) || streq(layer->id, options->id)) && has_names(layer, options);
}

static const cst_layer *find(const struct record_set *table, const cst_layer_options *options,
                             const cst_layer *asked)
{
	static const enum layer_digest kinds[] = {LAYER_DIFF_DIGEST, LAYER_COMPRESSED_DIGEST};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const cst_layer *layer = NULL;
		do
			layer = layer_table_by_digest(table, kinds[i], options->expected_digest,
			                              layer);
		while (layer && !fits(layer, options, asked));
		if (layer)
			return layer;
	}
	return NULL;
}

int layer_find_claimed(cst_store *store, const cst_layer_options *options, bool *found,
                       cst_layer **ret, cst_error **error)
{
	_cleanup_new_layer_ struct new_layer asked = {0};
	if (options->n_data || options->n_flags || !isempty(options->template_layer))
		return 0;
	cst_layer_options nameless = *options;
	nameless.id = NULL;
	nameless.n_names = 0;
	int r = new_layer_plan(store, &nameless, &asked, error);
	if (r < 0)
		return r;
	_cleanup_hold_ struct hold layers = {0};
	r = hold_read(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = find(store->sets.layers.table, options, &asked.record);
	*found = layer != NULL;
	return layer ? layer_give(layer, ret, error) : 0;
}
