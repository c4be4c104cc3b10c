/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver keeps of a layer besides its content: looked at, and mended. The driver knows its files; the records know what
 * is built on what. */
#include "store/check/check.h"
#include "store/check/menders.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"

static const struct {
	enum driver_part part;
	enum cst_finding_code code;
} codes[] = {
        {DRIVER_LINK, CST_FINDING_LINK},
        {DRIVER_PARENTS, CST_FINDING_LOWER},
        {DRIVER_DIRECTORIES, CST_FINDING_DIRECTORY},
};

static enum cst_finding_code code_of(enum driver_part part)
{
	size_t i = 0;
	while (codes[i].part != part)
		i++;
	return codes[i].code;
}

/* *known: all of them have a record. */
static int ancestors_of(cst_store *store, const cst_layer *layer, struct strv *ret, bool *known,
                        cst_error **error)
{
	size_t left = record_set_size(store->sets.layers.table);
	const char *parent = layer->parent;
	for (*known = true; *parent && *known && left-- > 0;) {
		const cst_layer *record = layer_get(store, parent, NULL);
		if (!strv_add(ret, parent))
			return error_oom(error);
		*known = record;
		parent = record ? record->parent : "";
	}
	*known = *known && !*parent;
	return 0;
}

/* The layers are held. */
static int inspect(cst_store *store, const char *id, bool mend, struct driver_flaws *ret,
                   cst_error **error)
{
	_cleanup_strv_ struct strv ancestors = {0};
	const cst_layer *layer = record_set_get(store->sets.layers.table, id);
	bool known = false;
	if (!layer)
		return 0;
	int r = ancestors_of(store, layer, &ancestors, &known, error);
	if (r < 0)
		return r;
	const struct idmaps maps = layer_maps(layer);
	const struct driver_inspection options = {
	        .ancestors = known ? &ancestors : NULL, .maps = &maps, .mend = mend};
	return store->driver->ops->inspect(store->driver, id, &options, ret, error);
}

static bool has_flaw(const struct driver_flaws *flaws, enum driver_part part)
{
	for (size_t i = 0; i < flaws->len; i++) {
		if (flaws->items[i].part == part)
			return true;
	}
	return false;
}

/* A layer may have to be compared with its parent, so both must say what they are built on. */
static int parent_is_readable(cst_store *store, const char *id, bool *readable, cst_error **error)
{
	struct driver_flaws flaws = {0};
	const cst_layer *layer = record_set_get(store->sets.layers.table, id);
	if (!layer || !*layer->parent)
		return 0;
	int r = inspect(store, layer->parent, false, &flaws, error);
	*readable = *readable && !has_flaw(&flaws, DRIVER_PARENTS);
	driver_flaws_free(&flaws);
	return r;
}

int check_driver_files(struct checked *layer, bool *readable, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	struct driver_flaws flaws = {0};
	cst_store *store = layer->check->store;
	if (!store->driver->ops->inspect)
		return 0;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = inspect(store, layer->about.id, false, &flaws, error);
	*readable = !has_flaw(&flaws, DRIVER_PARENTS);
	for (size_t i = 0; r == 0 && i < flaws.len; i++)
		findings_add(&layer->found, code_of(flaws.items[i].part), &layer->about, NULL,
		             steal_ptr(&flaws.items[i].text), strdup(""));
	driver_flaws_free(&flaws);
	return r == 0 ? parent_is_readable(store, layer->about.id, readable, error) : r;
}

int mend_driver_files(struct mending *mending, const struct cst_finding *finding, char **done,
                      cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_strbuf_ struct strbuf text = {0};
	struct driver_flaws flaws = {0};
	int r = hold_write(mending->store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = inspect(mending->store, finding->about.id, true, &flaws, error);
	for (size_t i = 0; r == 0 && i < flaws.len; i++) {
		if (flaws.items[i].mended)
			strbuf_addf(&text, "%s%s", text.len ? "; " : "", flaws.items[i].text);
	}
	driver_flaws_free(&flaws);
	if (r < 0 || !text.len)
		return r < 0 ? r : MEND_NOT;
	strbuf_adds(&text, ": made again");
	*done = strbuf_steal(&text);
	return *done ? MEND_DONE : error_oom(error);
}
