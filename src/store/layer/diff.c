/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a layer changes: as a list, as a size, as the layer tar. Opened under the lock, read without
 * it: whoever takes a tar may be slow, or wait for that lock. Nobody is kept from deleting the
 * layer or applying a diff to it meanwhile; that then is the error, whatever was missed of its
 * files.
 */
#include "archive/tarsplit/tarsplit.h"
#include "base/digest.h"
#include "codec/compress.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include <errno.h>
#include <unistd.h>

/* A layer opened against another one. */
struct view {
	struct driver *driver;
	struct driver_view *driver_view;
	int tarsplit_fd;      /* -1: none, or not against the parent */
	struct stat tarsplit; /* zero: none */
	struct timestamp created;
	enum cst_compression compression;
	char *id, *diff_digest;
};

static void view_free(struct view *view)
{
	if (view->driver_view)
		view->driver->ops->view_close(view->driver_view);
	closep(&view->tarsplit_fd);
	free(view->id);
	free(view->diff_digest);
}
#define _cleanup_view_ _cleanup_(view_free)

static int open_tarsplit(const struct source *source, const char *id, int *ret, cst_error **error)
{
	_cleanup_free_ char *name = str_printf("%s.tar-split.gz", id);
	if (!name)
		return error_oom(error);
	_cleanup_close_ int fd =
	        openat(source->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s/%s", source->dir, name);
	int r = fd < 0 ? 0 : fs_must_be_regular(fd, name, error);
	if (r == 0)
		*ret = steal_fd(&fd);
	return r;
}

static void stat_tarsplit(int dir_fd, const char *id, struct stat *ret)
{
	_cleanup_free_ char *name = str_printf("%s.tar-split.gz", id);
	if (!name || fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		*ret = (struct stat){0};
}

static struct idmaps maps_of(const cst_layer *layer)
{
	if (!layer)
		return (struct idmaps){0};
	return (struct idmaps){
	        .uids = {.ranges = (cst_idmap *)layer->uid_map.items, .len = layer->uid_map.len},
	        .gids = {.ranges = (cst_idmap *)layer->gid_map.items, .len = layer->gid_map.len}};
}

static int view_open(cst_store *store, const char *from, const char *id, struct view *view,
                     cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	const cst_layer *layer = NULL, *base = NULL;
	struct source source;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = (layer = layer_find(store, id, &source))
		            ? 0
		            : error_about(error, CST_ELAYER_UNKNOWN, id);
	if (r == 0 && !isempty(from)) {
		base = layer_find(store, from, NULL);
		if (!base) /* nobody asks for its record there: the driver misses its directory */
			return store->driver->ops->missing(store->driver, from, false, error);
	}
	if (r < 0)
		return r;
	const char *parent = *layer->parent ? layer->parent : NULL;
	const char *against = base ? base->id : parent;
	view->driver = store->driver;
	view->compression = (enum cst_compression)layer->compression;
	view->created = layer->created;
	stat_tarsplit(source.fd, layer->id, &view->tarsplit);
	view->id = strdup(layer->id);
	view->diff_digest = strdup(layer->diff_digest);
	if (!view->id || !view->diff_digest)
		return error_oom(error);
	const cst_layer *below = against ? layer_get(store, against, NULL) : NULL;
	struct idmaps maps = maps_of(layer), from_maps = maps_of(below);
	struct driver_view_maps view_maps = {.maps = &maps, .from_maps = &from_maps};
	bool unmapped = false;
	r = store->driver->ops->supports_shifting(store->driver, &maps, &unmapped, error);
	if (r == 0)
		r = store->driver->ops->view_open(store->driver, layer->id, against,
		                                  unmapped ? NULL : &view_maps, &view->driver_view,
		                                  error);
	bool native = against == parent || (parent && against && streq(against, parent));
	if (r == 0 && native)
		r = open_tarsplit(&source, layer->id, &view->tarsplit_fd, error);
	return r;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Was a diff applied to the layer while this process read it? Whoever applies one also writes a new
 * tar-split. */
static int check_unchanged(cst_store *store, const struct view *view, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	struct source source;
	struct stat st;
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_get(store, view->id, &source);
	if (!layer || !timestamp_equal(&layer->created, &view->created))
		return error_wrap_code(error, CST_ELAYER_UNKNOWN,
		                       "the layer \"%s\" was deleted meanwhile", view->id);
	stat_tarsplit(source.fd, view->id, &st);
	return same_file(&st, &view->tarsplit)
	               ? 0
	               : error_set(error, CST_EINVAL,
	                           "the layer \"%s\" was changed while it was read", view->id);
}

/* Takes `problem`. */
static int explain(cst_store *store, const struct view *view, int code, cst_error **problem,
                   cst_error **error)
{
	if (code == 0 || code == CST_ECANCELED || code == CST_EIO_CALLBACK || !view->id)
		return code < 0 ? error_propagate(error, steal_ptr(problem)) : 0;
	int r = check_unchanged(store, view, error);
	return r < 0 ? r : error_propagate(error, steal_ptr(problem));
}

/* ---- changes and size ---- */

int cst_store_changes(cst_store *store, const char *from, const char *id, cst_changes **ret,
                      cst_error **error)
{
	_cleanup_view_ struct view view = {.tarsplit_fd = -1};
	_cleanup_error_ cst_error *problem = NULL;
	int r = view_open(store, from, id, &view, error);
	if (r < 0)
		return r;
	cst_changes *changes = new0(cst_changes, 1);
	if (!changes)
		return error_oom(error);
	r = store->driver->ops->view_changes(view.driver_view, changes, &problem);
	if (r < 0) {
		cst_changes_free(changes);
		return explain(store, &view, r, &problem, error);
	}
	*ret = changes;
	return 0;
}

int cst_store_diff_size(cst_store *store, const char *from, const char *id, int64_t *size,
                        cst_error **error)
{
	_cleanup_view_ struct view view = {.tarsplit_fd = -1};
	_cleanup_error_ cst_error *problem = NULL;
	int r = view_open(store, from, id, &view, error);
	if (r < 0)
		return r;
	r = store->driver->ops->view_size(view.driver_view, size, &problem);
	return explain(store, &view, r, &problem, error);
}

/* ---- the tar ---- */

/* A sink that hashes what goes by, to compare with the recorded digest at the end. */
struct checked {
	const cst_sink *next;
	struct digester *digester;
	const cst_progress *progress;
	uint64_t done;
};

static int report_progress(struct checked *checked, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state), .what = "diff", .bytes_done = checked->done};
	return progress_tell(checked->progress, &state, error);
}

static int checked_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	struct checked *checked = userdata;
	if (checked->digester)
		digester_update(checked->digester, data, size);
	checked->done += size;
	int r = report_progress(checked, error);
	return r == 0 ? sink_write(checked->next, data, size, error) : r;
}

static int open_content(void *userdata, const char *name, int64_t size, cst_error **error)
{
	const struct view *view = userdata;
	return view->driver->ops->view_open_content(view->driver_view, name, size, error);
}

static int check_digest(const struct view *view, struct checked *checked, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	if (!checked->digester)
		return 0;
	int r = digester_finish(checked->digester, digest, error);
	if (r == 0 && !streq(digest, view->diff_digest))
		return error_set(error, CST_ECORRUPT,
		                 "layer %s gives a diff with digest %s, but %s is recorded",
		                 view->id, digest, view->diff_digest);
	return r;
}

static int write_tar(struct view *view, const cst_sink *sink, const cst_progress *progress,
                     cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	struct checked checked = {.next = sink, .progress = progress};
	cst_sink through = {.write = checked_write, .userdata = &checked};
	int r;
	if (view->tarsplit_fd < 0)
		return view->driver->ops->view_diff(view->driver_view, &through, NULL, error);
	if (digest_is_sha256(view->diff_digest)) {
		r = digester_new(DIGEST_SHA256, &digester, error);
		if (r < 0)
			return r;
		checked.digester = digester;
	}
	r = tarsplit_reassemble(view->tarsplit_fd, open_content, view, &through, error);
	return r == 0 ? check_digest(view, &checked, error) : r;
}

struct packing {
	struct compressor *compressor;
};

static int packing_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	const struct packing *packing = userdata;
	return compressor_write(packing->compressor, data, size, error);
}

/* bzip2 and xz are only read: a layer imported so comes out plain unless another compression is
 * asked for. */
static enum cst_compression choose_compression(const struct view *view, int wanted)
{
	if (wanted >= 0)
		return (enum cst_compression)wanted;
	return view->compression == CST_BZIP2 || view->compression == CST_XZ ? CST_PLAIN
	                                                                     : view->compression;
}

static int write_packed(struct view *view, enum cst_compression compression, const cst_sink *sink,
                        const cst_progress *progress, cst_error **error)
{
	_cleanup_(compressor_freep) struct compressor *compressor = NULL;
	int r = compressor_new(compression, sink, &compressor, error);
	if (r < 0)
		return r;
	struct packing packing = {.compressor = compressor};
	r = write_tar(view, &(cst_sink){.write = packing_write, .userdata = &packing}, progress,
	              error);
	return r == 0 ? compressor_finish(compressor, error) : r;
}

int cst_store_diff(cst_store *store, const char *from, const char *id,
                   const cst_diff_options *given, const cst_sink *sink, cst_error **error)
{
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	_cleanup_view_ struct view view = {.tarsplit_fd = -1};
	_cleanup_error_ cst_error *problem = NULL;
	int r = options_take(&options, sizeof(options), given, "cst_diff_options", error);
	if (r == 0)
		r = view_open(store, from, id, &view, error);
	if (r < 0)
		return r;
	const cst_progress *progress = options.progress;
	enum cst_compression compression = choose_compression(&view, options.compression);
	r = compression == CST_PLAIN ? write_tar(&view, sink, progress, &problem)
	                             : write_packed(&view, compression, sink, progress, &problem);
	return explain(store, &view, r, &problem, error);
}

/* ---- the list, as callers see it ---- */

size_t cst_changes_size(const cst_changes *changes)
{
	return changes ? changes->len : 0;
}

const char *cst_changes_path(const cst_changes *changes, size_t index)
{
	return changes && index < changes->len ? changes->items[index].path : NULL;
}

int cst_changes_kind(const cst_changes *changes, size_t index)
{
	return changes && index < changes->len ? (int)changes->items[index].kind : CST_EINVAL;
}

void cst_changes_free(cst_changes *changes)
{
	if (!changes)
		return;
	for (size_t i = 0; i < changes->len; i++)
		free(changes->items[i].path);
	free(changes->items);
	free(changes);
}
