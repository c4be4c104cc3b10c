/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of records for callers: lists, a snapshot of all kinds, single records. */
#include "base/digest.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"

DEFINE_CLEANUP(cst_layer_list *, cst_layer_list_free)
DEFINE_CLEANUP(cst_image_list *, cst_image_list_free)
DEFINE_CLEANUP(cst_container_list *, cst_container_list_free)

/* ---- choosing records for a list ---- */

struct chosen {
	const void **items;
	size_t len;
};

static void chosen_free(struct chosen *chosen)
{
	free(chosen->items);
}
#define _cleanup_chosen_ _cleanup_(chosen_free)

/* The records of this kind in the store (0) or in one of the additional stores (from 1 on).
 * NULL: that one has none. */
static const struct record_set *table_at(cst_store *store, enum cst_kind kind, size_t i)
{
	return sets_get(i ? &store->additional[i - 1].sets : &store->sets, kind)->table;
}

/* The set is held. */
static size_t count_records(cst_store *store, enum cst_kind kind)
{
	size_t n = 0;
	for (size_t i = 0; i <= store->n_additional; i++) {
		const struct record_set *table = table_at(store, kind, i);
		n += table ? record_set_size(table) : 0;
	}
	return n;
}

/* Makes room for all records of the kind. The set is held. */
static int chosen_room(cst_store *store, enum cst_kind kind, struct chosen *ret, cst_error **error)
{
	ret->items = new0(const void *, count_records(store, kind) + 1);
	return ret->items ? 0 : error_oom(error);
}

/* Those that have the text as one of these keys. */
static int choose(cst_store *store, enum cst_kind kind, unsigned keys, const char *text,
                  struct chosen *ret, cst_error **error)
{
	int r = chosen_room(store, kind, ret, error);
	for (size_t i = 0; r == 0 && i <= store->n_additional; i++) {
		const struct record_set *table = table_at(store, kind, i);
		const void *record = NULL;
		while (table && (record = record_set_next(table, keys, text, record)))
			ret->items[ret->len++] = record;
		if (table)
			r = record_set_problem(table, error);
	}
	return r;
}

static int give_layers(const struct chosen *chosen, cst_layer_list **ret, cst_error **error)
{
	cst_layer_list *list = layer_list_new((const cst_layer *const *)chosen->items, chosen->len);
	if (list)
		*ret = list;
	return list ? 0 : error_oom(error);
}

/* ---- all records ---- */

struct tables {
	const struct record_set **items;
	size_t len;
};

static void tables_free(struct tables *tables)
{
	free(tables->items);
}
#define _cleanup_tables_ _cleanup_(tables_free)

/* Those that hold records of the kind, in the order of look-ups. The set is held. */
static int find_tables(cst_store *store, enum cst_kind kind, struct tables *ret, cst_error **error)
{
	ret->items = new0(const struct record_set *, store->n_additional + 1);
	for (size_t i = 0; ret->items && i <= store->n_additional; i++) {
		const struct record_set *table = table_at(store, kind, i);
		if (table)
			ret->items[ret->len++] = table;
	}
	return ret->items ? 0 : error_oom(error);
}

static int list_layers(cst_store *store, uint32_t unwanted, cst_layer_list **ret, cst_error **error)
{
	_cleanup_tables_ struct tables tables = {0};
	int r = find_tables(store, CST_KIND_LAYER, &tables, error);
	return r == 0 ? layer_list_all(tables.items, tables.len, unwanted, ret, error) : r;
}

static int list_images(cst_store *store, cst_image_list **ret, cst_error **error)
{
	_cleanup_tables_ struct tables tables = {0};
	int r = find_tables(store, CST_KIND_IMAGE, &tables, error);
	return r == 0 ? image_list_all(tables.items, tables.len, 0, ret, error) : r;
}

static int list_containers(cst_store *store, cst_container_list **ret, cst_error **error)
{
	_cleanup_tables_ struct tables tables = {0};
	int r = find_tables(store, CST_KIND_CONTAINER, &tables, error);
	return r == 0 ? container_list_all(tables.items, tables.len, 0, ret, error) : r;
}

/* ---- all of them, at one moment ---- */

/* Loads each set by itself first, so that almost nothing is parsed while all locks are held. */
static int load_ahead(cst_store *store, struct hold_modes modes, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		_cleanup_hold_ struct hold held = {0};
		if (modes.of[i] != HOLD_NOT)
			r = hold_read(store, CST_KIND_LAYER + i, &held, error);
	}
	return r;
}

int cst_store_snapshot(cst_store *store, cst_layer_list **layers, cst_image_list **images,
                       cst_container_list **containers, cst_error **error)
{
	_cleanup_(cst_layer_list_freep) cst_layer_list *layer_list = NULL;
	_cleanup_(cst_image_list_freep) cst_image_list *image_list = NULL;
	_cleanup_(cst_container_list_freep) cst_container_list *container_list = NULL;
	_cleanup_hold_ struct hold held = {0};
	const struct hold_modes modes = {
	        .layers = layers ? HOLD_READ_LOCKED : HOLD_NOT,
	        .images = images ? HOLD_READ_LOCKED : HOLD_NOT,
	        .containers = containers ? HOLD_READ_LOCKED : HOLD_NOT,
	};
	int r = load_ahead(store, modes, error);
	if (r == 0)
		r = hold_sets(store, modes, &held, error);
	if (r == 0 && layers)
		r = list_layers(store, 0, &layer_list, error);
	if (r == 0 && images)
		r = list_images(store, &image_list, error);
	if (r == 0 && containers)
		r = list_containers(store, &container_list, error);
	if (r < 0)
		return r;
	if (layers)
		*layers = steal_ptr(&layer_list);
	if (images)
		*images = steal_ptr(&image_list);
	if (containers)
		*containers = steal_ptr(&container_list);
	return 0;
}

/* ---- how many ---- */

int cst_store_count(cst_store *store, size_t *layers, size_t *images, size_t *containers,
                    cst_error **error)
{
	size_t *const wanted[KINDS] = {layers, images, containers}, counts[KINDS] = {0};
	for (size_t i = 0; i < KINDS; i++) {
		_cleanup_hold_ struct hold held = {0};
		int r = wanted[i] ? hold_read(store, CST_KIND_LAYER + i, &held, error) : 0;
		if (r < 0)
			return r;
		counts[i] = wanted[i] ? count_records(store, CST_KIND_LAYER + i) : 0;
	}
	for (size_t i = 0; i < KINDS; i++) {
		if (wanted[i])
			*wanted[i] = counts[i];
	}
	return 0;
}

/* ---- layers ---- */

static int hold_and_list_layers(cst_store *store, uint32_t unwanted, cst_layer_list **list,
                                cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_read(store, CST_KIND_LAYER, &held, error);
	return r == 0 ? list_layers(store, unwanted, list, error) : r;
}

int cst_store_layers(cst_store *store, cst_layer_list **list, cst_error **error)
{
	return hold_and_list_layers(store, 0, list, error);
}

int cst_store_layers_with(cst_store *store, unsigned fields, cst_layer_list **list,
                          cst_error **error)
{
	return hold_and_list_layers(store, layer_members_without(fields), list, error);
}

static int no_such_digest(const char *digest, cst_error **error)
{
	error_set(error, CST_ELAYER_UNKNOWN, "no layer has the digest \"%s\"", digest);
	return error_go_words(error, CST_ELAYER_UNKNOWN, digest, "%s",
	                      cst_strerror(CST_ELAYER_UNKNOWN));
}

static int layers_by_digest(cst_store *store, const char *what, const char *digest,
                            enum layer_digest which, cst_layer_list **ret, cst_error **error)
{
	_cleanup_chosen_ struct chosen chosen = {0};
	_cleanup_hold_ struct hold held = {0};
	int r = digest_validate(digest, error);
	if (r < 0)
		return error_prefix(error, r, "looking for %s matching digest \"%s\"", what,
		                    digest);
	r = hold_read(store, CST_KIND_LAYER, &held, error);
	if (r == 0)
		r = chosen_room(store, CST_KIND_LAYER, &chosen, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i <= store->n_additional; i++) {
		const struct record_set *table = table_at(store, CST_KIND_LAYER, i);
		const cst_layer *layer = NULL;
		while (table && (layer = layer_table_by_digest(table, which, digest, layer)))
			chosen.items[chosen.len++] = layer;
		r = table ? record_set_problem(table, error) : 0;
		if (r < 0)
			return r;
	}
	return chosen.len ? give_layers(&chosen, ret, error) : no_such_digest(digest, error);
}

int cst_store_layers_by_compressed_digest(cst_store *store, const char *digest,
                                          cst_layer_list **list, cst_error **error)
{
	return layers_by_digest(store, "compressed layers", digest, LAYER_COMPRESSED_DIGEST, list,
	                        error);
}

int cst_store_layers_by_diff_digest(cst_store *store, const char *digest, cst_layer_list **list,
                                    cst_error **error)
{
	return layers_by_digest(store, "layers", digest, LAYER_DIFF_DIGEST, list, error);
}

int cst_store_layers_by_toc_digest(cst_store *store, const char *digest, cst_layer_list **list,
                                   cst_error **error)
{
	return layers_by_digest(store, "TOC", digest, LAYER_TOC_DIGEST, list, error);
}

/* ---- images ---- */

static int images_by(cst_store *store, unsigned keys, const char *text, cst_image_list **ret,
                     cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	_cleanup_chosen_ struct chosen chosen = {0};
	int r = hold_read(store, CST_KIND_IMAGE, &held, error);
	if (r == 0)
		r = choose(store, CST_KIND_IMAGE, keys, text, &chosen, error);
	if (r < 0)
		return r;
	cst_image_list *list = image_list_new((const cst_image *const *)chosen.items, chosen.len);
	if (list)
		*ret = list;
	return list ? 0 : error_oom(error);
}

int cst_store_images(cst_store *store, cst_image_list **list, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_read(store, CST_KIND_IMAGE, &held, error);
	return r == 0 ? list_images(store, list, error) : r;
}

int cst_store_images_by_digest(cst_store *store, const char *digest, cst_image_list **list,
                               cst_error **error)
{
	int r = digest_validate(digest, error);
	return r < 0 ? r : images_by(store, KEY_DIGEST, digest, list, error);
}

int cst_store_images_by_top_layer(cst_store *store, const char *id, cst_image_list **list,
                                  cst_error **error)
{
	_cleanup_found_item_ struct found_item layer = {0};
	int r = item_read(store, CST_KIND_LAYER, id, &layer, error);
	return r == 0 ? images_by(store, IMAGE_ANY_LAYER, record_id(layer.record), list, error) : r;
}

int cst_store_containers(cst_store *store, cst_container_list **ret, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_read(store, CST_KIND_CONTAINER, &held, error);
	return r == 0 ? list_containers(store, ret, error) : r;
}

/* ---- one record ---- */

int cst_store_layer(cst_store *store, const char *id, cst_layer **ret, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = item_hold(store, CST_KIND_LAYER, id, &held, error);
	return r == 0 ? layer_give(held.item, ret, error) : r;
}

int cst_store_image(cst_store *store, const char *id, cst_image **ret, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = item_hold(store, CST_KIND_IMAGE, id, &held, error);
	return r == 0 ? image_give(held.item, ret, error) : r;
}

int cst_store_container(cst_store *store, const char *id, cst_container **ret, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = item_hold(store, CST_KIND_CONTAINER, id, &held, error);
	return r == 0 ? container_give(held.item, ret, error) : r;
}

static int not_of_a_container(const cst_layer *layer, cst_error **error)
{
	const int code = CST_ECONTAINER_UNKNOWN;
	error_set(error, code, "the layer \"%s\" does not belong to a container", layer->id);
	return error_go_words(error, code, layer->id, "%s", cst_strerror(code));
}

int cst_store_container_by_layer(cst_store *store, const char *id, cst_container **ret,
                                 cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_hold_ struct hold containers = {0};
	int r = item_hold(store, CST_KIND_LAYER, id, &layers, error);
	if (r == 0)
		r = hold_read(store, CST_KIND_CONTAINER, &containers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layers.item;
	const cst_container *container =
	        container_table_by_layer(store->sets.containers.table, layer->id);
	return container ? container_give(container, ret, error) : not_of_a_container(layer, error);
}

/* ---- an ID of any kind ---- */

int cst_store_lookup(cst_store *store, const char *id, char **full_id, cst_error **error)
{
	_cleanup_found_item_ struct found_item item = {0};
	int r = item_read_any(store, id, CST_ELAYER_UNKNOWN, &item, error);
	char *found = r == 0 ? strdup(record_id(item.record)) : NULL;
	if (found)
		*full_id = found;
	return r == 0 && !found ? error_oom(error) : r;
}

bool cst_store_exists(cst_store *store, const char *id)
{
	_cleanup_free_ char *found = NULL;
	return cst_store_lookup(store, id, &found, NULL) == 0;
}
