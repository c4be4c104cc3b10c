/* SPDX-License-Identifier: Apache-2.0 */
/* Applying a layer tar to a layer that exists. The new content is made beside the old one, from a
 * copy of it, and takes its place by an exchange of names. content.h says what is done after a
 * crash in between. The layers are locked from the copy to the exchange, as the Go tools do: what
 * another process applied in between, or wrote through a mount, would be lost. The archive may come
 * from a pipe whose other end needs that lock, so this process takes the archive in before. A
 * mounted layer is the exception, also on drivers without mounts: another process works in its
 * content, so the content changes in place, as with the Go tools. If that fails, what was unpacked
 * so far stays. */
#include "store/change/change.h"
#include "store/change/content.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/create.h"
#include <errno.h>
#include <unistd.h>

struct applied {
	struct arena arena;
	cst_layer record; /* a copy of the old one with new digests */
	struct driver *driver;
	struct driver_staged *staged;
	struct tempdir *metadata;
	int spool; /* the archive */
	struct idmaps maps;
	bool in_place;                  /* mounted: the archive goes straight into the layer */
	struct driver_identity content; /* of the new content */
};

static void applied_free(struct applied *applied)
{
	if (applied->staged)
		applied->driver->ops->stage_free(applied->staged);
	closep(&applied->spool);
	tempdir_free(applied->metadata);
	arena_clear(&applied->arena);
}

/* ---- taking in the archive ---- */

static int take_in(cst_store *store, const cst_source *diff, const cst_progress *progress,
                   struct applied *applied, cst_error **error)
{
	int r = metadata_stage(store, &applied->metadata, error);
	if (r < 0)
		return r;
	applied->spool = sys_openat(applied->metadata->fd, "archive",
	                            O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (applied->spool < 0)
		return error_sys(error, errno, "open %s/%s/archive", applied->metadata->shown,
		                 applied->metadata->name);
	int64_t size = 0;
	return source_to_file(diff, applied->spool, "a temporary file", NULL, progress, &size,
	                      error);
}

/* ---- under the lock ---- */

static int copy_record(cst_store *store, const char *id, struct applied *applied, cst_error **error)
{
	const cst_layer *layer = layer_table_find(store->sets.layers.table, id);
	if (!layer)
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	applied->in_place = layer->mount_count > 0;
	/* A process that was killed while it unmounted may have left a mount that nobody counts.
	 * Another process may still work in it. */
	int r = applied->in_place ? 0
	                          : driver_is_mounted(store->driver, layer->id, NULL,
	                                              &applied->in_place, error);
	if (r < 0)
		return r;
	if (!layer_copy(&applied->arena, layer, &applied->record))
		return error_oom(error);
	applied->maps = layer_maps(&applied->record);
	return 0;
}

static int stage_target(cst_store *store, struct applied *applied, cst_error **error)
{
	applied->driver = store->driver; /* another process may have shut down the one of before */
	const struct driver_ops *ops = applied->driver->ops;
	const struct idmaps *maps = &applied->maps;
	bool shifting = false;
	int r = ops->supports_shifting(applied->driver, maps, &shifting, error);
	if (r < 0)
		return r;
	if (shifting) /* the content belongs to nobody in particular */
		maps = NULL;
	return applied->in_place ? ops->stage_in_place(applied->driver, applied->record.id, maps,
	                                               &applied->staged, error)
	                         : ops->stage_copy(applied->driver, applied->record.id, maps,
	                                           &applied->staged, error);
}

/* Reports no progress: a callback may wait for the very lock that is held here. */
static int unpack_spooled(cst_store *store, struct applied *applied, cst_error **error)
{
	const cst_source spooled = cst_source_fd(applied->spool);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	if (lseek(applied->spool, 0, SEEK_SET) < 0)
		return error_sys(error, errno, "seek in a temporary file");
	const struct layer_unpacking how = {
	        .options = &options,
	        .diff = &spooled,
	        .driver = applied->driver,
	        .staged = applied->staged,
	        .metadata = applied->metadata,
	        .tarsplit = TARSPLIT_STAGED,
	};
	return layer_unpack(store, &how, &applied->arena, &applied->record, error);
}

/* ---- the change ---- */

static int stage_waiting_tarsplit(cst_store *store, const struct applied *applied,
                                  cst_error **error)
{
	_cleanup_free_ char *name =
	        content_waiting_tarsplit(applied->record.id, applied->content.text);
	_cleanup_free_ char *path = name ? path_join(store->graph_root, name) : NULL;
	if (!path)
		return error_oom(error);
	if (sys_renameat(applied->metadata->fd, TARSPLIT_STAGED, AT_FDCWD, path) < 0)
		return error_sys(error, errno, "rename %s %s", TARSPLIT_STAGED, path);
	_cleanup_close_ int dir = -1;
	int r = fs_open_dir(store->sets.layers.journal.dir, &dir, error);
	return r == 0 ? fs_fsync_dir(dir, path, error) : r;
}

static int place_content(struct change *change, const struct intent *intent, void *arg,
                         cst_error **error)
{
	struct applied *applied = arg;
	cst_store *store = change->store;
	int r = stage_waiting_tarsplit(store, applied, error);
	if (r == 0 && !applied->in_place)
		r = applied->driver->ops->stage_replace(applied->staged, applied->record.id,
		                                        store->driver->sync_content, error);
	return r == 0 ? content_finish(store, &applied->record, intent->content, error) : r;
}

static int add_content(struct change *change, struct applied *applied, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf record = {0};
	const struct driver_ops *ops = applied->driver->ops;
	struct json_writer w;
	struct stat tarsplit;
	int r = ops->staged_identity(applied->staged, &applied->content, error);
	if (r < 0)
		return r;
	json_writer_init(&w, &record, JSON_STORE);
	layer_write(&w, &applied->record);
	if (record.failed)
		return error_oom(error);
	if (fstatat(applied->metadata->fd, TARSPLIT_STAGED, &tarsplit, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "stat the new tar-split of layer %s",
		                 applied->record.id);
	const struct intent intent = {
	        .kind = CST_KIND_LAYER,
	        .id = applied->record.id,
	        .content = applied->content.text,
	        .tarsplit_inode = tarsplit.st_ino,
	        .record = strbuf_str(&record),
	};
	change_add(change, &intent, place_content, NULL, applied);
	return 0;
}

static int apply(cst_store *store, const char *id, struct applied *applied, cst_error **error)
{
	_cleanup_change_ struct change change = {.durable = true};
	int r = change_hold(&change, store, (struct hold_modes){.layers = HOLD_WRITE}, error);
	if (r == 0)
		r = copy_record(store, id, applied, error);
	if (r == 0)
		r = stage_target(store, applied, error);
	if (r == 0)
		r = unpack_spooled(store, applied, error);
	if (r == 0)
		r = applied->driver->ops->stage_sync(applied->staged, error);
	if (r == 0)
		r = add_content(&change, applied, error);
	return r == 0 ? change_commit(&change, error) : r;
}

/* Reports early that there is no such layer, since the archive may be long. */
static int precheck(cst_store *store, const char *id, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	return r == 0 && !layer_table_find(store->sets.layers.table, id)
	               ? error_about(error, CST_ELAYER_UNKNOWN, id)
	               : r;
}

int cst_store_apply_diff(cst_store *store, const char *id, const cst_source *diff,
                         const cst_progress *progress, cst_error **error)
{
	_cleanup_(applied_free) struct applied applied = {.driver = store->driver, .spool = -1};
	_cleanup_lock_wait_ bool listening = lock_wait_listen(progress);
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : precheck(store, id, error);
	if (r == 0)
		r = take_in(store, diff, progress, &applied, error);
	listening = lock_wait_listen(progress);
	return r == 0 ? apply(store, id, &applied, error) : r;
}
