/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and look-ups. */
#include "base/digest.h"
#include "store/core/store.h"

int layer_must(cst_store *store, const char *id, const cst_layer **ret, cst_error **error)
{
	*ret = layer_find(store, id, NULL);
	return *ret ? 0 : error_code(error, CST_ELAYER_UNKNOWN);
}

int image_must(cst_store *store, const char *id, const cst_image **ret, cst_error **error)
{
	*ret = image_find(store, id, NULL);
	return *ret ? 0
	            : error_wrap_code(error, CST_EIMAGE_UNKNOWN, "locating image with ID \"%s\"",
	                              id);
}

int container_must(cst_store *store, const char *id, const cst_container **ret, cst_error **error)
{
	*ret = container_table_find(store->containers.table, id);
	return *ret ? 0 : error_code(error, CST_ECONTAINER_UNKNOWN);
}

int names_unique(const char *const *names, size_t n, struct strv *ret, cst_error **error)
{
	for (size_t i = 0; i < n; i++) {
		if (!strv_contains(ret, names[i]) && !strv_add(ret, names[i]))
			return error_oom(error);
	}
	return 0;
}

struct strings strings_of(const struct strv *v)
{
	return (struct strings){.items = (const char *const *)v->items, .len = v->len};
}

/* ---- choosing records for a list ---- */

DEFINE_CLEANUP(cst_layer_list *, cst_layer_list_free)

static void choose_layers(const struct record_set *table, const char *digest,
                          const char *(*of)(const cst_layer *), const cst_layer **items, size_t *n)
{
	for (size_t i = 0; i < record_set_size(table); i++) {
		const cst_layer *layer = layer_table_at(table, i);
		if (!digest || streq(of(layer), digest))
			items[(*n)++] = layer;
	}
}

/* `digest` NULL: all. `of` says which of a layer's digests counts. */
static int list_held_layers(cst_store *store, const char *digest,
                            const char *(*of)(const cst_layer *), cst_layer_list **ret,
                            cst_error **error)
{
	size_t total = record_set_size(store->layers.table), n = 0;
	for (size_t i = 0; i < store->n_additional; i++)
		total += store->additional[i].layers ? record_set_size(store->additional[i].layers)
		                                     : 0;
	_cleanup_free_ const cst_layer **items = new0(const cst_layer *, total + 1);
	if (!items)
		return error_oom(error);
	choose_layers(store->layers.table, digest, of, items, &n);
	for (size_t i = 0; i < store->n_additional; i++)
		if (store->additional[i].layers)
			choose_layers(store->additional[i].layers, digest, of, items, &n);
	cst_layer_list *list = layer_list_new(items, n);
	if (!list)
		return error_oom(error);
	*ret = list;
	return 0;
}

static int list_layers(cst_store *store, const char *digest, const char *(*of)(const cst_layer *),
                       cst_layer_list **ret, cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	int r = layers_read(store, &layers, error);
	return r < 0 ? r : list_held_layers(store, digest, of, ret, error);
}

int layers_list(cst_store *store, cst_layer_list **ret, cst_error **error)
{
	return list_held_layers(store, NULL, NULL, ret, error);
}

int cst_store_layers(cst_store *store, cst_layer_list **list, cst_error **error)
{
	return list_layers(store, NULL, NULL, list, error);
}

static int layers_by_digest(cst_store *store, const char *what, const char *digest,
                            const char *(*of)(const cst_layer *), cst_layer_list **ret,
                            cst_error **error)
{
	_cleanup_(cst_layer_list_freep) cst_layer_list *list = NULL;
	int r = digest_validate(digest, error);
	if (r < 0)
		return error_prefix(error, r, "looking for %s matching digest \"%s\"", what,
		                    digest);
	r = list_layers(store, digest, of, &list, error);
	if (r < 0)
		return r;
	if (cst_layer_list_size(list) == 0)
		return error_code(error, CST_ELAYER_UNKNOWN);
	*ret = steal_ptr(&list);
	return 0;
}

int cst_store_layers_by_compressed_digest(cst_store *store, const char *digest,
                                          cst_layer_list **list, cst_error **error)
{
	return layers_by_digest(store, "compressed layers", digest, cst_layer_compressed_digest,
	                        list, error);
}

int cst_store_layers_by_diff_digest(cst_store *store, const char *digest, cst_layer_list **list,
                                    cst_error **error)
{
	return layers_by_digest(store, "layers", digest, cst_layer_diff_digest, list, error);
}

int cst_store_layers_by_toc_digest(cst_store *store, const char *digest, cst_layer_list **list,
                                   cst_error **error)
{
	return layers_by_digest(store, "TOC", digest, cst_layer_toc_digest, list, error);
}

static bool strings_contain(const struct strings *list, const char *s)
{
	for (size_t i = 0; i < list->len; i++) {
		if (streq(list->items[i], s))
			return true;
	}
	return false;
}

static bool has_any(const cst_image *image, const char *wanted)
{
	return true;
}

static bool has_digest(const cst_image *image, const char *digest)
{
	return strings_contain(&image->digests, digest);
}

bool image_has_top_layer(const cst_image *image, const char *layer)
{
	return streq(image->layer, layer) || strings_contain(&image->mapped_layers, layer);
}

static void choose_images(const struct record_set *table,
                          bool (*fits)(const cst_image *, const char *), const char *wanted,
                          const cst_image **items, size_t *n)
{
	for (size_t i = 0; i < record_set_size(table); i++) {
		const cst_image *image = image_table_at(table, i);
		if (fits(image, wanted))
			items[(*n)++] = image;
	}
}

static int list_held_images(cst_store *store, bool (*fits)(const cst_image *, const char *),
                            const char *wanted, cst_image_list **ret, cst_error **error)
{
	size_t total = record_set_size(store->images.table), n = 0;
	for (size_t i = 0; i < store->n_additional; i++)
		total += record_set_size(store->additional[i].images);
	_cleanup_free_ const cst_image **items = new0(const cst_image *, total + 1);
	if (!items)
		return error_oom(error);
	choose_images(store->images.table, fits, wanted, items, &n);
	for (size_t i = 0; i < store->n_additional; i++)
		choose_images(store->additional[i].images, fits, wanted, items, &n);
	cst_image_list *list = image_list_new(items, n);
	if (!list)
		return error_oom(error);
	*ret = list;
	return 0;
}

static int list_images(cst_store *store, bool (*fits)(const cst_image *, const char *),
                       const char *wanted, cst_image_list **ret, cst_error **error)
{
	_cleanup_images_read_ cst_store *images = NULL;
	int r = images_read(store, &images, error);
	return r < 0 ? r : list_held_images(store, fits, wanted, ret, error);
}

int images_list(cst_store *store, cst_image_list **ret, cst_error **error)
{
	return list_held_images(store, has_any, NULL, ret, error);
}

int cst_store_images(cst_store *store, cst_image_list **list, cst_error **error)
{
	return list_images(store, has_any, NULL, list, error);
}

int cst_store_images_by_digest(cst_store *store, const char *digest, cst_image_list **list,
                               cst_error **error)
{
	int r = digest_validate(digest, error);
	return r < 0 ? r : list_images(store, has_digest, digest, list, error);
}

int cst_store_images_by_top_layer(cst_store *store, const char *id, cst_image_list **list,
                                  cst_error **error)
{
	_cleanup_free_ char *layer_id = NULL;
	{
		_cleanup_layers_read_ cst_store *layers = NULL;
		const cst_layer *layer = NULL;
		int r = layers_read(store, &layers, error);
		if (r == 0)
			r = layer_must(store, id, &layer, error);
		if (r < 0)
			return r;
		layer_id = strdup(layer->id);
	}
	return layer_id ? list_images(store, image_has_top_layer, layer_id, list, error)
	                : error_oom(error);
}

int containers_list(cst_store *store, cst_container_list **ret, cst_error **error)
{
	size_t n = record_set_size(store->containers.table);
	_cleanup_free_ const cst_container **items = new0(const cst_container *, n + 1);
	if (!items)
		return error_oom(error);
	for (size_t i = 0; i < n; i++)
		items[i] = container_table_at(store->containers.table, i);
	cst_container_list *list = container_list_new(items, n);
	if (!list)
		return error_oom(error);
	*ret = list;
	return 0;
}

int cst_store_containers(cst_store *store, cst_container_list **ret, cst_error **error)
{
	_cleanup_containers_read_ cst_store *containers = NULL;
	int r = containers_read(store, &containers, error);
	return r < 0 ? r : containers_list(store, ret, error);
}

/* ---- one record ---- */

int cst_store_layer(cst_store *store, const char *id, cst_layer **ret, cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	const cst_layer *layer = NULL;
	int r = layers_read(store, &layers, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	return r < 0 ? r : layer_give(layer, ret, error);
}

int cst_store_image(cst_store *store, const char *id, cst_image **ret, cst_error **error)
{
	_cleanup_images_read_ cst_store *images = NULL;
	const cst_image *image;
	int r = images_read(store, &images, error);
	if (r == 0)
		r = image_must(store, id, &image, error);
	return r < 0 ? r : image_give(image, ret, error);
}

int cst_store_container(cst_store *store, const char *id, cst_container **ret, cst_error **error)
{
	_cleanup_containers_read_ cst_store *containers = NULL;
	const cst_container *container;
	int r = containers_read(store, &containers, error);
	if (r == 0)
		r = container_must(store, id, &container, error);
	return r < 0 ? r : container_give(container, ret, error);
}

int cst_store_container_by_layer(cst_store *store, const char *id, cst_container **ret,
                                 cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	_cleanup_containers_read_ cst_store *containers = NULL;
	const cst_layer *layer = NULL;
	int r = layers_read(store, &layers, error);
	if (r == 0)
		r = layer_must(store, id, &layer, error);
	if (r == 0)
		r = containers_read(store, &containers, error);
	if (r < 0)
		return r;
	const cst_container *container =
	        container_table_by_layer(store->containers.table, layer->id);
	if (!container)
		return error_code(error, CST_ECONTAINER_UNKNOWN);
	return container_give(container, ret, error);
}

/* ---- an ID of any kind ---- */

static int lookup_layer(cst_store *store, const char *id, char **ret, cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	int r = layers_read(store, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_find(store, id, NULL);
	if (layer && !(*ret = strdup(layer->id)))
		return error_oom(error);
	return 0;
}

static int lookup_image(cst_store *store, const char *id, char **ret, cst_error **error)
{
	_cleanup_images_read_ cst_store *images = NULL;
	int r = images_read(store, &images, error);
	if (r < 0)
		return r;
	const cst_image *image = image_find(store, id, NULL);
	if (image && !(*ret = strdup(image->id)))
		return error_oom(error);
	return 0;
}

static int lookup_container(cst_store *store, const char *id, char **ret, cst_error **error)
{
	_cleanup_containers_read_ cst_store *containers = NULL;
	int r = containers_read(store, &containers, error);
	if (r < 0)
		return r;
	const cst_container *container = container_table_find(store->containers.table, id);
	if (container && !(*ret = strdup(container->id)))
		return error_oom(error);
	return 0;
}

int cst_store_lookup(cst_store *store, const char *id, char **full_id, cst_error **error)
{
	char *found = NULL;
	int r = lookup_layer(store, id, &found, error);
	if (r == 0 && !found)
		r = lookup_image(store, id, &found, error);
	if (r == 0 && !found)
		r = lookup_container(store, id, &found, error);
	if (r < 0)
		return r;
	if (!found)
		return error_code(error, CST_ELAYER_UNKNOWN);
	*full_id = found;
	return 0;
}

bool cst_store_exists(cst_store *store, const char *id)
{
	_cleanup_free_ char *found = NULL;
	return cst_store_lookup(store, id, &found, NULL) == 0;
}
