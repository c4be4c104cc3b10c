/* SPDX-License-Identifier: Apache-2.0 */
/* Names and metadata of any item, looked for among layers, then images, then containers. */
#include "store/core/names.h"
#include "store/core/edit.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/image/image.h"

/* ---- editing the record that has an ID, name or prefix ---- */

/* 1 if there is no such item of that kind. */
static int edit_one(cst_store *store, enum cst_kind kind, const char *id, record_edit edit,
                    void *arg, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	struct set *set = set_of(store, kind);
	union any_record edited;
	int r = hold_write(store, kind, &held, error);
	if (r < 0)
		return r;
	const void *record = record_set_find(set->table, id);
	if (!record)
		return 1;
	memcpy(&edited, record, set->kind->size);
	r = edit(set->kind, &edited, arg, error);
	if (r == 0)
		r = record_put(set, &edited, error);
	return r == 0 ? set_save(set, error) : r;
}

/* If another process copied the image first, its copy is edited like any other image. */
static int copy_up(cst_store *store, const char *id, record_edit edit, void *arg, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = image_copy_up(store, id, edit, arg, &problem);
	if (r == CST_EDUPLICATE_ID)
		return edit_one(store, CST_KIND_IMAGE, id, edit, arg, error);
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : r;
}

/* Edits the layer, else the image, else the container. `up`: copies an image of an additional store
 * into this one first. If there is none, the error code is `unknown`. */
static int edit_any(cst_store *store, const char *id, record_edit edit, bool up, void *arg,
                    int unknown, cst_error **error)
{
	int r = 1;
	for (size_t i = 0; r == 1 && i < KINDS; i++) {
		const struct kind *kind = kind_of(CST_KIND_LAYER + i);
		r = edit_one(store, kind->id, id, edit, arg, error);
		if (r == 1 && up && kind->hides && store->n_additional)
			r = copy_up(store, id, edit, arg, error);
	}
	return r == 1 ? error_about_any(error, unknown, id) : r;
}

/* ---- names ---- */

enum names_change { NAMES_SET, NAMES_ADD, NAMES_REMOVE };

/* NAMES_ADD puts the new names in front. */
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

static int edit_names(const struct kind *kind, void *record, void *arg, cst_error **error)
{
	struct names_edit *edit = arg;
	struct strings *names = record_member(record, kind->names),
	               *history = record_member(record, kind->names_history);
	names_edit_free(edit); /* of an attempt that came too late */
	int r = changed_names(names, edit->change, edit->names, edit->n, &edit->result, error);
	if (r == 0 && history)
		r = names_history(history, &edit->result, &edit->history, error);
	*names = strings_of(&edit->result);
	if (history)
		*history = strings_of(&edit->history);
	return r;
}

static int update_names(cst_store *store, const char *id, enum names_change change,
                        const char *const *names, size_t n, cst_error **error)
{
	_cleanup_(names_edit_free) struct names_edit arg = {
	        .change = change, .names = names, .n = n};
	return edit_any(store, id, edit_names, true, &arg, CST_ELAYER_UNKNOWN, error);
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

int cst_store_names(cst_store *store, const char *id, cst_strings **ret, cst_error **error)
{
	_cleanup_found_item_ struct found_item item = {0};
	_cleanup_strv_ struct strv copy = {0};
	int r = item_read_any(store, id, CST_ELAYER_UNKNOWN, &item, error);
	if (r < 0)
		return r;
	const struct strings *names = record_const_member(item.record, item.kind->names);
	r = names_unique(names->items, names->len, &copy, error);
	return r < 0 ? r : strings_give(&copy, ret, error);
}

/* ---- metadata ---- */

int cst_store_metadata(cst_store *store, const char *id, char **ret, cst_error **error)
{
	_cleanup_found_item_ struct found_item item = {0};
	int r = item_read_any(store, id, CST_ENOT_AN_ID, &item, error);
	if (r < 0)
		return r;
	const char *const *metadata = record_const_member(item.record, item.kind->metadata);
	char *copy = strdup(*metadata);
	if (!copy)
		return error_oom(error);
	*ret = copy;
	return 0;
}

static int edit_metadata(const struct kind *kind, void *record, void *arg, cst_error **error)
{
	const char **metadata = record_member(record, kind->metadata);
	*metadata = arg;
	return 0;
}

int cst_store_set_metadata(cst_store *store, const char *id, const char *metadata,
                           cst_error **error)
{
	return edit_any(store, id, edit_metadata, false, (void *)metadata, CST_ENOT_AN_ID, error);
}
