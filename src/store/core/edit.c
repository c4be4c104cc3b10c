/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of records: each replaces the record by an edited copy, in memory only. */
#include "store/core/edit.h"
#include "store/core/names.h"

int record_put(struct set *set, const void *record, cst_error **error)
{
	return record_set_replace(set->table, record) ? 0 : error_oom(error);
}

/* ---- data items ---- */

/* The list in *ret is in the arena, and has the item. */
static bool with_item(struct arena *arena, const struct data_items *old,
                      const struct data_item *item, struct data_items *ret)
{
	struct data_item *items = arena_alloc(arena, (old->len + 1) * sizeof(*items));
	size_t at = old->len;
	for (size_t i = 0; items && i < old->len; i++) {
		items[i] = old->items[i];
		if (streq(old->items[i].name, item->name))
			at = i;
	}
	if (!items)
		return false;
	items[at] = *item;
	*ret = (struct data_items){.items = items, .len = MAX(old->len, at + 1)};
	return true;
}

static bool with_string(struct arena *arena, const struct strings *old, const char *string,
                        struct strings *ret)
{
	const char **items = arena_alloc(arena, (old->len + 1) * sizeof(*items));
	for (size_t i = 0; items && i < old->len; i++)
		items[i] = old->items[i];
	if (!items)
		return false;
	items[old->len] = string;
	*ret = (struct strings){.items = items, .len = old->len + 1};
	return true;
}

int record_put_data(struct set *set, const char *id, const struct data_item *item,
                    cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	const struct kind *kind = set->kind;
	const void *record = record_set_get(set->table, id);
	union any_record edited;
	if (!record)
		return 0;
	memcpy(&edited, record, kind->size);
	struct strings *names = record_member(&edited, kind->data_names);
	struct data_items *items = record_member(&edited, kind->data);
	if (names && strings_contain(names, item->name))
		return 0;
	if (names ? !with_string(&arena, names, item->name, names)
	          : !with_item(&arena, items, item, items))
		return error_oom(error);
	if (kind->first_manifest_names_it && isempty(edited.image.digest) &&
	    has_prefix(item->name, "manifest"))
		edited.image.digest = item->digest;
	return record_put(set, &edited, error);
}

/* ---- mapped copies ---- */

int image_list_mapped(struct set *images, const char *id, const char *layer, cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	cst_image edited = *image_table_find(images->table, id);
	if (!with_string(&arena, &edited.mapped_layers, layer, &edited.mapped_layers))
		return error_oom(error);
	return record_put(images, &edited, error);
}

int image_unlist_mapped(struct set *images, const char *layer, cst_error **error)
{
	const cst_image *found;
	int r = 0;
	while (r == 0 &&
	       (found = image_table_by_layer(images->table, IMAGE_MAPPED_LAYER, layer, NULL))) {
		cst_image image = *found;
		const struct strings old = image.mapped_layers;
		_cleanup_free_ const char **kept = new0(const char *, old.len);
		if (!kept)
			return error_oom(error);
		image.mapped_layers = (struct strings){.items = kept};
		for (size_t j = 0; j < old.len; j++) {
			if (!streq(old.items[j], layer))
				kept[image.mapped_layers.len++] = old.items[j];
		}
		r = record_put(images, &image, error);
	}
	return r;
}
