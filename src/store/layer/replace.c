/* SPDX-License-Identifier: Apache-2.0 */
/* The step of a change that gives a layer new content (replace.h). */
#include "store/layer/replace.h"
#include "store/change/content.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/create.h"
#include <errno.h>

void new_content_free(struct new_content *content)
{
	if (content->staged)
		content->driver->ops->stage_free(content->staged);
	tempdir_free(content->metadata);
	arena_clear(&content->arena);
}

/* A process that was killed while it unmounted may have left a mount that nobody counts. Another process may still work
 * in it. */
int layer_in_use(cst_store *store, const cst_layer *layer, bool *ret, cst_error **error)
{
	*ret = layer->mount_count > 0;
	return *ret ? 0 : driver_is_mounted(store->driver, layer->id, NULL, ret, error);
}

int layer_content_maps(cst_store *store, const cst_layer *layer, struct idmaps *ret,
                       cst_error **error)
{
	struct idmaps maps = layer_maps(layer);
	bool shifting = false;
	int r = 0;
	if (!idmaps_equal(&maps,
	                  NULL)) /* only then, because finding out may take room on the disk */
		r = store->driver->ops->supports_shifting(store->driver, &maps, &shifting, error);
	if (r == 0)
		*ret = shifting ? (struct idmaps){0} : maps;
	return r;
}

int new_content_stage(cst_store *store, const cst_layer *record, const cst_layer *parent,
                      struct driver *driver, struct driver_staged **ret, cst_error **error)
{
	struct idmaps maps = {0}, parent_maps = {0};
	int r = layer_content_maps(store, record, &maps, error);
	if (r == 0 && *parent->id)
		r = layer_content_maps(store, parent, &parent_maps, error);
	if (r < 0)
		return r;
	const struct driver_stage_options options = {
	        .parent = *parent->id ? parent->id : NULL,
	        .parent_maps = &parent_maps,
	        .mount_label = *record->mount_label ? record->mount_label : NULL,
	        .maps = maps.uids.len || maps.gids.len ? &maps : NULL,
	        .writable = !isempty(store->image_store) && record->file != LAYER_IMAGE_STORE,
	};
	return driver->ops->stage(driver, &options, ret, error);
}

static int stage_waiting(const cst_store *store, const struct new_content *content,
                         const char *from, char *name, cst_error **error)
{
	_cleanup_free_ char *path = name ? path_join(store->graph_root, name) : NULL;
	free(name);
	if (!path)
		return error_oom(error);
	if (sys_renameat(content->metadata->fd, from, AT_FDCWD, path) < 0)
		return error_sys(error, errno, "rename %s %s", from, path);
	return 0;
}

static int stage_waiting_data(const cst_store *store, const struct new_content *content,
                              const char *key, cst_error **error)
{
	_cleanup_free_ char *file = data_file_name(key);
	_cleanup_free_ char *from = file ? path_join(STAGED_DATA, file) : NULL;
	if (!from)
		return error_oom(error);
	return stage_waiting(store, content, from,
	                     content_waiting_data(content->record.id, content->identity.text, file),
	                     error);
}

/* What belongs to the content goes where it waits until the content is in place. */
static int stage_all_waiting(const cst_store *store, const struct new_content *content,
                             cst_error **error)
{
	int r = stage_waiting(store, content, TARSPLIT_STAGED,
	                      content_waiting_tarsplit(content->record.id, content->identity.text),
	                      error);
	for (size_t i = 0; r == 0 && content->data && i < content->data->len; i++)
		r = stage_waiting_data(store, content, content->data->items[i].name, error);
	if (r < 0)
		return r;
	_cleanup_close_ int dir = -1;
	const char *shown = store->sets.layers.journal.dir;
	r = fs_open_dir(shown, &dir, error);
	return r == 0 ? fs_fsync_dir(dir, shown, error) : r;
}

/* The content of a damaged layer may be gone altogether. */
static int put_into_place(struct new_content *content, bool durable, cst_error **error)
{
	const struct driver_ops *ops = content->driver->ops;
	const char *id = content->record.id;
	bool exists = false;
	int r = ops->exists(content->driver, id, &exists, error);
	if (r < 0)
		return r;
	return exists ? ops->stage_replace(content->staged, id, durable, error)
	              : ops->stage_commit(content->staged, id, durable, error);
}

static int place_content(struct change *change, const struct intent *intent, void *arg,
                         cst_error **error)
{
	struct new_content *content = arg;
	cst_store *store = change->store;
	int r = stage_all_waiting(store, content, error);
	if (r == 0 && !content->in_place)
		r = put_into_place(content, store->driver->sync_content, error);
	return r == 0 ? content_finish(store, &content->record, intent->content, error) : r;
}

static int unkeep(struct change *change, const struct intent *intent, void *arg, cst_error **error)
{
	struct new_content *content = arg;
	return content->driver->ops->stage_unkeep(content->staged, error);
}

int new_content_add(struct change *change, struct new_content *content, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf record = {0};
	const struct driver_ops *ops = content->driver->ops;
	struct json_writer w;
	struct stat tarsplit;
	int r = ops->staged_identity(content->staged, &content->identity, error);
	if (r < 0)
		return r;
	json_writer_init(&w, &record, JSON_STORE);
	layer_write(&w, &content->record);
	if (record.failed)
		return error_oom(error);
	if (fstatat(content->metadata->fd, TARSPLIT_STAGED, &tarsplit, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "stat the new tar-split of layer %s",
		                 content->record.id);
	const struct intent intent = {
	        .kind = CST_KIND_LAYER,
	        .id = content->record.id,
	        .content = content->identity.text,
	        .tarsplit_inode = tarsplit.st_ino,
	        .record = strbuf_str(&record),
	        .staged = content->kept,
	};
	change_add(change, &intent, place_content, content->kept ? unkeep : NULL, content);
	return 0;
}
