/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and reads a layer compared with another one, and finds out whether it changed meanwhile. */
#include "store/layer/view.h"
#include "archive/tarsplit/tarsplit.h"
#include "base/digest.h"
#include "codec/plain_source.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

void layer_view_done(struct layer_view *view)
{
	if (view->driver_view)
		view->driver->ops->view_close(view->driver_view);
	closep(&view->tarsplit_fd);
	free(view->id);
	free(view->diff_digest);
	free(view->compressed_digest);
	free(view->foreign);
}

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

int layer_view_open(cst_store *store, const char *from, const char *id, struct layer_view *view,
                    cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	const cst_layer *layer = NULL, *base = NULL;
	struct source source;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		layer = layer_find(store, id, &source);
	if (r == 0 && !layer)
		r = error_about(error, CST_ELAYER_UNKNOWN, id);
	if (r == 0 && !isempty(from)) {
		base = layer_find(store, from, NULL);
		if (!base) /* the Go tools do not look for its record: the driver misses its directory */
			return store->driver->ops->missing(store->driver, from, false, error);
	}
	if (r < 0)
		return r;
	const char *parent = *layer->parent ? layer->parent : NULL;
	const char *against = base ? base->id : parent;
	view->driver = store->driver;
	view->compression = (enum cst_compression)layer->compression;
	view->created = layer->created;
	view->diff_size = layer->diff_size;
	view->in_parts = *layer->toc_digest;
	view->compressed_size = layer->compressed_size;
	stat_tarsplit(source.fd, layer->id, &view->tarsplit);
	view->id = strdup(layer->id);
	view->diff_digest = strdup(layer->diff_digest);
	view->compressed_digest = strdup(layer->compressed_digest);
	if (!view->id || !view->diff_digest || !view->compressed_digest)
		return error_oom(error);
	const cst_layer *below = against ? layer_get(store, against, NULL) : NULL;
	struct idmaps maps = layer_maps(layer), from_maps = layer_maps(below);
	struct driver_view_maps view_maps = {.maps = &maps, .from_maps = &from_maps};
	bool unmapped = idmaps_equal(&maps, NULL) && idmaps_equal(&from_maps, NULL);
	if (!unmapped) /* only now, because finding out may take room on the disk */
		r = store->driver->ops->supports_shifting(store->driver, &maps, &unmapped, error);
	if (r == 0)
		r = store->driver->ops->view_open(store->driver, layer->id, against,
		                                  unmapped ? NULL : &view_maps, &view->driver_view,
		                                  error);
	bool native = against == parent || (parent && against && streq(against, parent));
	if (r == 0 && native)
		r = open_tarsplit(&source, layer->id, &view->tarsplit_fd, error);
	if (r == 0 && native && view->tarsplit_fd < 0 && store->driver->ops->foreign_of)
		r = store->driver->ops->foreign_of(store->driver, layer->id, &view->foreign, error);
	return r;
}

int layer_view_open_unrecorded(cst_store *store, const char *id, const char *parent,
                               struct layer_view *view, cst_error **error)
{
	const struct set *layers = &store->sets.layers;
	const struct source source = {.fd = layers->fd, .dir = layers->dir};
	view->driver = store->driver;
	stat_tarsplit(source.fd, id, &view->tarsplit);
	view->id = strdup(id);
	view->diff_digest = strdup("");
	if (!view->id || !view->diff_digest)
		return error_oom(error);
	int r = store->driver->ops->view_open(store->driver, id, *parent ? parent : NULL, NULL,
	                                      &view->driver_view, error);
	return r == 0 ? open_tarsplit(&source, id, &view->tarsplit_fd, error) : r;
}

/* Did another process apply a diff to the layer while this one read it? Whoever applies a diff
 * writes a new tar-split too. */
static int check_unchanged(cst_store *store, const struct layer_view *view, cst_error **error)
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
	return fs_same_content(&st, &view->tarsplit)
	               ? 0
	               : error_set(error, CST_EINVAL,
	                           "the layer \"%s\" was changed while it was read", view->id);
}

int layer_view_explain(cst_store *store, const struct layer_view *view, int code,
                       cst_error **problem, cst_error **error)
{
	if (code == 0 || code == CST_ECANCELED || code == CST_EIO_CALLBACK || !view->id)
		return code < 0 ? error_propagate(error, steal_ptr(problem)) : 0;
	int r = check_unchanged(store, view, error);
	return r < 0 ? r : error_propagate(error, steal_ptr(problem));
}

/* Of what the driver tells of a layer. */
static const char *content_directory(const struct strv *paths)
{
	for (size_t i = 0; i + 1 < paths->len; i += 2)
		if (streq(paths->items[i], "UpperDir") || streq(paths->items[i], "Directory"))
			return paths->items[i + 1];
	return "";
}

/* The driver speaks of a file of the layer; which layer that is, and where it is, a user needs to know, too. */
static int open_content(void *userdata, const char *name, int64_t size, cst_error **error)
{
	const struct layer_view *view = userdata;
	const struct driver_ops *ops = view->driver->ops;
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_strv_ struct strv paths = {0};
	int fd = ops->view_open_content(view->driver_view, name, size, &problem);
	if (fd >= 0)
		return fd;
	const char *directory = "";
	if (cst_error_errno(problem) == ENOENT &&
	    ops->paths(view->driver, view->id, &paths, NULL) == 0)
		directory = content_directory(&paths);
	_cleanup_free_ char *clean = path_clean(name);
	if (!*directory || !clean) {
		(void)error_propagate(error, steal_ptr(&problem));
		return -1;
	}
	error_sys(error, ENOENT, "open %s/%s", directory, clean);
	return -1;
}

/* `size`: bytes that it must not exceed, since a store may give without end; 0 or -1: unknown. */
static int pump(const cst_source *source, int64_t size, struct digester *digester,
                const cst_sink *sink, cst_error **error)
{
	char buffer[64 * 1024];
	int64_t n, done = 0;
	int r = 0;
	while (r == 0 && (n = source->read(source->userdata, buffer, sizeof(buffer), error)) != 0) {
		if (n < 0)
			return (int)n;
		done += n;
		if (size > 0 && done > size)
			return error_set(
			        error, CST_ECORRUPT,
			        "the blob in the additional layer store is longer than the %" PRId64
			        " bytes that are recorded",
			        size);
		if (digester)
			digester_update(digester, buffer, (size_t)n);
		r = sink_write(sink, buffer, (size_t)n, error);
	}
	return r;
}

int layer_view_write_blob(const struct layer_view *view, struct digester *digester,
                          const cst_sink *sink, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = view->driver->ops->foreign_blob(view->foreign, &fd, error);
	const cst_source blob = cst_source_fd(fd);
	return r == 0 ? pump(&blob, view->compressed_size, digester, sink, error) : r;
}

/* What the blob holds. */
static int write_unpacked(const struct layer_view *view, struct digester *digester,
                          const cst_sink *sink, cst_error **error)
{
	_cleanup_(plain_source_freep) struct plain_source *plain = NULL;
	_cleanup_close_ int fd = -1;
	int r = view->driver->ops->foreign_blob(view->foreign, &fd, error);
	const cst_source blob = cst_source_fd(fd);
	if (r == 0)
		r = plain_source_new(&blob, &plain, error);
	const cst_source unpacked = {.read = plain_source_read, .userdata = plain};
	return r == 0 ? pump(&unpacked, view->diff_size, digester, sink, error) : r;
}

int layer_view_write_tar(struct layer_view *view, unsigned threads, struct digester *digester,
                         const cst_sink *sink, cst_error **error)
{
	if (view->foreign)
		return write_unpacked(view, digester, sink, error);
	if (view->tarsplit_fd < 0)
		return view->driver->ops->view_diff(view->driver_view, sink, NULL, error);
	const struct tarsplit_reading reading = {.open_file = open_content,
	                                         .userdata = view,
	                                         .threads = threads,
	                                         .digester = digester};
	return tarsplit_reassemble(view->tarsplit_fd, &reading, sink, error);
}
