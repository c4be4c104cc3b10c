/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfs: every layer is a full copy of its parent with its own changes applied, <home>/dir/<id>. No
 * mounts, works everywhere, costs the space (unless the filesystem shares blocks: the copy asks for
 * that). Built in <home>/tempdirs and renamed into place (docs/format/drivers.md, "vfs").
 */
#include "archive/tree/copy.h"
#include "archive/tree/rechown.h"
#include "base/fs.h"
#include "driver/naive.h"
#include "lock/tempdir.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

#define CONTENT "0-addition" /* of a staging directory, named as the Go tools do */

/* The graph root's home, and that of a split image store, where read-only layers go. */
struct vfs_home {
	char *path, *dir_path, *tempdirs;
	int dir_fd; /* <home>/dir */
};
#define MAX_HOMES 2

struct vfs {
	struct driver base;
	struct vfs_home homes[MAX_HOMES];
	size_t n_homes;
	bool ignore_chown_errors;
	struct strv image_stores; /* read-only graph roots whose layers may be parents */
};

struct driver_staged {
	struct vfs *vfs;
	const struct vfs_home *home;
	struct tempdir *area;
	int fd; /* of area/CONTENT */
};

struct driver_view {
	int new_fd, old_fd; /* old_fd -1: nothing below */
	struct idmaps maps, from_maps;
};

static struct vfs *vfs_of(struct driver *d)
{
	return (struct vfs *)d;
}

/* ---- opening ---- */

static void vfs_close(struct driver *d)
{
	struct vfs *vfs = vfs_of(d);
	for (size_t i = 0; i < vfs->n_homes; i++) {
		closep(&vfs->homes[i].dir_fd);
		free(vfs->homes[i].path);
		free(vfs->homes[i].dir_path);
		free(vfs->homes[i].tempdirs);
	}
	strv_free(&vfs->image_stores);
	free(d->home);
	free(d->run_home);
	free(vfs);
}

static void vfs_closep(struct vfs **vfs)
{
	if (*vfs)
		vfs_close(&(*vfs)->base);
}

static bool parse_bool(const char *value, bool *ret)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"},
	                         *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (streq(value, yes[i]) || streq(value, no[i])) {
			*ret = streq(value, yes[i]);
			return true;
		}
	}
	return false;
}

static int apply_option(struct vfs *vfs, const char *option, const char *key, const char *value,
                        cst_error **error)
{
	if (streq(key, "imagestore") || streq(key, "additionalimagestore"))
		return strv_split(&vfs->image_stores, value, ',') ? 0 : error_oom(error);
	if (streq(key, "ignore_chown_errors")) {
		if (parse_bool(value, &vfs->ignore_chown_errors))
			return 0;
		return error_set(error, CST_EINVAL,
		                 "strconv.ParseBool: parsing \"%s\": invalid syntax", value);
	}
	if (streq(key, "sync")) { /* a Go tool refuses what its own configuration hands it */
		vfs->base.sync_content = !streq(value, "none");
		return 0;
	}
	if (streq(key, "mountopt"))
		return error_set(error, CST_EINVAL, "vfs driver does not support mount options");
	return error_set(error, CST_EINVAL, "unknown option \"%s\" (\"%s\")", key, option);
}

static int parse_options(struct vfs *vfs, const struct driver_config *config, cst_error **error)
{
	vfs->base.sync_content = true;
	for (size_t i = 0; i < config->n_options; i++) {
		_cleanup_free_ char *key = NULL, *value = NULL;
		bool skip = false;
		int r = driver_parse_option("vfs", config->options[i], &key, &value, &skip, error);
		if (r == 0 && !skip)
			r = apply_option(vfs, config->options[i], key, value, error);
		if (r < 0)
			return r;
	}
	return 0;
}

static char *layers_path(const char *graph_root)
{
	return path_join(graph_root, "vfs/dir");
}

static bool home_is_missing(const char *root)
{
	_cleanup_free_ char *path = layers_path(root);
	return !path || !fs_exists(AT_FDCWD, path);
}

static int make_home(const struct vfs_home *home, cst_error **error)
{
	if (fs_exists(AT_FDCWD, home->dir_path))
		return 0;
	int r = fs_mkdir_p(home->dir_path, 0700, error);
	_cleanup_close_ int fd = -1, root = -1;
	if (r == 0)
		r = fs_open_dir(home->path, &fd, error);
	if (r < 0)
		return r;
	root = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fs_fsync_dir(fd, home->path, error);
	return r == 0 && root >= 0 ? fs_fsync_dir(root, home->path, error) : r;
}

static int open_home(struct vfs *vfs, const char *root, bool read_only, cst_error **error)
{
	struct vfs_home *home = &vfs->homes[vfs->n_homes++];
	*home = (struct vfs_home){
	        .path = path_join(root, "vfs"),
	        .dir_path = layers_path(root),
	        .tempdirs = path_join(root, "vfs/tempdirs"),
	        .dir_fd = -1,
	};
	if (!home->path || !home->dir_path || !home->tempdirs)
		return error_oom(error);
	int r = read_only ? 0 : make_home(home, error);
	return r == 0 ? fs_open_dir(home->dir_path, &home->dir_fd, error) : r;
}

static int vfs_open(const struct driver_config *config, struct driver **ret, cst_error **error)
{
	_cleanup_(vfs_closep) struct vfs *vfs = new0(struct vfs, 1);
	if (!vfs)
		return error_oom(error);
	vfs->base.ops = &vfs_driver;
	vfs->base.home = path_join(config->graph_root, "vfs");
	vfs->base.run_home = path_join(config->run_root, "vfs");
	if (!vfs->base.home || !vfs->base.run_home)
		return error_oom(error);
	int r = parse_options(vfs, config, error);
	if (r == 0)
		r = open_home(vfs, config->graph_root, config->read_only, error);
	if (r == 0 && config->image_store)
		r = open_home(vfs, config->image_store, config->read_only, error);
	if (r < 0)
		return r;
	*ret = &steal_ptr(&vfs)->base;
	return 0;
}

static int vfs_open_ready(const struct driver_config *config, struct driver **ret,
                          cst_error **error)
{
	if (home_is_missing(config->graph_root) ||
	    (config->image_store && home_is_missing(config->image_store)))
		return 0;
	return vfs_open(config, ret, error);
}

static int vfs_cleanup(struct driver *d, cst_error **error)
{
	return 0;
}

static int vfs_recover(struct driver *d, cst_error **error)
{
	struct vfs *vfs = vfs_of(d);
	int r = 0;
	for (size_t i = 0; r == 0 && i < vfs->n_homes; i++)
		r = tempdir_recover(vfs->homes[i].tempdirs, TEMPDIR_PAIR, error);
	return r;
}

/* ---- finding layers ---- */

/* The home that has the layer; the first if none does. */
static const struct vfs_home *home_of(const struct vfs *vfs, const char *id)
{
	for (size_t i = 0; i < vfs->n_homes; i++) {
		if (fs_exists(vfs->homes[i].dir_fd, id))
			return &vfs->homes[i];
	}
	return &vfs->homes[0];
}

/* The layer's directory, here or in an additional store. -1 and the error set if there is none. */
static int open_layer(const struct vfs *vfs, const char *id, int *ret_fd, cst_error **error)
{
	const struct vfs_home *home = home_of(vfs, id);
	int fd = openat(home->dir_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	for (size_t i = 0; fd < 0 && i < vfs->image_stores.len; i++) {
		_cleanup_free_ char *dir = layers_path(vfs->image_stores.items[i]),
		                    *path = dir ? path_join(dir, id) : NULL;
		if (!path)
			return error_oom(error);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return error_sys(error, errno, "stat %s/%s", home->dir_path, id);
	*ret_fd = fd;
	return 0;
}

static bool vfs_exists(struct driver *d, const char *id)
{
	_cleanup_close_ int fd = -1;
	return open_layer(vfs_of(d), id, &fd, NULL) == 0;
}

static int vfs_list(struct driver *d, struct strv *ids, cst_error **error)
{
	struct vfs *vfs = vfs_of(d);
	_cleanup_strv_ struct strv all = {0};
	for (size_t i = 0; i < vfs->n_homes; i++) {
		_cleanup_strv_ struct strv names = {0};
		int r = fs_list_dir(vfs->homes[i].dir_fd, ".", &names, vfs->homes[i].dir_path,
		                    error);
		if (r < 0)
			return r;
		for (size_t j = 0; j < names.len; j++) {
			if (!strv_add(&all, names.items[j]))
				return error_oom(error);
		}
	}
	strv_sort(&all);
	*ids = all;
	all = (struct strv){0};
	return 0;
}

static const struct strv *vfs_image_stores(struct driver *d)
{
	return &vfs_of(d)->image_stores;
}

static int vfs_status(struct driver *d, struct strv *pairs, cst_error **error)
{
	return 0;
}

/* Where a layer is: here, in an additional store, or, if nowhere, where it would be here. */
static char *path_of(const struct vfs *vfs, const char *id)
{
	char *own = path_join(home_of(vfs, id)->dir_path, id);
	if (!own || fs_exists(AT_FDCWD, own))
		return own;
	for (size_t i = 0; i < vfs->image_stores.len; i++) {
		_cleanup_free_ char *dir = layers_path(vfs->image_stores.items[i]);
		_cleanup_free_ char *path = dir ? path_join(dir, id) : NULL;
		if (path && fs_exists(AT_FDCWD, path)) {
			free(own);
			return steal_ptr(&path);
		}
	}
	return own;
}

static int vfs_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error)
{
	_cleanup_free_ char *path = path_of(vfs_of(d), id);
	if (!path)
		return error_oom(error);
	if (!fs_exists(AT_FDCWD, path))
		return error_code(error, CST_ELAYER_UNKNOWN);
	return strv_add(pairs, "Directory") && strv_add(pairs, path) ? 0 : error_oom(error);
}

static int vfs_missing(struct driver *d, const char *name, bool as_parent, cst_error **error)
{
	return error_sys(error, ENOENT, "%s %s/dir/%s", as_parent ? "Stat" : "stat", d->home, name);
}

static int vfs_supports_shifting(struct driver *d, const struct idmaps *maps, bool *ret,
                                 cst_error **error)
{
	*ret = false;
	return 0;
}

static int vfs_content_open(struct driver *d, const char *id, int *ret_fd, cst_error **error)
{
	const struct vfs_home *home = home_of(vfs_of(d), id);
	int fd = openat(home->dir_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", home->dir_path, id);
	*ret_fd = fd;
	return 0;
}

static int vfs_content_identity(struct driver *d, const char *id, struct driver_identity *ret,
                                cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = vfs_content_open(d, id, &fd, error);
	return r == 0 ? naive_identity(fd, ret, error) : r;
}

/* ---- building ---- */

static void vfs_stage_free(struct driver_staged *staged)
{
	if (!staged)
		return;
	closep(&staged->fd);
	tempdir_free(staged->area);
	free(staged);
}
DEFINE_CLEANUP(struct driver_staged *, vfs_stage_free)

static int stage_new(struct vfs *vfs, const struct vfs_home *home, struct driver_staged **ret,
                     cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = new0(struct driver_staged, 1);
	if (!staged)
		return error_oom(error);
	*staged = (struct driver_staged){.vfs = vfs, .home = home, .fd = -1};
	int r = tempdir_new(home->tempdirs, TEMPDIR_PAIR, &staged->area, error);
	if (r < 0)
		return r;
	if (sys_mkdirat(staged->area->fd, CONTENT, 0755) < 0)
		return error_sys(error, errno, "mkdir %s/%s/%s", home->tempdirs, staged->area->name,
		                 CONTENT);
	staged->fd =
	        openat(staged->area->fd, CONTENT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (staged->fd < 0)
		return error_sys(error, errno, "open %s/%s/%s", home->tempdirs, staged->area->name,
		                 CONTENT);
	*ret = steal_ptr(&staged);
	return 0;
}

static int copy_layer(struct vfs *vfs, const char *from, const struct driver_staged *staged,
                      bool sync, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = open_layer(vfs, from, &fd, error);
	return r == 0 ? copy_tree(fd, staged->fd, &(struct copy_options){.sync = sync}, error) : r;
}

/* The parent's content, given to the new layer's ids. */
static int copy_parent(struct vfs *vfs, const struct driver_stage_options *options,
                       const struct driver_staged *staged, cst_error **error)
{
	bool sync = vfs->base.sync_content;
	if (idmaps_equal(options->maps, options->parent_maps))
		return copy_layer(vfs, options->parent, staged, sync, error);
	int r = copy_layer(vfs, options->parent, staged, false, error);
	if (r == 0)
		r = rechown_tree(staged->fd, options->parent_maps, options->maps, error);
	if (r == 0 && sync && sys_syncfs(staged->fd) < 0)
		r = error_sys(error, errno, "syncfs");
	return r;
}

/* A base layer's root: docs/format/drivers.md, "vfs". */
static int base_root(const struct driver_staged *staged, const struct idmaps *maps,
                     cst_error **error)
{
	uint32_t uid = 0, gid = 0;
	int r = maps ? idmaps_root(maps, &uid, &gid, error) : 0;
	if (r < 0)
		return r;
	if (maps && sys_fchown(staged->fd, uid, gid) < 0)
		return error_sys(error, errno, "chown the root of the new layer");
	if (sys_fchmod(staged->fd, 0555) < 0)
		return error_sys(error, errno, "chmod the root of the new layer");
	return 0;
}

static int vfs_stage(struct driver *d, const struct driver_stage_options *options,
                     struct driver_staged **ret, cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = NULL;
	if (options->n_storage_options)
		return error_set(error, CST_ENOTSUP, "--storage-opt is not supported for vfs");
	const struct vfs *vfs = vfs_of(d);
	int r = stage_new(vfs_of(d), &vfs->homes[options->writable ? 0 : vfs->n_homes - 1], &staged,
	                  error);
	if (r == 0)
		r = options->parent ? copy_parent(vfs_of(d), options, staged, error)
		                    : base_root(staged, options->maps, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

static int vfs_stage_copy(struct driver *d, const char *id, struct driver_staged **ret,
                          cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = NULL;
	int r = stage_new(vfs_of(d), home_of(vfs_of(d), id), &staged, error);
	if (r == 0)
		r = copy_layer(vfs_of(d), id, staged, vfs_of(d)->base.sync_content, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

static int vfs_staged_fd(struct driver_staged *staged)
{
	return staged->fd;
}

static int vfs_staged_identity(struct driver_staged *staged, struct driver_identity *ret,
                               cst_error **error)
{
	return naive_identity(staged->fd, ret, error);
}

static void vfs_unpack_options(struct driver *d, const struct driver_stage_options *options,
                               struct unpack_options *ret)
{
	ret->whiteouts = UNPACK_WHITEOUT_APPLY;
	ret->ignore_chown_errors = vfs_of(d)->ignore_chown_errors;
}

/* Content was synced as it was written; the attributes of the root may have come after. */
static int vfs_stage_sync(struct driver_staged *staged, cst_error **error)
{
	return staged->vfs->base.sync_content
	               ? fs_fsync_dir(staged->fd, staged->home->tempdirs, error)
	               : 0;
}

static const char *vfs_stage_note(struct driver_staged *staged)
{
	return "";
}

static int vfs_stage_commit(struct driver_staged *staged, const char *id, bool durable,
                            cst_error **error)
{
	const struct vfs_home *home = staged->home;
	int r = tempdir_take(staged->area, home->dir_fd, id,
	                     error); /* a leftover without a record */
	if (r < 0)
		return r;
	if (sys_renameat(staged->area->fd, CONTENT, home->dir_fd, id) < 0)
		return error_sys(error, errno, "rename %s/%s/%s %s/%s", home->tempdirs,
		                 staged->area->name, CONTENT, home->dir_path, id);
	return durable ? fs_fsync_dir(home->dir_fd, home->dir_path, error) : 0;
}

static int vfs_stage_replace(struct driver_staged *staged, const char *id, bool durable,
                             cst_error **error)
{
	const struct vfs_home *home = staged->home;
	if (sys_renameat2(staged->area->fd, CONTENT, home->dir_fd, id, RENAME_EXCHANGE) < 0)
		return error_sys(error, errno, "exchange %s/%s/%s and %s/%s", home->tempdirs,
		                 staged->area->name, CONTENT, home->dir_path, id);
	return durable ? fs_fsync_dir(home->dir_fd, home->dir_path, error) : 0;
}

/* ---- taking away ---- */

static int remove_from(const struct vfs_home *home, const char *id, struct tempdir **trash,
                       bool durable, cst_error **error)
{
	int r = *trash ? 0 : tempdir_new(home->tempdirs, TEMPDIR_PAIR, trash, error);
	if (r == 0)
		r = tempdir_take(*trash, home->dir_fd, id, error);
	return r == 0 && durable ? fs_fsync_dir(home->dir_fd, home->dir_path, error) : r;
}

static int vfs_remove(struct driver *d, const char *id, const char *note, struct tempdir **trash,
                      bool durable, cst_error **error)
{
	const struct vfs_home *home = home_of(vfs_of(d), id);
	if (!fs_exists(home->dir_fd, id))
		return 0;
	if (!*trash || streq((*trash)->shown, home->tempdirs))
		return remove_from(home, id, trash, durable, error);
	/* The trash is the other home's, perhaps of another file system: one more, emptied at once.
	 */
	struct tempdir *own = NULL;
	int r = remove_from(home, id, &own, durable, error);
	tempdir_free(own);
	return r;
}

/* ---- "mounting" ---- */

static int vfs_get(struct driver *d, const char *id, const struct driver_mount_options *options,
                   char **ret_path, cst_error **error)
{
	struct stat st;
	for (size_t i = 0; i < options->n_options; i++) {
		if (!streq(options->options[i], "ro"))
			return error_set(error, CST_ENOTSUP,
			                 "vfs driver does not support mount options");
	}
	_cleanup_free_ char *path = path_of(vfs_of(d), id);
	if (!path)
		return error_oom(error);
	if (stat(path, &st) < 0)
		return error_sys(error, errno, "stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return error_set(error, CST_ECORRUPT, "%s: not a directory", path);
	*ret_path = steal_ptr(&path);
	return 0;
}

static int vfs_put(struct driver *d, const char *id, cst_error **error)
{
	return 0;
}

static bool vfs_is_mounted(struct driver *d, const char *id)
{
	return fs_exists(home_of(vfs_of(d), id)->dir_fd, id);
}

/* ---- reading ---- */

static void vfs_view_close(struct driver_view *view)
{
	if (!view)
		return;
	closep(&view->new_fd);
	closep(&view->old_fd);
	idmaps_free(&view->maps);
	idmaps_free(&view->from_maps);
	free(view);
}
DEFINE_CLEANUP(struct driver_view *, vfs_view_close)

static bool copy_maps(const struct idmaps *from, struct idmaps *to)
{
	return !from || (idmap_copy(&to->uids, from->uids.ranges, from->uids.len) &&
	                 idmap_copy(&to->gids, from->gids.ranges, from->gids.len));
}

static int vfs_view_open(struct driver *d, const char *id, const char *from,
                         const struct driver_view_maps *maps, struct driver_view **ret,
                         cst_error **error)
{
	_cleanup_(vfs_view_closep) struct driver_view *view = new0(struct driver_view, 1);
	if (!view)
		return error_oom(error);
	view->new_fd = view->old_fd = -1;
	if (maps &&
	    (!copy_maps(maps->maps, &view->maps) || !copy_maps(maps->from_maps, &view->from_maps)))
		return error_oom(error);
	int r = open_layer(vfs_of(d), id, &view->new_fd, error);
	if (r == 0 && from)
		r = open_layer(vfs_of(d), from, &view->old_fd, error);
	if (r == 0)
		*ret = steal_ptr(&view);
	return r;
}

static void free_changes(struct cst_changes *changes)
{
	for (size_t i = 0; i < changes->len; i++)
		free(changes->items[i].path);
	free(changes->items);
}

static int vfs_view_changes(struct driver_view *view, struct cst_changes *ret, cst_error **error)
{
	struct pack_options options = {.maps = &view->maps, .old_maps = &view->from_maps};
	return changes_trees(view->old_fd, view->new_fd, &options, ret, error);
}

static int vfs_view_diff(struct driver_view *view, const cst_sink *sink,
                         const cst_progress *progress, cst_error **error)
{
	struct pack_options options = {.maps = &view->maps, .progress = progress};
	if (view->old_fd < 0)
		return pack_tree(view->new_fd, &options, sink, error);
	_cleanup_(free_changes) struct cst_changes changes = {0};
	int r = vfs_view_changes(view, &changes, error);
	return r == 0 ? pack_changes(view->new_fd, &changes, &options, sink, error) : r;
}

static int vfs_view_size(struct driver_view *view, int64_t *ret, cst_error **error)
{
	_cleanup_(free_changes) struct cst_changes changes = {0};
	int r = vfs_view_changes(view, &changes, error);
	return r == 0 ? changes_size(view->new_fd, &changes, ret, error) : r;
}

static int vfs_view_open_content(struct driver_view *view, const char *name, int64_t size,
                                 cst_error **error)
{
	return unpack_open_content(view->new_fd, name, size, error);
}

const struct driver_ops vfs_driver = {
        .name = "vfs",
        .reowns_parent = true,
        .open = vfs_open,
        .open_ready = vfs_open_ready,
        .close = vfs_close,
        .cleanup = vfs_cleanup,
        .recover = vfs_recover,
        .stage = vfs_stage,
        .staged_fd = vfs_staged_fd,
        .unpack_options = vfs_unpack_options,
        .stage_sync = vfs_stage_sync,
        .stage_commit = vfs_stage_commit,
        .stage_note = vfs_stage_note,
        .stage_free = vfs_stage_free,
        .stage_copy = vfs_stage_copy,
        .stage_replace = vfs_stage_replace,
        .staged_identity = vfs_staged_identity,
        .content_identity = vfs_content_identity,
        .content_open = vfs_content_open,
        .paths = vfs_paths,
        .remove = vfs_remove,
        .exists = vfs_exists,
        .list = vfs_list,
        .status = vfs_status,
        .image_stores = vfs_image_stores,
        .missing = vfs_missing,
        .supports_shifting = vfs_supports_shifting,
        .get = vfs_get,
        .put = vfs_put,
        .is_mounted = vfs_is_mounted,
        .view_open = vfs_view_open,
        .view_diff = vfs_view_diff,
        .view_changes = vfs_view_changes,
        .view_size = vfs_view_size,
        .view_open_content = vfs_view_open_content,
        .view_close = vfs_view_close,
};
