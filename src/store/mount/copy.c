/* SPDX-License-Identifier: Apache-2.0 */
/* Copies files into layers, out of them and between them. A layer is mounted while that takes, and
 * its paths are resolved inside of it: neither ".." nor a symlink leads out
 * (docs/format/archive.md, "CLI copy"). */
#include "archive/pack/pack.h"
#include "archive/tree/copy_into.h"
#include "archive/tree/need_directory.h"
#include "base/log.h"
#include "driver/rootless.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include <errno.h>

/* One end of a copy. */
struct place {
	cst_store *store;
	char *layer; /* ID; NULL: the caller's file system */
	char *mount; /* where it is mounted, NULL until it is */
	char *label;
	struct timestamp created; /* of the layer: another one may get its ID */
	struct idmaps maps;
	int root;    /* of the layer, -1: the caller's file system */
	char *path;  /* below root, absolute and clean; or as the caller gave it */
	char *shown; /* the path as messages have it */
};
#define PLACE_INIT         \
	{                  \
		.root = -1 \
	}

/* False if another process unmounted the layer. What is mounted there now, if anything, belongs to
 * that process. */
static bool is_mounted_still(const struct place *place)
{
	struct stat held, now;
	return fstat(place->root, &held) == 0 && stat(place->mount, &now) == 0 &&
	       held.st_dev == now.st_dev && held.st_ino == now.st_ino;
}

static void place_close(struct place *place)
{
	bool ours = place->mount && (place->root < 0 || is_mounted_still(place));
	closep(&place->root); /* before the unmount, which it would keep from happening */
	if (ours) {
		_cleanup_error_ cst_error *problem = NULL;
		int r = cst_store_unmount(place->store, place->layer, false, NULL, &problem);
		if (r < 0 && r != CST_ELAYER_UNKNOWN) /* deleted meanwhile is unmounted */
			log_error("error unmounting layer \"%s\": %s", place->layer,
			          cst_error_message(problem));
	}
	idmaps_free(&place->maps);
	free(place->layer);
	free(place->mount);
	free(place->label);
	free(place->path);
	free(place->shown);
}
#define _cleanup_place_ _cleanup_(place_close)

/* ---- opening ---- */

/* Up to 1.63, on a driver that maps ids when it mounts, only the container's own record had its
 * maps. */
static int place_maps(cst_store *store, const cst_layer *layer, struct place *place,
                      cst_error **error)
{
	const struct idranges *uids = &layer->uid_map, *gids = &layer->gid_map;
	_cleanup_hold_ struct hold held = {0};
	const cst_container *container = NULL;
	if (!uids->len && !gids->len) {
		int r = hold_read(store, CST_KIND_CONTAINER, &held, error);
		if (r < 0)
			return r;
		container = container_table_by_layer(store->sets.containers.table, layer->id);
	}
	if (container) {
		uids = &container->uid_map;
		gids = &container->gid_map;
	}
	if (!idmap_copy(&place->maps.uids, uids->items, uids->len) ||
	    !idmap_copy(&place->maps.gids, gids->items, gids->len))
		return error_oom(error);
	return 0;
}

/* Finds the layer, which stays as long as *held. `made`: only the layer made at that time, not
 * another that got its ID (NULL: any). */
static int hold_layer(cst_store *store, const char *id, const struct timestamp *made,
                      struct hold *held, cst_error **error)
{
	int r = item_hold(store, CST_KIND_LAYER, id, held, error);
	if (r == 0 && made && !timestamp_equal(&((const cst_layer *)held->item)->created, made))
		r = error_about(error, CST_ELAYER_UNKNOWN, id);
	return r < 0 ? error_go_prefix(error, r, "error finding layer \"%s\"", id) : 0;
}

static int find_layer(cst_store *store, const char *id, struct place *place, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_layer(store, id, NULL, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layers.item;
	place->layer = strdup(layer->id);
	place->label = strdup(layer->mount_label);
	place->created = layer->created;
	if (!place->layer || !place->label)
		return error_oom(error);
	return place_maps(store, layer, place, error);
}

static int mount_layer(cst_store *store, struct place *place, cst_error **error)
{
	cst_mount_options options = CST_MOUNT_OPTIONS_INIT;
	options.label = place->label;
	place->store = store;
	_cleanup_close_ int mount = -1;
	int r = cst_store_mount(store, place->layer, &options, &place->mount, error);
	if (r == 0)
		r = cst_store_mount_fd(store, place->layer, &mount, error);
	if (r == 0) {
		place->root = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = place->root < 0 ? error_sys(error, errno, "open %s", place->mount) : 0;
	}
	return r < 0 ? error_prefix(error, r, "error mounting layer \"%s\"", place->layer) : 0;
}

static int place_open(cst_store *store, const cst_copy_place *given, struct place *place,
                      cst_error **error)
{
	const char *path = strempty(given->path);
	if (isempty(given->layer)) {
		place->path = strdup(path);
		place->shown = strdup(path);
		return place->path && place->shown ? 0 : error_oom(error);
	}
	int r = find_layer(store, given->layer, place, error);
	if (r == 0)
		r = mount_layer(store, place, error);
	if (r < 0)
		return r;
	_cleanup_free_ char *absolute = path_join("/", path),
	                    *clean = absolute ? path_clean(absolute) : NULL,
	                    *joined = clean ? path_join(place->mount, clean) : NULL;
	place->shown = joined ? path_clean(joined) : NULL;
	place->path = steal_ptr(&clean);
	return place->shown ? 0 : error_oom(error);
}

/* ---- directories of the target ---- */

static const struct idmaps *maps_of(const struct place *place)
{
	return place->maps.uids.len || place->maps.gids.len ? &place->maps : NULL;
}

/* Directories that are missing belong to root in the container. */
static int new_directory_owner(const struct place *target, struct new_directory *directory,
                               cst_error **error)
{
	directory->chown = maps_of(target) != NULL;
	return directory->chown
	               ? idmaps_root(&target->maps, &directory->uid, &directory->gid, error)
	               : 0;
}

/* ---- one source ---- */

struct copy_job {
	const cst_copy_options *given;
	const struct place *source, *target;
	bool measure;
	struct copy_into_options options;
};

/* The text around the error is the Go command's. */
static int wrap_error(int r, cst_error **error)
{
	if (r == 0 || r == CST_ECANCELED || r == CST_ENOMEM)
		return r;
	return error && *error
	               ? error_go_words(error, r, NULL,
	                                "unpacking failed (error: exit status 1; output: %s)",
	                                cst_error_go_message(*error))
	               : r;
}

/* Opens the directory for the content of a copied directory. If it is new, it has the owner that
 * all copies get. */
static int need_target(const struct copy_job *job, int *ret, cst_error **error)
{
	struct new_directory new = {.mode = 0755};
	int r = new_directory_owner(job->target, &new, error);
	if (r == 0 && job->options.chown) {
		new.chown = true;
		r = copy_into_owner(&job->options, &new.uid, &new.gid, error);
	}
	return r == 0 ? need_directory(job->target->root, job->target->mount, job->target->path,
	                               &new, ret, error)
	              : r;
}

static int copy_directory(const struct copy_job *job, int source, cst_error **error)
{
	_cleanup_close_ int to = -1, readable = -1,
	                    from = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return error_sys(error, errno, "open %s", job->source->shown);
	int r = need_target(job, &to, error);
	if (r < 0)
		return r;
	readable = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (readable < 0)
		return error_sys(error, errno, "open %s", job->target->shown);
	return wrap_error(copy_into(from, readable, &job->options, error), error);
}

/* Copies the link into the target directory, as the Go tools do. */
static int copy_directory_link(const struct copy_job *job, int link, cst_error **error)
{
	_cleanup_close_ int to = -1;
	int r = need_target(job, &to, error);
	return r == 0 ? wrap_error(copy_file_into(link, to, path_base(job->source->path), false,
	                                          &job->options, error),
	                           error)
	              : r;
}

/* If a target path of the caller's ends in "/", it is the directory that the file goes into. */
static int file_target(const struct copy_job *job, char **parent, char **name, cst_error **error)
{
	const char *path = job->target->path, *base = "";
	if (job->target->root < 0 && has_suffix(path, "/")) {
		*parent = strdup(path);
		base = path_base(job->source->shown);
	} else {
		*parent = parent_path(path, &base);
	}
	*name = strndup(base, strcspn(base, "/"));
	if (!*parent || !*name)
		return error_oom(error);
	return path_is_component(*name)
	               ? 0
	               : wrap_error(error_set(error, CST_EINVAL,
	                                      "cannot overwrite directory \"/%s\" with "
	                                      "non-directory \"/\"",
	                                      path_base(job->target->shown)),
	                            error);
}

static int copy_file(const struct copy_job *job, int source, cst_error **error)
{
	struct new_directory new = {.mode = 0700};
	_cleanup_free_ char *parent = NULL, *name = NULL;
	_cleanup_close_ int to = -1;
	int r = file_target(job, &parent, &name, error);
	if (r == 0)
		r = new_directory_owner(job->target, &new, error);
	if (r == 0)
		r = need_directory(job->target->root, job->target->mount, parent, &new, &to, error);
	return r == 0 ? wrap_error(copy_file_into(source, to, name, true, &job->options, error),
	                           error)
	              : r;
}

/* Counts bytes for the progress only. What cannot be read is not counted. */
static uint64_t measure(int source, const struct stat *st)
{
	if (!S_ISDIR(st->st_mode))
		return (uint64_t)st->st_size;
	int64_t bytes = 0, inodes = 0;
	_cleanup_close_ int fd = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && usage_tree(fd, &bytes, &inodes, NULL) == 0 ? (uint64_t)bytes : 0;
}

static int copy_source(struct copy_job *job, cst_error **error)
{
	const struct place *source = job->source;
	struct stat st;
	_cleanup_close_ int fd = open_in_tree(source->root, source->path, O_PATH), link = -1;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat %s", source->shown);
	if (job->measure)
		job->options.total = measure(fd, &st);
	if (!S_ISDIR(st.st_mode))
		return copy_file(job, fd, error);
	link = open_in_tree(source->root, source->path, O_PATH | O_NOFOLLOW);
	if (link < 0 || fstat(link, &st) < 0)
		return error_sys(error, errno, "lstat %s", source->shown);
	return S_ISLNK(st.st_mode) ? copy_directory_link(job, link, error)
	                           : copy_directory(job, fd, error);
}

/* ---- what others did meanwhile ---- */

/* Another process can delete the layer, or unmount it and change its content, while this one
 * copies. Then that is the error, whatever failed about its files. Returns that, or `r`. */
static int check_still_there(int r, cst_store *store, const struct place *place, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_error_ cst_error *problem = NULL;
	if (r == CST_ECANCELED || !place->layer)
		return r;
	int gone = hold_layer(store, place->layer, &place->created, &layers, &problem);
	if (gone == 0 && place->root >= 0 && !is_mounted_still(place))
		gone = error_wrap_code(&problem, CST_ELAYER_NOT_MOUNTED,
		                       "the layer \"%s\" was unmounted meanwhile", place->layer);
	if (gone == 0)
		return r;
	if (error)
		cst_error_free(steal_ptr(error));
	return error_propagate(error, steal_ptr(&problem));
}

/* ---- all of it ---- */

static int copy_from(cst_store *store, const cst_copy_place *given, const struct place *target,
                     const cst_copy_options *options, cst_error **error)
{
	_cleanup_place_ struct place source = PLACE_INIT;
	int r = place_open(store, given, &source, error);
	if (r < 0)
		return r;
	struct copy_job job = {
	        .source = &source,
	        .target = target,
	        .measure = options->measure && options->progress,
	        .options =
	                {
	                        .from_maps = maps_of(&source),
	                        .to_maps = maps_of(target),
	                        .chown = options->chown,
	                        .uid = options->uid,
	                        .gid = options->gid,
	                        .skip_devices = driver_is_rootless(),
	                        .progress = options->progress,
	                },
	};
	r = copy_source(&job, error);
	if (r < 0)
		error_prefix(error, r, "error copying \"%s\" to \"%s\"", source.shown,
		             target->shown);
	/* A directory that was removed meanwhile looks empty, so nothing fails: check. */
	return check_still_there(r, store, &source, error);
}

/* The root of an overlay mount does not tell that a file could not be written: its file system counts such errors by itself. That
 * of the layers does, to a descriptor that was open before. */
static int sync_copies(const struct place *to, int layers, cst_error **error)
{
	if (sys_syncfs(to->root) < 0 || sys_syncfs(layers) < 0)
		return error_sys(error, errno, "syncfs %s", to->mount);
	return 0;
}

static int copy_all(cst_store *store, const cst_copy_place *sources, size_t n_sources,
                    const cst_copy_place *target, const cst_copy_options *options, struct place *to,
                    cst_error **error)
{
	_cleanup_close_ int layers = -1;
	int r = place_open(store, target, to, error);
	bool syncs = r == 0 && to->root >= 0 && store->driver->sync_content;
	if (syncs)
		r = fs_open_dir(store->driver->home, &layers, error);
	for (size_t i = 0; r == 0 && i < n_sources; i++)
		r = copy_from(store, &sources[i], to, options, error);
	return r == 0 && syncs ? sync_copies(to, layers, error) : r;
}

int cst_store_copy(cst_store *store, const cst_copy_place *sources, size_t n_sources,
                   const cst_copy_place *target, const cst_copy_options *given, cst_error **error)
{
	cst_copy_options options = CST_COPY_OPTIONS_INIT;
	_cleanup_place_ struct place to = PLACE_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_copy_options", error);
	if (r < 0)
		return r;
	r = copy_all(store, sources, n_sources, target, &options, &to, error);
	return r < 0 ? check_still_there(r, store, &to, error) : 0;
}
