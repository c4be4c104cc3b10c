/* SPDX-License-Identifier: Apache-2.0 */
/* Records of layers that are their own ancestors. All else in such a record is as it was, and the driver tells what the layer is
 * built on. Any other record that cannot be used stays as it is: of two with one ID nobody knows which is right. */
#include "store/check/menders.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"

static bool find_unusable(const struct record_set *set, const char *id, size_t *ret)
{
	const char *other, *why;
	for (*ret = 0; record_set_unusable(set, *ret, &other, &why); (*ret)++) {
		if (streq(other, id) && record_why_is_circle(why))
			return true;
	}
	return false;
}

static int use_record(cst_store *store, size_t number, struct arena *arena, char **done,
                      cst_error **error)
{
	_cleanup_strv_ struct strv ancestors = {0};
	struct record_set *layers = store->sets.layers.table;
	cst_layer record;
	if (!record_set_read_unusable(layers, number, arena, &record))
		return arena->failed ? error_oom(error) : MEND_NOT;
	int r = store->driver->ops->ancestors(store->driver, record.id, &ancestors, error);
	if (r < 0)
		return r;
	record.parent = ancestors.len ? ancestors.items[0] : "";
	*done = str_printf("its record is used again, with the parent that the driver tells: %s",
	                   ancestors.len ? record.parent : "none");
	if (!*done || !record_set_use(layers, number, &record))
		return error_oom(error);
	r = set_save(&store->sets.layers, error);
	return r < 0 ? r : MEND_DONE;
}

int mend_record(struct mending *mending, const struct cst_finding *finding, char **done,
                cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_arena_ struct arena arena = {0};
	cst_store *store = mending->store;
	size_t number;
	if (finding->about.kind != CST_KIND_LAYER || !store->driver->ops->ancestors)
		return MEND_NOT;
	int r = hold_write(store, CST_KIND_LAYER, &layers, error);
	if (r < 0 || !find_unusable(store->sets.layers.table, finding->about.id, &number))
		return r < 0 ? r : MEND_NOT;
	return use_record(store, number, &arena, done, error);
}
