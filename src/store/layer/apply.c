/* SPDX-License-Identifier: Apache-2.0 */
/* Applying a layer tar to a layer that exists. The new content is made beside the old one, from a
 * copy of it, and takes its place by an exchange of names. content.h says what is done after a
 * crash in between. The layers are locked from the copy to the exchange, as the Go tools do: what
 * another process applied in between, or wrote through a mount, would be lost. The archive may come
 * from a pipe whose other end needs that lock, so this process takes the archive in before. A
 * mounted layer is the exception, also on drivers without mounts: another process works in its
 * content, so the content changes in place, as with the Go tools. If that fails, what was unpacked
 * so far stays. */
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/create.h"
#include "store/layer/replace.h"
#include <errno.h>
#include <unistd.h>

struct applied {
	struct new_content content;
	int spool; /* the archive */
};

static void applied_free(struct applied *applied)
{
	closep(&applied->spool);
	new_content_free(&applied->content);
}

/* ---- taking in the archive ---- */

static int take_in(cst_store *store, const cst_source *diff, const cst_progress *progress,
                   struct applied *applied, cst_error **error)
{
	int r = metadata_stage(store, &applied->content.metadata, error);
	if (r < 0)
		return r;
	applied->spool = sys_openat(applied->content.metadata->fd, "archive",
	                            O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (applied->spool < 0)
		return error_sys(error, errno, "open %s/%s/archive",
		                 applied->content.metadata->shown, applied->content.metadata->name);
	int64_t size = 0;
	return source_to_file(diff, applied->spool, "a temporary file", NULL, progress, &size,
	                      error);
}

/* ---- under the lock ---- */

static int copy_record(cst_store *store, const char *id, struct new_content *content,
                       cst_error **error)
{
	const cst_layer *layer = layer_table_find(store->sets.layers.table, id);
	if (!layer)
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	int r = layer_in_use(store, layer, &content->in_place, error);
	if (r < 0)
		return r;
	return layer_copy(&content->arena, layer, &content->record) ? 0 : error_oom(error);
}

static int stage_target(cst_store *store, struct new_content *content, struct idmaps *maps,
                        cst_error **error)
{
	struct driver *driver =
	        store->driver; /* another process may have shut down the one of before */
	const struct driver_ops *ops = driver->ops;
	content->driver = driver;
	int r = layer_content_maps(store, &content->record, maps, error);
	if (r < 0)
		return r;
	return content->in_place
	               ? ops->stage_in_place(driver, content->record.id, maps, &content->staged,
	                                     error)
	               : ops->stage_copy(driver, content->record.id, maps, &content->staged, error);
}

/* Reports no progress: a callback may wait for the very lock that is held here. */
static int unpack_spooled(cst_store *store, struct applied *applied, cst_error **error)
{
	const cst_source spooled = cst_source_fd(applied->spool);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	struct new_content *content = &applied->content;
	if (lseek(applied->spool, 0, SEEK_SET) < 0)
		return error_sys(error, errno, "seek in a temporary file");
	const struct layer_unpacking how = {
	        .options = &options,
	        .diff = &spooled,
	        .driver = content->driver,
	        .staged = content->staged,
	        .metadata = content->metadata,
	        .tarsplit = TARSPLIT_STAGED,
	};
	return layer_unpack(store, &how, &content->arena, &content->record, error);
}

static int apply(cst_store *store, const char *id, struct applied *applied, cst_error **error)
{
	_cleanup_change_ struct change change = {.durable = true};
	struct idmaps maps = {0};
	int r = change_hold(&change, store, (struct hold_modes){.layers = HOLD_WRITE}, error);
	if (r == 0)
		r = copy_record(store, id, &applied->content, error);
	if (r == 0)
		r = stage_target(store, &applied->content, &maps, error);
	if (r == 0)
		r = unpack_spooled(store, applied, error);
	if (r == 0)
		r = applied->content.driver->ops->stage_sync(applied->content.staged, error);
	if (r == 0)
		r = new_content_add(&change, &applied->content, error);
	return r == 0 ? change_commit(&change, error) : r;
}

/* Somebody may write the archive who has the layers locked until all of it is read: `diff` of the Go tools from 1.57 on does. */
static bool others_hold_layers(const cst_store *store)
{
	int r = lockfile_try(store->sets.layers.lock, LOCKFILE_READ, NULL);
	if (r == 0)
		lockfile_unlock(store->sets.layers.lock);
	return r == CST_EBUSY;
}

/* Reports early that there is no such layer, since the archive may be long. Nobody waits for that. */
static int precheck(cst_store *store, const char *id, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = layers_need(store, error);
	if (r < 0 || others_hold_layers(store))
		return r;
	r = hold_read(store, CST_KIND_LAYER, &layers, error);
	return r == 0 && !layer_table_find(store->sets.layers.table, id)
	               ? error_about(error, CST_ELAYER_UNKNOWN, id)
	               : r;
}

int cst_store_apply_diff(cst_store *store, const char *id, const cst_source *diff,
                         const cst_progress *progress, cst_error **error)
{
	_cleanup_(applied_free) struct applied applied = {.content.driver = store->driver,
	                                                  .spool = -1};
	_cleanup_lock_wait_ bool listening = lock_wait_listen(progress);
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : precheck(store, id, error);
	if (r == 0)
		r = take_in(store, diff, progress, &applied, error);
	listening = lock_wait_listen(progress);
	return r == 0 ? apply(store, id, &applied, error) : r;
}
