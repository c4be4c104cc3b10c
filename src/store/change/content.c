/* SPDX-License-Identifier: Apache-2.0 */
/* Puts new content of a layer in place, finishes it after a crash, or undoes it, always by the
 * identity of what is there. */
#include "store/change/content.h"
#include "records/record_fields.h"
#include "store/change/trash.h"
#include "store/core/edit.h"
#include "store/core/store.h"
#include <errno.h>

char *content_waiting_tarsplit(const char *id, const char *content)
{
	return str_printf("cstorage/%s.%s.tar-split", id, content);
}

char *content_waiting_data(const char *id, const char *content, const char *file)
{
	return str_printf("cstorage/%s.%s.data-%s", id, content, file);
}

void layer_take_digests(const cst_layer *from, cst_layer *to)
{
	to->compressed_digest = from->compressed_digest;
	to->compressed_size = from->compressed_size;
	to->diff_digest = from->diff_digest;
	to->diff_size = from->diff_size;
	to->toc_digest = from->toc_digest;
	to->compression = from->compression;
	to->uids = from->uids;
	to->gids = from->gids;
}

/* Renames what waits to its place below the layers' directory. ENOENT: done before, or there was nothing. */
static int end_waiting(const struct set *layers, int root, const char *waiting, const char *name,
                       cst_error **error)
{
	if (sys_renameat(root, waiting, layers->fd, name) < 0 && errno != ENOENT)
		return error_sys(error, errno, "rename %s %s/%s", waiting, layers->dir, name);
	return 0;
}

static int finish_data(const struct set *layers, int root, const cst_layer *described,
                       const char *key, const char *content, cst_error **error)
{
	_cleanup_free_ char *file = data_file_name(key);
	_cleanup_free_ char *name = file ? path_join(described->id, file) : NULL;
	_cleanup_free_ char *waiting =
	        file ? content_waiting_data(described->id, content, file) : NULL;
	if (!name || !waiting)
		return error_oom(error);
	if (!path_is_component(file) || !fs_exists(root, waiting))
		return 0;
	if (sys_mkdirat(layers->fd, described->id, 0700) < 0 && errno != EEXIST)
		return error_sys(error, errno, "mkdir %s/%s", layers->dir, described->id);
	int r = end_waiting(layers, root, waiting, name, error);
	return r == 0 ? fs_fsync_path(layers->fd, described->id, described->id, error) : r;
}

static int finish_files(const struct set *layers, int root, const cst_layer *described,
                        const char *content, cst_error **error)
{
	_cleanup_free_ char *name = str_printf("%s.tar-split.gz", described->id);
	_cleanup_free_ char *waiting = content_waiting_tarsplit(described->id, content);
	if (!name || !waiting)
		return error_oom(error);
	int r = end_waiting(layers, root, waiting, name, error);
	for (size_t i = 0; r == 0 && i < described->data_names.len; i++)
		r = finish_data(layers, root, described, described->data_names.items[i], content,
		                error);
	if (r == 0)
		r = fs_fsync_dir(layers->fd, layers->dir, error);
	return r < 0 ? r /* btrfs logs each directory for itself: the old name could come back */
	             : fs_fsync_path(root, "cstorage", layers->journal.dir, error);
}

int content_finish(cst_store *store, const cst_layer *described, const char *content,
                   cst_error **error)
{
	struct set *layers = &store->sets.layers;
	_cleanup_close_ int root = -1;
	int r = fs_open_dir(store->graph_root, &root, error);
	if (r == 0)
		r = finish_files(layers, root, described, content, error);
	if (r < 0)
		return r;
	cst_layer edited = *layer_table_get(layers->table, described->id);
	layer_take_digests(described, &edited);
	edited.metadata = described->metadata;
	edited.data_names = described->data_names;
	return record_put(layers, &edited, error);
}

/* ---- the rule ---- */

static bool parse_record(const struct intent *intent, struct arena *arena, cst_layer *ret)
{
	struct json_reader json;
	json_reader_init(&json, intent->record, strlen(intent->record), arena);
	_cleanup_(record_reader_free) struct record_reader reader = {.json = &json, .arena = arena};
	layer_read(&reader, ret);
	return json_ok(&json) && !reader.bad && streq(ret->id, intent->id);
}

static int remove_file(const cst_store *store, char *name, cst_error **error)
{
	_cleanup_free_ char *path = name ? path_join(store->graph_root, name) : NULL;
	free(name);
	if (!path)
		return error_oom(error);
	if (sys_unlinkat(AT_FDCWD, path, 0) < 0 && errno != ENOENT)
		return error_sys(error, errno, "unlink %s", path);
	return 0;
}

/* After a power cut a file may have both names, and then a rename does nothing. */
static int remove_waiting(const cst_store *store, const struct intent *intent,
                          const cst_layer *described, cst_error **error)
{
	int r = remove_file(store, content_waiting_tarsplit(intent->id, intent->content), error);
	for (size_t i = 0; r == 0 && i < described->data_names.len; i++) {
		_cleanup_free_ char *file = data_file_name(described->data_names.items[i]);
		if (!file)
			return error_oom(error);
		if (path_is_component(file))
			r = remove_file(store,
			                content_waiting_data(intent->id, intent->content, file),
			                error);
	}
	return r;
}

static bool is_inode(int dirfd, const char *path, uint64_t inode)
{
	struct stat st;
	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == inode;
}

/* The content of a mounted layer is in place from the beginning: the tar-split tells that the
 * archive was unpacked to its end. */
static int has_new_tarsplit(cst_store *store, const struct intent *intent, bool *ret,
                            cst_error **error)
{
	_cleanup_free_ char *waiting = content_waiting_tarsplit(intent->id, intent->content);
	_cleanup_free_ char *from = waiting ? path_join(store->graph_root, waiting) : NULL;
	_cleanup_free_ char *to = str_join(intent->id, ".tar-split.gz");
	if (!from || !to)
		return error_oom(error);
	*ret = is_inode(AT_FDCWD, from, intent->tarsplit_inode) ||
	       is_inode(store->sets.layers.fd, to, intent->tarsplit_inode);
	return 0;
}

/* Was the content replaced? An I/O error is no answer: to take it for "no" would leave the new
 * content with the old record. */
static int has_new_content(cst_store *store, const struct intent *intent, bool *ret,
                           cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	struct driver_identity now;
	int r = store->driver->ops->content_identity(store->driver, intent->id, &now, &problem);
	if (r < 0 && r != CST_ELAYER_UNKNOWN && cst_error_errno(problem) != ENOENT)
		return error_propagate(error, steal_ptr(&problem));
	*ret = r == 0 && streq(now.text, intent->content);
	return 0;
}

/* Where a replacement takes the driver several steps, it makes up its mind first. */
static int settle_content(cst_store *store, const struct intent *intent, struct trash *trash,
                          bool *done, cst_error **error)
{
	const struct driver_ops *ops = store->driver->ops;
	if (!layer_table_get(store->sets.layers.table, intent->id))
		return 0;
	int r = ops->replace_recover
	                ? ops->replace_recover(store->driver, intent->id, &trash->driver, error)
	                : 0;
	return r == 0 ? has_new_content(store, intent, done, error) : r;
}

int content_settle(cst_store *store, const struct intent *intent, struct trash *trash, bool *done,
                   cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	cst_layer described;
	bool parsed = parse_record(intent, &arena, &described);
	*done = false;
	int r = settle_content(store, intent, trash, done, error);
	if (r == 0 && *done)
		r = has_new_tarsplit(store, intent, done, error);
	if (r == 0 && *done && !parsed)
		return error_set(error, CST_ECORRUPT,
		                 "the announced record of layer %s cannot be understood",
		                 intent->id);
	if (r == 0 && *done)
		r = content_finish(store, &described, intent->content, error);
	if (r == 0 && *done)
		r = set_save(&store->sets.layers, error);
	if (!parsed)
		described.data_names = (struct strings){0};
	return r < 0 ? r : remove_waiting(store, intent, &described, error);
}
