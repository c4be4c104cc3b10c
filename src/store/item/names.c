/* SPDX-License-Identifier: Apache-2.0 */
/* Names and metadata of layers, images and containers, which are looked for in that order. */
#include "store/image/image.h"
#include "store/item/edit.h"

enum names_change { NAMES_SET, NAMES_ADD, NAMES_REMOVE };

/* Add puts the new names in front. */
static int changed_names(const struct strings *old, enum names_change change,
                         const char *const *names, size_t n, struct strv *ret, cst_error **error)
{
	int r = 0;
	if (change != NAMES_REMOVE)
		r = names_unique(names, n, ret, error);
	if (r < 0 || change == NAMES_SET)
		return r;
	for (size_t i = 0; i < old->len; i++) {
		bool removed = false;
		for (size_t j = 0; change == NAMES_REMOVE && j < n; j++)
			removed = removed || streq(old->items[i], names[j]);
		if (!removed && names_unique(&old->items[i], 1, ret, error) < 0)
			return CST_ENOMEM;
	}
	return 0;
}

int image_history(const struct strings *old, const struct strv *names, struct strv *ret,
                  cst_error **error)
{
	for (size_t i = names->len; i > 0; i--) {
		if (!strv_contains(ret, names->items[i - 1]) && !strv_add(ret, names->items[i - 1]))
			return error_oom(error);
	}
	return names_unique(old->items, old->len, ret, error);
}

struct names_edit {
	enum names_change change;
	const char *const *names;
	size_t n;
	struct strv result, history; /* live until the record was copied */
};

static void names_edit_free(struct names_edit *edit)
{
	strv_free(&edit->result);
	strv_free(&edit->history);
}

static int edit_layer_names(cst_layer *layer, void *arg, cst_error **error)
{
	struct names_edit *edit = arg;
	int r = changed_names(&layer->names, edit->change, edit->names, edit->n, &edit->result,
	                      error);
	layer->names = strings_of(&edit->result);
	return r;
}

static int edit_image_names(cst_image *image, void *arg, cst_error **error)
{
	struct names_edit *edit = arg;
	names_edit_free(edit); /* of an attempt that came too late */
	int r = changed_names(&image->names, edit->change, edit->names, edit->n, &edit->result,
	                      error);
	if (r == 0)
		r = image_history(&image->names_history, &edit->result, &edit->history, error);
	image->names = strings_of(&edit->result);
	image->names_history = strings_of(&edit->history);
	return r;
}

static int edit_container_names(cst_container *container, void *arg, cst_error **error)
{
	struct names_edit *edit = arg;
	int r = changed_names(&container->names, edit->change, edit->names, edit->n, &edit->result,
	                      error);
	container->names = strings_of(&edit->result);
	return r;
}

static int update_names(cst_store *store, const char *id, enum names_change change,
                        const char *const *names, size_t n, cst_error **error)
{
	static const struct record_edit edit = {edit_layer_names, edit_image_names,
	                                        edit_container_names, true};
	_cleanup_(names_edit_free) struct names_edit arg = {
	        .change = change, .names = names, .n = n};
	return edit_record(store, id, &edit, &arg, CST_ELAYER_UNKNOWN, error);
}

int cst_store_set_names(cst_store *store, const char *id, const char *const *names, size_t n,
                        cst_error **error)
{
	return update_names(store, id, NAMES_SET, names, n, error);
}

int cst_store_add_names(cst_store *store, const char *id, const char *const *names, size_t n,
                        cst_error **error)
{
	return update_names(store, id, NAMES_ADD, names, n, error);
}

int cst_store_remove_names(cst_store *store, const char *id, const char *const *names, size_t n,
                           cst_error **error)
{
	return update_names(store, id, NAMES_REMOVE, names, n, error);
}

/* ---- reading: one record of any kind, copied ---- */

struct any_record {
	cst_layer *layer;
	cst_image *image;
	cst_container *container;
};

static void any_record_free(struct any_record *any)
{
	cst_layer_free(any->layer);
	cst_image_free(any->image);
	cst_container_free(any->container);
}

static int find_any(cst_store *store, const char *id, int unknown, struct any_record *ret,
                    cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = cst_store_layer(store, id, &ret->layer, &problem);
	if (r == CST_ELAYER_UNKNOWN) {
		cst_error_free(steal_ptr(&problem));
		r = cst_store_image(store, id, &ret->image, &problem);
	}
	if (r == CST_EIMAGE_UNKNOWN) {
		cst_error_free(steal_ptr(&problem));
		r = cst_store_container(store, id, &ret->container, &problem);
	}
	if (r == CST_ECONTAINER_UNKNOWN)
		return error_code(error, unknown);
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

int cst_store_names(cst_store *store, const char *id, cst_strings **ret, cst_error **error)
{
	_cleanup_(any_record_free) struct any_record any = {0};
	_cleanup_strv_ struct strv copy = {0};
	int r = find_any(store, id, CST_ELAYER_UNKNOWN, &any, error);
	if (r < 0)
		return r;
	const struct strings *names = any.layer   ? &any.layer->names
	                              : any.image ? &any.image->names
	                                          : &any.container->names;
	r = names_unique(names->items, names->len, &copy, error);
	return r < 0 ? r : strings_give(&copy, ret, error);
}

int cst_store_metadata(cst_store *store, const char *id, char **ret, cst_error **error)
{
	_cleanup_(any_record_free) struct any_record any = {0};
	int r = find_any(store, id, CST_ENOT_AN_ID, &any, error);
	if (r < 0)
		return r;
	char *metadata = strdup(any.layer   ? any.layer->metadata
	                        : any.image ? any.image->metadata
	                                    : any.container->metadata);
	if (!metadata)
		return error_oom(error);
	*ret = metadata;
	return 0;
}

static int edit_layer_metadata(cst_layer *layer, void *arg, cst_error **error)
{
	layer->metadata = arg;
	return 0;
}

static int edit_image_metadata(cst_image *image, void *arg, cst_error **error)
{
	image->metadata = arg;
	return 0;
}

static int edit_container_metadata(cst_container *container, void *arg, cst_error **error)
{
	container->metadata = arg;
	return 0;
}

int cst_store_set_metadata(cst_store *store, const char *id, const char *metadata,
                           cst_error **error)
{
	static const struct record_edit edit = {edit_layer_metadata, edit_image_metadata,
	                                        edit_container_metadata, false};
	return edit_record(store, id, &edit, (void *)metadata, CST_ENOT_AN_ID, error);
}
