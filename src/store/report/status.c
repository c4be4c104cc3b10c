/* SPDX-License-Identifier: Apache-2.0 */
/* The store as a whole: its version and status, and its shutdown on this machine. */
#include "config.h"
#include "store/core/driver.h"
#include "store/core/hold.h"
#include "store/core/store.h"

/* The release of containers/storage that this behaves like. Scripts compare it. */
#define COMPATIBLE_VERSION "1.64.0"

static int add_pair(struct strv *pairs, const char *key, const char *value, cst_error **error)
{
	return strv_add(pairs, key) && strv_add(pairs, value) ? 0 : error_oom(error);
}

int cst_store_version(cst_store *store, cst_pairs **ret, cst_error **error)
{
	_cleanup_strv_ struct strv pairs = {0};
	int r = add_pair(&pairs, "Version", COMPATIBLE_VERSION, error);
	return r == 0 ? pairs_give(&pairs, ret, error) : r;
}

int cst_store_status(cst_store *store, cst_pairs **ret, cst_error **error)
{
	_cleanup_strv_ struct strv pairs = {0}, of_driver = {0};
	_cleanup_strbuf_ struct strbuf options = {0};
	strbuf_addc(&options, '[');
	for (size_t i = 0; i < store->driver_options.len; i++)
		strbuf_addf(&options, "%s%s", i ? " " : "", store->driver_options.items[i]);
	strbuf_addc(&options, ']');
	const char *const own[][2] = {{"Root", store->graph_root},
	                              {"Run Root", store->run_root},
	                              {"Driver Name", store->driver->ops->name},
	                              {"Driver Options", strbuf_str(&options)}};
	int r = options.failed ? error_oom(error) : 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own); i++)
		r = add_pair(&pairs, own[i][0], own[i][1], error);
	if (r == 0)
		r = store->driver->ops->status(store->driver, &of_driver, error);
	for (size_t i = 0; r == 0 && i + 1 < of_driver.len; i += 2)
		r = add_pair(&pairs, of_driver.items[i], of_driver.items[i + 1], error);
	return r == 0 ? pairs_give(&pairs, ret, error) : r;
}

/* ---- shutdown ---- */

static int list_mounted(cst_store *store, struct strv *ret, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	const cst_layer *layer;
	size_t i = 0;
	while (r == 0 && (layer = record_set_next_known(store->sets.layers.table, &i))) {
		if (layer->mount_count > 0 && !strv_add(ret, layer->id))
			r = error_oom(error);
	}
	return r;
}

static int end_driver(cst_store *store, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *graph = NULL;
	struct lock_token token;
	int r = lockfile_hold(store->graph_lock, LOCKFILE_WRITE, &graph, error);
	if (r == 0)
		r = lockfile_touch(store->graph_lock, &token, error);
	return r == 0 ? store->driver->ops->cleanup(store->driver, error) : r;
}

static int still_mounted(const char *layer, cst_error **error)
{
	const int code = CST_ELAYER_USED_BY_CONTAINER;
	error_set(error, code, "the layer \"%s\" is mounted", layer);
	return error_go_words(error, code, layer, "a layer is mounted: %s", cst_strerror(code));
}

int cst_store_shutdown(cst_store *store, bool force, cst_strings **mounted, cst_error **error)
{
	_cleanup_strv_ struct strv ids = {0};
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : list_mounted(store, &ids, error);
	for (size_t i = 0; r == 0 && force && i < ids.len; i++)
		r = cst_store_unmount(store, ids.items[i], true, NULL, error);
	if (r < 0)
		return r;
	_cleanup_free_ char *in_use = !force && ids.len ? strdup(ids.items[0]) : NULL;
	if (!force && ids.len && !in_use)
		return error_oom(error);
	r = strings_give(&ids, mounted, error);
	if (r == 0 && in_use)
		return still_mounted(in_use, error);
	return r == 0 ? end_driver(store, error) : r;
}
