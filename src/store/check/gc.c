/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving back what no record knows (docs/format/config.md, "gc"). The lock of each kind is held while its
 * directories are compared with its records, so nothing that another process is making is taken for garbage: content
 * gets its place, and its record, under the same lock. Nothing is measured under a lock.
 */
#include "base/id.h"
#include "store/change/change.h"
#include "store/check/garbage.h"
#include "store/check/lost.h"
#include "store/core/store.h"

/* ---- what is garbage ---- */

/* Directories of items are named by a full ID; whatever else is there belongs to somebody else. `unseen`: records. */
static int list_directories(const struct set *set, const char *unseen, struct strv *ids,
                            cst_error **error)
{
	static const char tarsplit[] = ".tar-split.gz";
	_cleanup_strv_ struct strv names = {0};
	if (set->fd < 0)
		return 0;
	int r = fs_list_dir(set->fd, ".", &names, set->dir, error);
	strv_foreach (name, &names) {
		size_t n = strlen(name);
		if (set->kind->in_driver && n == 64 + strlen(tarsplit) &&
		    streq(name + 64, tarsplit))
			name[64] = '\0';
		if (r == 0 && id_is_hex64(name) && !record_set_knows(set->table, name) &&
		    !strstr(unseen, name) && !strv_contains(ids, name))
			r = strv_add(ids, name) ? 0 : error_oom(error);
	}
	return r;
}

/* Somebody may use it although this process sees no record: that of another run root. What a container wrote must not go. */
static int is_in_use(cst_store *store, const char *id, bool *ret, cst_error **error)
{
	*ret = container_table_by_layer(store->sets.containers.table, id) != NULL;
	return *ret ? 0 : driver_is_mounted(store->driver, id, NULL, ret, error);
}

static int is_needed(const char *kind, const char *id, const char *layer, cst_error **error)
{
	return error_set(
	        error, CST_ECORRUPT,
	        "%s %s needs layer %s, whose record was lost; `check --repair` makes it again, and "
	        "until then nothing is removed",
	        kind, id, layer);
}

/* An image is made of it, or a layer is built on it, so its record was lost, and those of the layers below it may be, too. The Go
 * command removes all. */
static int must_be_unknown(cst_store *store, const char *id, cst_error **error)
{
	if (store->as_upstream)
		return 0;
	const cst_image *image =
	        image_table_by_layer(store->sets.images.table, IMAGE_TOP_LAYER, id, NULL);
	const cst_layer *child = layer_table_first_child(store->sets.layers.table, id);
	if (image)
		return is_needed("image", image->id, id, error);
	return child ? is_needed("layer", child->id, id, error) : 0;
}

static int list_content(cst_store *store, const char *unseen, struct strv *ids, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	int r = store->driver->ops->list(store->driver, &names, error);
	strv_foreach (name, &names) {
		bool used =
		        record_set_knows(store->sets.layers.table, name) || strstr(unseen, name);
		if (r == 0 && !used)
			r = is_in_use(store, name, &used, error);
		if (r == 0 && !used)
			r = must_be_unknown(store, name, error);
		if (r == 0 && !used)
			r = strv_add(ids, name) ? 0 : error_oom(error);
	}
	return r;
}

static int find_garbage(cst_store *store, enum cst_kind kind, struct strv *ids, cst_error **error)
{
	const struct set *set = set_of(store, kind);
	_cleanup_free_ char *unseen = NULL;
	int r = unseen_records(store, kind, &unseen, error);
	if (r == 0 && set->kind->in_driver)
		r = list_content(store, unseen, ids, error);
	return r == 0 ? list_directories(set, unseen, ids, error) : r;
}

/* Whether a layer is in use, its containers and images tell. */
static struct hold_modes modes_for(enum cst_kind kind, enum hold_mode mode)
{
	struct hold_modes modes = hold_only(kind, mode);
	if (kind == CST_KIND_LAYER)
		modes.images = modes.containers = HOLD_READ;
	return modes;
}

/* ---- what becomes of it: containers first, then images, then layers ---- */

static int list_kind(cst_store *store, enum cst_kind kind, struct cst_garbage *garbage,
                     cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	_cleanup_strv_ struct strv ids = {0};
	int r = hold_sets(store, modes_for(kind, HOLD_READ_LOCKED), &held, error);
	if (r == 0)
		r = find_garbage(store, kind, &ids, error);
	strv_foreach (id, &ids)
		r = r == 0 ? garbage_add(garbage, kind, id, error) : r;
	return r;
}

/* Of what was listed, that which is garbage still. */
static int remove_kind(cst_store *store, enum cst_kind kind, const struct cst_garbage *garbage,
                       cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	_cleanup_strv_ struct strv ids = {0};
	int r = change_hold(&change, store, modes_for(kind, HOLD_WRITE), error);
	if (r == 0)
		r = find_garbage(store, kind, &ids, error);
	for (size_t i = 0; r == 0 && i < garbage->len; i++) {
		struct piece *piece = &garbage->items[i];
		if (piece->kind == kind && strv_contains(&ids, piece->id))
			garbage_add_removal(&change, piece);
	}
	return r == 0 ? change_commit(&change, error) : r;
}

int cst_store_gc(cst_store *store, const cst_gc_options *given, cst_garbage **ret,
                 cst_error **error)
{
	cst_gc_options options = CST_GC_OPTIONS_INIT;
	_cleanup_(cst_garbage_freep) struct cst_garbage *garbage = new0(struct cst_garbage, 1);
	int r = garbage ? options_take(&options, sizeof(options), given, "cst_gc_options", error)
	                : error_oom(error);
	if (r == 0 && store->read_only && !options.dry_run)
		r = error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	if (r == 0)
		r = records_must_be_whole(store, error);
	for (size_t i = 0; r == 0 && i < KINDS; i++)
		r = list_kind(store, CST_KIND_CONTAINER - i, garbage, error);
	if (r == 0)
		garbage_measure(garbage, store);
	for (size_t i = 0; r == 0 && !options.dry_run && i < KINDS; i++)
		r = remove_kind(store, CST_KIND_CONTAINER - i, garbage, error);
	if (r == 0 && ret)
		*ret = steal_ptr(&garbage);
	return r;
}
