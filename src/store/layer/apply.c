/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying a layer tar to a layer that exists. The new content is built beside the old one, from a
 * copy of it, and takes its place by one exchange of names. What must follow, the tar-split and the
 * record, is announced with the identity of the new content and the inode of the new tar-split: an opener that
 * finds the one in place and the other waiting or in place finishes, one that does not undoes.
 *
 * From the copy to the exchange the layers are locked, as with the Go tools: what somebody else
 * applied, or wrote through a mount, in between would be lost. The archive may come from a pipe
 * whose other end needs that lock, so it is taken in before.
 *
 * A mounted layer is the exception, on drivers without mounts as well: somebody works in its
 * content, which changes in place, as with the Go tools, and a failure leaves what was unpacked so
 * far.
 */
#include "store/layer/apply.h"
#include "records/record_fields.h"
#include "store/layer/create.h"
#include <errno.h>
#include <unistd.h>

/* Where the new tar-split waits between announcement and exchange, below the graph root: in the
 * directory that only we look at, under a name of its own, since a dead process may have announced
 * one too. */
static char *waiting_tarsplit(const char *id, const char *content)
{
	return str_printf("cstorage/%s.%s.tar-split", id, content);
}

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

static int report_progress(const cst_progress *progress, uint64_t done, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state), .what = "import", .bytes_done = done};
	if (!progress || !progress->callback || !progress->callback(&state, progress->userdata))
		return 0;
	return error_code(error, CST_ECANCELED);
}

static int spool_all(const cst_source *diff, const cst_progress *progress, int to,
                     cst_error **error)
{
	const size_t size = 256 * 1024;
	_cleanup_free_ char *buffer = malloc(size);
	if (!buffer)
		return error_oom(error);
	for (uint64_t done = 0;;) {
		int r = report_progress(progress, done, error);
		if (r < 0)
			return r;
		int64_t n = source_read(diff, buffer, size, error);
		if (n <= 0)
			return (int)n;
		if (sys_pwrite_all(to, buffer, (size_t)n, (off_t)done) < 0)
			return error_sys(error, errno, "write a temporary file");
		done += (uint64_t)n;
	}
}

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
	return spool_all(diff, progress, applied->spool, error);
}

/* ---- under the lock ---- */

static int copy_record(cst_store *store, const char *id, struct applied *applied, cst_error **error)
{
	const cst_layer *layer = layer_table_find(store->layers.table, id);
	if (!layer)
		return error_code(error, CST_ELAYER_UNKNOWN);
	applied->in_place = layer->mount_count > 0;
	if (!layer_copy(&applied->arena, layer, &applied->record))
		return error_oom(error);
	applied->maps.uids = (struct idmap){.ranges = (cst_idmap *)applied->record.uid_map.items,
	                                    .len = applied->record.uid_map.len};
	applied->maps.gids = (struct idmap){.ranges = (cst_idmap *)applied->record.gid_map.items,
	                                    .len = applied->record.gid_map.len};
	return 0;
}

/* The tar-split takes its place and the record is saved. L w held. */
static int finish_apply(cst_store *store, const cst_layer *described, const char *content,
                        cst_error **error)
{
	struct record_set *table = store->layers.table;
	_cleanup_free_ char *name = str_printf("%s.tar-split.gz", described->id);
	_cleanup_free_ char *waiting = waiting_tarsplit(described->id, content);
	_cleanup_close_ int root = -1;
	int r = name && waiting ? fs_open_dir(store->graph_root, &root, error) : error_oom(error);
	if (r < 0)
		return r;
	if (sys_renameat(root, waiting, store->layers.fd, name) < 0 &&
	    errno != ENOENT) /* ENOENT: done before */
		return error_sys(error, errno, "rename %s %s/%s", waiting, store->layers.dir, name);
	r = fs_fsync_dir(store->layers.fd, store->layers.dir, error);
	if (r == 0) /* btrfs logs each directory for itself: the old name could come back */
		r = fs_fsync_path(root, "cstorage", store->layer_journal.dir, error);
	if (r < 0)
		return r;
	cst_layer edited = *layer_table_get(table, described->id);
	layer_take_digests(described, &edited);
	return record_set_replace(table, &edited) ? layers_save(store, error) : error_oom(error);
}

static int announce(cst_store *store, struct applied *applied, struct intents *intents,
                    cst_error **error)
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
	if (fstatat(applied->metadata->fd, TARSPLIT_STAGED, &tarsplit, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "stat the new tar-split of layer %s",
		                 applied->record.id);
	struct intent intent = {
	        .kind = CST_KIND_LAYER,
	        .id = applied->record.id,
	        .content = applied->content.text,
	        .tarsplit_inode = tarsplit.st_ino,
	        .record = strbuf_str(&record),
	};
	intents_add(intents, &intent);
	intents->failed = intents->failed || record.failed;
	return journal_begin(&store->layer_journal, intents, error);
}

static int stage_waiting_tarsplit(cst_store *store, const struct applied *applied,
                                  cst_error **error)
{
	_cleanup_free_ char *name = waiting_tarsplit(applied->record.id, applied->content.text);
	_cleanup_free_ char *path = name ? path_join(store->graph_root, name) : NULL;
	if (!path)
		return error_oom(error);
	if (sys_renameat(applied->metadata->fd, TARSPLIT_STAGED, AT_FDCWD, path) < 0)
		return error_sys(error, errno, "rename %s %s", TARSPLIT_STAGED, path);
	_cleanup_close_ int dir = -1;
	int r = fs_open_dir(store->layer_journal.dir, &dir, error);
	return r == 0 ? fs_fsync_dir(dir, path, error) : r;
}

static int commit_applied(cst_store *store, struct applied *applied, struct trash *trash,
                          cst_error **error)
{
	_cleanup_intents_ struct intents intents = {0};
	int r = announce(store, applied, &intents, error);
	if (r < 0)
		return r;
	r = stage_waiting_tarsplit(store, applied, error);
	if (r == 0 && !applied->in_place)
		r = applied->driver->ops->stage_replace(applied->staged, applied->record.id,
		                                        store->driver->sync_content, error);
	if (r == 0)
		r = finish_apply(store, &applied->record, applied->content.text, error);
	if (r == 0)
		journal_end_durably(&store->layer_journal);
	else /* finished if the names were exchanged all the same, else as if it had not begun */
		journal_settle(store, &store->layer_journal, &intents, SETTLE_LAYERS, trash);
	return r;
}

static bool parse_record(const struct intent *intent, struct arena *arena, cst_layer *ret)
{
	struct json_reader json;
	json_reader_init(&json, intent->record, strlen(intent->record), arena);
	_cleanup_(record_reader_free) struct record_reader reader = {.json = &json, .arena = arena};
	layer_read(&reader, ret);
	return json_ok(&json) && !reader.bad && streq(ret->id, intent->id);
}

/* After a power cut the file may have both names, and then a rename does nothing. */
static int remove_waiting(cst_store *store, const struct intent *intent, cst_error **error)
{
	_cleanup_free_ char *name = waiting_tarsplit(intent->id, intent->content);
	_cleanup_free_ char *path = name ? path_join(store->graph_root, name) : NULL;
	if (!path)
		return error_oom(error);
	if (sys_unlinkat(AT_FDCWD, path, 0) < 0 && errno != ENOENT)
		return error_sys(error, errno, "unlink %s", path);
	return 0;
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
	_cleanup_free_ char *waiting = waiting_tarsplit(intent->id, intent->content);
	_cleanup_free_ char *from = waiting ? path_join(store->graph_root, waiting) : NULL;
	_cleanup_free_ char *to = str_join(intent->id, ".tar-split.gz");
	if (!from || !to)
		return error_oom(error);
	*ret = is_inode(AT_FDCWD, from, intent->tarsplit_inode) ||
	       is_inode(store->layers.fd, to, intent->tarsplit_inode);
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

int apply_recover(cst_store *store, const struct intent *intent, cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	cst_layer described;
	bool done = false;
	int r = layer_table_get(store->layers.table, intent->id)
	                ? has_new_content(store, intent, &done, error)
	                : 0;
	if (r == 0 && done)
		r = has_new_tarsplit(store, intent, &done, error);
	if (r == 0 && done && !parse_record(intent, &arena, &described))
		return error_set(error, CST_ECORRUPT,
		                 "the announced record of layer %s cannot be understood",
		                 intent->id);
	if (r == 0 && done)
		r = finish_apply(store, &described, intent->content, error);
	return r < 0 ? r : remove_waiting(store, intent, error);
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

static int unpack_spooled(cst_store *store, struct applied *applied, const cst_progress *progress,
                          cst_error **error)
{
	const cst_source spooled = cst_source_fd(applied->spool);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	options.progress = progress;
	if (lseek(applied->spool, 0, SEEK_SET) < 0)
		return error_sys(error, errno, "seek in a temporary file");
	return layer_unpack(store, applied->driver, applied->staged, &options, &spooled,
	                    applied->metadata, &applied->arena, &applied->record, error);
}

static int apply(cst_store *store, const char *id, const cst_progress *progress,
                 struct applied *applied, cst_error **error)
{
	_cleanup_trash_ struct trash trash = {0};
	_cleanup_layers_write_ cst_store *layers = NULL;
	int r = layers_write(store, &layers, error);
	if (r == 0)
		r = copy_record(store, id, applied, error);
	if (r == 0)
		r = stage_target(store, applied, error);
	if (r == 0)
		r = unpack_spooled(store, applied, progress, error);
	if (r == 0)
		r = applied->driver->ops->stage_sync(applied->staged, error);
	return r == 0 ? commit_applied(store, applied, &trash, error) : r;
}

/* An early answer: an archive may be long. */
static int precheck(cst_store *store, const char *id, cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	int r = layers_read(store, &layers, error);
	return r == 0 && !layer_table_find(store->layers.table, id)
	               ? error_code(error, CST_ELAYER_UNKNOWN)
	               : r;
}

int cst_store_apply_diff(cst_store *store, const char *id, const cst_source *diff,
                         const cst_progress *progress, cst_error **error)
{
	_cleanup_(applied_free) struct applied applied = {.driver = store->driver, .spool = -1};
	int r = store->read_only ? error_code(error, CST_ESTORE_READ_ONLY)
	                         : precheck(store, id, error);
	if (r == 0)
		r = take_in(store, diff, progress, &applied, error);
	return r == 0 ? apply(store, id, progress, &applied, error) : r;
}
