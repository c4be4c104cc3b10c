/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and look-ups for callers. */
#include "store/core/list.h"
#include "base/digest.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/names.h"
#include "store/core/store.h"

/* ---- choosing records for a list ---- */

/* Does the record belong in the list of what is `wanted`? */
typedef bool (*fits_function)(const void *record, const char *wanted);

struct chosen {
	const void **items;
	size_t len;
};

static void chosen_free(struct chosen *chosen)
{
	free(chosen->items);
}

static void choose_from(const struct record_set *table, fits_function fits, const char *wanted,
                        struct chosen *ret)
{
	for (size_t i = 0; table && i < record_set_size(table); i++) {
		const void *record = record_set_at(table, i);
		if (!fits || fits(record, wanted))
			ret->items[ret->len++] = record;
	}
}

/* Room for all records of the kind, those of the additional stores too. The set is held. */
static int chosen_room(cst_store *store, enum cst_kind kind, struct chosen *ret, cst_error **error)
{
	size_t total = record_set_size(set_of(store, kind)->table);
	for (size_t i = 0; i < store->n_additional; i++) {
		const struct set *set = sets_get(&store->additional[i].sets, kind);
		total += set->table ? record_set_size(set->table) : 0;
	}
	ret->items = new0(const void *, total + 1);
	return ret->items ? 0 : error_oom(error);
}

/* `fits` NULL: all. */
static int choose(cst_store *store, enum cst_kind kind, fits_function fits, const char *wanted,
                  struct chosen *ret, cst_error **error)
{
	int r = chosen_room(store, kind, ret, error);
	if (r < 0)
		return r;
	choose_from(set_of(store, kind)->table, fits, wanted, ret);
	for (size_t i = 0; i < store->n_additional; i++)
		choose_from(sets_get(&store->additional[i].sets, kind)->table, fits, wanted, ret);
	return 0;
}

static int give_layers(const struct chosen *chosen, cst_layer_list **ret, cst_error **error)
{
	cst_layer_list *list = layer_list_new((const cst_layer *const *)chosen->items, chosen->len);
	if (!list)
		return error_oom(error);
	*ret = list;
	return 0;
}

static int list_images(cst_store *store, fits_function fits, const char *wanted,
                       cst_image_list **ret, cst_error **error)
{
	_cleanup_(chosen_free) struct chosen chosen = {0};
	int r = choose(store, CST_KIND_IMAGE, fits, wanted, &chosen, error);
	if (r < 0)
		return r;
	cst_image_list *list = image_list_new((const cst_image *const *)chosen.items, chosen.len);
	if (!list)
		return error_oom(error);
	*ret = list;
	return 0;
}

int layers_list(cst_store *store, cst_layer_list **ret, cst_error **error)
{
	_cleanup_(chosen_free) struct chosen chosen = {0};
	int r = choose(store, CST_KIND_LAYER, NULL, NULL, &chosen, error);
	return r == 0 ? give_layers(&chosen, ret, error) : r;
}

int images_list(cst_store *store, cst_image_list **ret, cst_error **error)
{
	return list_images(store, NULL, NULL, ret, error);
}

int containers_list(cst_store *store, cst_container_list **ret, cst_error **error)
{
	_cleanup_(chosen_free) struct chosen chosen = {0};
	int r = choose(store, CST_KIND_CONTAINER, NULL, NULL, &chosen, error);
	if (r < 0)
		return r;
	cst_container_list *list =
	        container_list_new((const cst_container *const *)chosen.items, chosen.len);
	if (!list)
		return error_oom(error);
	*ret = list;
	return 0;
}

/* ---- layers ---- */

int cst_store_layers(cst_store *store, cst_layer_list **list, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_read(store, CST_KIND_LAYER, &held, error);
	return r == 0 ? layers_list(store, list, error) : r;
}

static int no_such_digest(const char *digest, cst_error **error)
{
	error_set(error, CST_ELAYER_UNKNOWN, "no layer has the digest \"%s\"", digest);
	return error_go_words(error, CST_ELAYER_UNKNOWN, digest, "%s",
	                      cst_strerror(CST_ELAYER_UNKNOWN));
}

static void choose_by_digest(const struct record_set *table, enum layer_digest which,
                             const char *digest, struct chosen *ret)
{
	const cst_layer *layer = NULL;
	while (table && (layer = layer_table_by_digest(table, which, digest, layer)))
		ret->items[ret->len++] = layer;
}

static int layers_by_digest(cst_store *store, const char *what, const char *digest,
                            enum layer_digest which, cst_layer_list **ret, cst_error **error)
{
	_cleanup_(chosen_free) struct chosen chosen = {0};
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
	choose_by_digest(store->sets.layers.table, which, digest, &chosen);
	for (size_t i = 0; i < store->n_additional; i++)
		choose_by_digest(store->additional[i].sets.layers.table, which, digest, &chosen);
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

static int images_that(cst_store *store, fits_function fits, const char *wanted,
                       cst_image_list **ret, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_read(store, CST_KIND_IMAGE, &held, error);
	return r == 0 ? list_images(store, fits, wanted, ret, error) : r;
}

int cst_store_images(cst_store *store, cst_image_list **list, cst_error **error)
{
	return images_that(store, NULL, NULL, list, error);
}

static bool has_image_digest(const void *record, const char *digest)
{
	return strings_contain(&((const cst_image *)record)->digests, digest);
}

int cst_store_images_by_digest(cst_store *store, const char *digest, cst_image_list **list,
                               cst_error **error)
{
	int r = digest_validate(digest, error);
	return r < 0 ? r : images_that(store, has_image_digest, digest, list, error);
}

static bool has_top_layer(const void *record, const char *layer)
{
	return image_has_top_layer(record, layer);
}

int cst_store_images_by_top_layer(cst_store *store, const char *id, cst_image_list **list,
                                  cst_error **error)
{
	_cleanup_found_item_ struct found_item layer = {0};
	int r = item_read(store, CST_KIND_LAYER, id, &layer, error);
	return r == 0 ? images_that(store, has_top_layer, record_id(layer.record), list, error) : r;
}

int cst_store_containers(cst_store *store, cst_container_list **ret, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_read(store, CST_KIND_CONTAINER, &held, error);
	return r == 0 ? containers_list(store, ret, error) : r;
}

/* ---- one record ---- */

int cst_store_layer(cst_store *store, const char *id, cst_layer **ret, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	const cst_layer *layer = NULL;
	int r = layer_hold(store, id, &layers, &layer, error);
	return r < 0 ? r : layer_give(layer, ret, error);
}

int cst_store_image(cst_store *store, const char *id, cst_image **ret, cst_error **error)
{
	_cleanup_hold_ struct hold images = {0};
	const cst_image *image;
	int r = hold_read(store, CST_KIND_IMAGE, &images, error);
	if (r == 0)
		r = image_must(store, id, &image, error);
	return r < 0 ? r : image_give(image, ret, error);
}

int cst_store_container(cst_store *store, const char *id, cst_container **ret, cst_error **error)
{
	_cleanup_hold_ struct hold containers = {0};
	const cst_container *container;
	int r = hold_read(store, CST_KIND_CONTAINER, &containers, error);
	if (r == 0)
		r = container_must(store, id, &container, error);
	return r < 0 ? r : container_give(container, ret, error);
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
	const cst_layer *layer = NULL;
	int r = layer_hold(store, id, &layers, &layer, error);
	if (r == 0)
		r = hold_read(store, CST_KIND_CONTAINER, &containers, error);
	if (r < 0)
		return r;
	const cst_container *container =
	        container_table_by_layer(store->sets.containers.table, layer->id);
	if (!container)
		return not_of_a_container(layer, error);
	return container_give(container, ret, error);
}

/* ---- an ID of any kind ---- */

int cst_store_lookup(cst_store *store, const char *id, char **full_id, cst_error **error)
{
	_cleanup_found_item_ struct found_item item = {0};
	int r = item_read_any(store, id, CST_ELAYER_UNKNOWN, &item, error);
	char *found = r == 0 ? strdup(record_id(item.record)) : NULL;
	if (r == 0 && !found)
		return error_oom(error);
	if (r == 0)
		*full_id = found;
	return r;
}

bool cst_store_exists(cst_store *store, const char *id)
{
	_cleanup_free_ char *found = NULL;
	return cst_store_lookup(store, id, &found, NULL) == 0;
}
