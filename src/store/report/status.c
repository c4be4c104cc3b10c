/* SPDX-License-Identifier: Apache-2.0 */
/* The store as a whole: what it is, its end on this machine, its end altogether. */
#include "config.h"
#include "store/layer/delete.h"

/* The release of containers/storage whose behaviour this is; scripts compare it. */
#define COMPATIBLE_VERSION "1.64.0"

static int add_pair(struct strv *pairs, const char *key, const char *value, cst_error **error)
{
	return strv_add(pairs, key) && strv_add(pairs, value) ? 0 : error_oom(error);
}

int cst_store_version(cst_store *store, cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv pairs = {0};
	int r = add_pair(&pairs, "Version", COMPATIBLE_VERSION, error);
	return r == 0 ? strings_give(&pairs, ret, error) : r;
}

int cst_store_status(cst_store *store, cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv pairs = {0}, of_driver = {0};
	_cleanup_strbuf_ struct strbuf options = {0};
	strbuf_addc(&options, '[');
	for (size_t i = 0; i < store->driver_options.len; i++)
		strbuf_addf(&options, "%s%s", i ? " " : "", store->driver_options.items[i]);
	strbuf_addc(&options, ']');
	int r = options.failed ? error_oom(error)
	                       : add_pair(&pairs, "Root", store->graph_root, error);
	if (r == 0)
		r = add_pair(&pairs, "Run Root", store->run_root, error);
	if (r == 0)
		r = add_pair(&pairs, "Driver Name", store->driver->ops->name, error);
	if (r == 0)
		r = add_pair(&pairs, "Driver Options", strbuf_str(&options), error);
	if (r == 0)
		r = store->driver->ops->status(store->driver, &of_driver, error);
	for (size_t i = 0; r == 0 && i + 1 < of_driver.len; i += 2)
		r = add_pair(&pairs, of_driver.items[i], of_driver.items[i + 1], error);
	return r == 0 ? strings_give(&pairs, ret, error) : r;
}

/* ---- shutdown ---- */

static int list_mounted(cst_store *store, struct strv *ret, cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	int r = layers_read(store, &layers, error);
	for (size_t i = 0; r == 0 && i < record_set_size(store->layers.table); i++) {
		const cst_layer *layer = layer_table_at(store->layers.table, i);
		if (layer->mount_count > 0 && !strv_add(ret, layer->id))
			r = error_oom(error);
	}
	return r;
}

static int end_driver(cst_store *store, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *graph = NULL;
	int r = lockfile_lock(store->graph_lock, LOCKFILE_WRITE, error);
	if (r < 0)
		return r;
	graph = store->graph_lock;
	struct lock_token token;
	r = lockfile_touch(store->graph_lock, &token, error);
	return r == 0 ? store->driver->ops->cleanup(store->driver, error) : r;
}

int cst_store_shutdown(cst_store *store, bool force, cst_strings **mounted, cst_error **error)
{
	_cleanup_strv_ struct strv ids = {0};
	int r = store->read_only ? error_code(error, CST_ESTORE_READ_ONLY)
	                         : list_mounted(store, &ids, error);
	for (size_t i = 0; r == 0 && force && i < ids.len; i++)
		r = cst_store_unmount(store, ids.items[i], true, NULL, error);
	if (r < 0)
		return r;
	bool in_use = !force && ids.len;
	r = strings_give(&ids, mounted, error);
	if (r < 0)
		return r;
	if (in_use)
		return error_wrap_code(error, CST_ELAYER_USED_BY_CONTAINER, "a layer is mounted");
	return end_driver(store, error);
}

/* ---- wipe ---- */

/* Newest first, so that children go before their parents. */
static void add_everything(cst_store *store, struct deletion *all)
{
	for (size_t i = record_set_size(store->containers.table); i > 0; i--)
		deletion_add(all, CST_KIND_CONTAINER,
		             container_table_at(store->containers.table, i - 1)->id);
	for (size_t i = record_set_size(store->images.table); i > 0; i--)
		deletion_add(all, CST_KIND_IMAGE, image_table_at(store->images.table, i - 1)->id);
	for (size_t i = record_set_size(store->layers.table); i > 0; i--)
		deletion_add_layer(all, layer_table_at(store->layers.table, i - 1), 0, NULL);
}

/* What the driver has without any record. */
static int remove_strays(cst_store *store, struct trash *trash, cst_error **error)
{
	_cleanup_strv_ struct strv ids = {0};
	int r = store->driver->ops->list(store->driver, &ids, error);
	for (size_t i = 0; r == 0 && i < ids.len; i++)
		r = layer_remove_files(store, ids.items[i], NULL, trash, error);
	return r;
}

/* All that is done under the locks: afterwards nothing is in the store any more. */
static int wipe_records(cst_store *store, struct trash *trash, cst_error **error)
{
	_cleanup_deletion_ struct deletion all = {
	        .layers = true, .images = true, .containers = true};
	_cleanup_layers_write_ cst_store *layers = NULL;
	_cleanup_images_write_ cst_store *images = NULL;
	_cleanup_containers_write_ cst_store *containers = NULL;
	int r = layers_write(store, &layers, error);
	if (r == 0)
		r = images_write(store, &images, error);
	if (r == 0)
		r = containers_write(store, &containers, error);
	if (r == 0)
		r = trash_announce(trash, error);
	if (r < 0)
		return r;
	add_everything(store, &all);
	if (all.intents.len)
		r = deletion_commit(store, &all, trash, error);
	return r == 0 ? remove_strays(store, trash, error) : r;
}

int cst_store_wipe(cst_store *store, const cst_progress *progress, cst_error **error)
{
	_cleanup_trash_ struct trash trash = {.progress = progress};
	return wipe_records(store, &trash, error);
}
