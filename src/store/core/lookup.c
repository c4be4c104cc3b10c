/* SPDX-License-Identifier: Apache-2.0 */
/* Looks records up: first in the store itself, then in the additional stores in their order. */
#include "store/core/lookup.h"
#include "store/core/hold.h"
#include "store/core/names.h"
#include "store/core/store.h"

typedef void *(*look_up)(const struct record_set *set, const char *id);

/* An item of an additional store that was copied into this store is hidden by the copy, under all
 * names that it ever had. */
static const void *look_in(const struct set *own, const struct set *set, const char *id,
                           look_up look)
{
	const void *record = set->table ? look(set->table, id) : NULL;
	bool hidden = record && set != own && own->kind->hides &&
	              record_set_get(own->table, record_id(record));
	return hidden ? NULL : record;
}

static const void *look_everywhere(cst_store *store, enum cst_kind kind, const char *id,
                                   look_up look, struct source *source)
{
	const struct set *own = set_of(store, kind);
	struct source found = {.fd = own->fd, .dir = own->dir};
	const void *record = look_in(own, own, id, look);
	for (size_t i = 0; !record && i < store->n_additional; i++) {
		struct additional_store *additional = &store->additional[i];
		const struct set *set = sets_get(&additional->sets, kind);
		record = look_in(own, set, id, look);
		found = (struct source){
		        .fd = set->fd, .dir = set->dir, .foreign = true, .own = additional->own};
	}
	if (source)
		*source = found;
	return record;
}

const void *item_find(cst_store *store, enum cst_kind kind, const char *id, struct source *source)
{
	return look_everywhere(store, kind, id, record_set_find, source);
}

const cst_layer *layer_find(cst_store *store, const char *id, struct source *source)
{
	return item_find(store, CST_KIND_LAYER, id, source);
}

const cst_layer *layer_get(cst_store *store, const char *id, struct source *source)
{
	return look_everywhere(store, CST_KIND_LAYER, id, record_set_get, source);
}

const cst_image *image_find(cst_store *store, const char *id, struct source *source)
{
	return item_find(store, CST_KIND_IMAGE, id, source);
}

/* If the records could not be read, that is the reason. */
static int not_found(cst_store *store, enum cst_kind kind, const char *id, cst_error **error)
{
	int r = record_set_problem(set_of(store, kind)->table, error);
	for (size_t i = 0; r == 0 && i < store->n_additional; i++) {
		const struct set *set = sets_get(&store->additional[i].sets, kind);
		r = set->table ? record_set_problem(set->table, error) : 0;
	}
	return r < 0 ? r : kind_unknown(kind, id, error);
}

int layer_must(cst_store *store, const char *id, const cst_layer **ret, cst_error **error)
{
	*ret = layer_find(store, id, NULL);
	return *ret ? 0 : not_found(store, CST_KIND_LAYER, id, error);
}

int item_hold(cst_store *store, enum cst_kind kind, const char *id, struct hold *hold,
              cst_error **error)
{
	int r = hold_read(store, kind, hold, error);
	if (r < 0)
		return r;
	hold->item = item_find(store, kind, id, NULL);
	return hold->item ? 0 : not_found(store, kind, id, error);
}

bool image_has_top_layer(const cst_image *image, const char *layer)
{
	return streq(image->layer, layer) || strings_contain(&image->mapped_layers, layer);
}

/* ---- copies ---- */

int item_read(cst_store *store, enum cst_kind kind, const char *id, struct found_item *ret,
              cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	struct found_item item = {.kind = kind_of(kind)};
	int r = kind_check(kind, error);
	if (r == 0)
		r = hold_read(store, kind, &held, error);
	if (r < 0)
		return r;
	const void *record = item_find(store, kind, id, &item.source);
	if (!record)
		return not_found(store, kind, id, error);
	item.record = record_set_copy(set_of(store, kind)->table, &item.arena, record);
	if (!item.record) {
		arena_clear(&item.arena);
		return error_oom(error);
	}
	*ret = item;
	return 0;
}

int item_read_any(cst_store *store, const char *id, int unknown, struct found_item *ret,
                  cst_error **error)
{
	for (size_t i = 0; i < KINDS; i++) {
		_cleanup_error_ cst_error *problem = NULL;
		int r = item_read(store, CST_KIND_LAYER + i, id, ret, &problem);
		if (r != kind_of(CST_KIND_LAYER + i)->unknown)
			return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
	}
	return error_about_any(error, unknown, id);
}

struct idmaps layer_maps(const cst_layer *layer)
{
	if (!layer)
		return (struct idmaps){0};
	return (struct idmaps){
	        .uids = {.ranges = (cst_idmap *)layer->uid_map.items, .len = layer->uid_map.len},
	        .gids = {.ranges = (cst_idmap *)layer->gid_map.items, .len = layer->gid_map.len}};
}

void found_item_free(struct found_item *item)
{
	arena_clear(&item->arena);
}
