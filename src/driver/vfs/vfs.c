/* SPDX-License-Identifier: Apache-2.0 */
/* The vfs driver: opening, taking layers away, reading them, and its table of operations. */
#include "driver/vfs/vfs.h"
#include "base/fs.h"
#include "driver/option.h"
#include <errno.h>

struct driver_view {
	struct naive_view trees;
	/* Why the layer to compare with cannot be opened. NULL: it is open, or there is none. */
	cst_error *no_old;
};

/* ---- opening ---- */

static void vfs_close(struct driver *d)
{
	struct vfs *vfs = vfs_of(d);
	driver_kept_free(d);
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

static int apply_option(struct vfs *vfs, const char *option, const char *key, const char *value,
                        cst_error **error)
{
	if (streq(key, "imagestore") || streq(key, "additionalimagestore"))
		return strv_split(&vfs->image_stores, value, ',') ? 0 : error_oom(error);
	if (streq(key, "ignore_chown_errors"))
		return driver_parse_bool(value, &vfs->ignore_chown_errors, error);
	/* The Go driver refuses this key, though its own configuration hands it over. */
	if (streq(key, "sync")) {
		vfs->base.sync_content = !streq(value, "none");
		return 0;
	}
	if (streq(key, "mountopt"))
		return error_set(error, CST_EINVAL, "vfs driver does not support mount options");
	return error_set(error, CST_EINVAL, "unknown option \"%s\" (\"%s\")", key, option);
}

static bool has_option(const char *key)
{
	return streq(key, "imagestore") || streq(key, "additionalimagestore") ||
	       streq(key, "ignore_chown_errors") || streq(key, "sync");
}

static int parse_options(struct vfs *vfs, const struct driver_config *config, cst_error **error)
{
	vfs->base.sync_content = true;
	for (size_t i = 0; i < config->n_options; i++) {
		_cleanup_free_ char *key = NULL, *value = NULL;
		bool skip = false;
		int r = driver_parse_option("vfs", config->options[i], &key, &value, &skip, error);
		if (r == 0 && !skip && !has_option(key))
			skip = driver_may_skip_option(config, config->options[i]);
		if (r == 0 && !skip)
			r = apply_option(vfs, config->options[i], key, value, error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int vfs_open(const struct driver_config *config, struct driver **ret, cst_error **error)
{
	_cleanup_(vfs_closep) struct vfs *vfs = new0(struct vfs, 1);
	if (!vfs)
		return error_oom(error);
	vfs->base.ops = &vfs_driver;
	driver_kept_init(&vfs->base.kept);
	vfs->base.home = path_join(config->graph_root, "vfs");
	vfs->base.run_home = path_join(config->run_root, "vfs");
	if (!vfs->base.home || !vfs->base.run_home)
		return error_oom(error);
	int r = parse_options(vfs, config, error);
	if (r == 0)
		r = vfs_home_open(vfs, config->graph_root, config->read_only, error);
	if (r == 0 && config->image_store)
		r = vfs_home_open(vfs, config->image_store, config->read_only, error);
	if (r < 0)
		return r;
	*ret = &steal_ptr(&vfs)->base;
	return 0;
}

static int vfs_open_ready(const struct driver_config *config, struct driver **ret,
                          cst_error **error)
{
	if (!vfs_home_is_there(config->graph_root) ||
	    (config->image_store && !vfs_home_is_there(config->image_store)))
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

/* ---- looking ---- */

static int vfs_exists(struct driver *d, const char *id, bool *ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_close_ int fd = -1;
	int r = vfs_layer_open(vfs_of(d), id, &fd, &problem);
	int errnum = cst_error_errno(problem);
	if (r < 0 && errnum != ENOENT && errnum != ENOTDIR && errnum != ELOOP)
		return error_propagate(error, steal_ptr(&problem));
	*ret = r == 0;
	return 0;
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
		strv_foreach (name, &names) {
			struct stat st;
			bool is_layer = fstatat(vfs->homes[i].dir_fd, name, &st,
			                        AT_SYMLINK_NOFOLLOW) == 0 &&
			                S_ISDIR(st.st_mode);
			if (is_layer && !strv_add(&all, name))
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

static int vfs_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error)
{
	_cleanup_free_ char *path = vfs_layer_path(vfs_of(d), id);
	if (!path)
		return error_oom(error);
	if (!fs_exists(AT_FDCWD, path))
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	return strv_add(pairs, "Directory") && strv_add(pairs, path) ? 0 : error_oom(error);
}

static int vfs_shareable(struct driver *d, const char *id, const char **root, char **path,
                         cst_error **error)
{
	const struct vfs_home *home = vfs_home_of(vfs_of(d), id);
	if (!path_is_component(id) || !fs_exists(home->dir_fd, id))
		return 0;
	*path = strdup(id);
	*root = home->dir_path;
	return *path ? 0 : error_oom(error);
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
	return vfs_layer_open(vfs_of(d), id, ret_fd, error);
}

/* ---- taking away ---- */

static int vfs_remove(struct driver *d, const char *id, const char *note,
                      struct driver_trash **trash, bool durable, cst_error **error)
{
	const struct vfs_home *home = vfs_home_of(vfs_of(d), id);
	struct tempdir *area = NULL;
	if (!fs_exists(home->dir_fd, id))
		return 0;
	int r = naive_trash_in(d->ops, home->tempdirs, TEMPDIR_PAIR, trash, &area, error);
	if (r == 0)
		r = tempdir_take(area, home->dir_fd, id, error);
	return r == 0 && durable ? fs_fsync_dir(home->dir_fd, home->dir_path, error) : r;
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
	_cleanup_free_ char *path = vfs_layer_path(vfs_of(d), id);
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

/* There are no mounts: a layer that a record counts as mounted is where its directory is. */
static int vfs_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd,
                          cst_error **error)
{
	_cleanup_free_ char *own = vfs_layer_path(vfs_of(d), id);
	bool same = false;
	int r = own ? 0 : error_oom(error);
	if (r == 0 && path)
		r = naive_same_directory(own, path, &same, error);
	if (r < 0)
		return r;
	int fd = same ? open(own, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (same && fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s", own);
	*ret_fd = fd;
	return 0;
}

/* ---- reading ---- */

static void vfs_view_close(struct driver_view *view)
{
	if (!view)
		return;
	naive_view_close(&view->trees);
	error_freep(&view->no_old);
	free(view);
}
DEFINE_CLEANUP(struct driver_view *, vfs_view_close)

static int vfs_view_open(struct driver *d, const char *id, const char *from,
                         const struct driver_view_maps *maps, struct driver_view **ret,
                         cst_error **error)
{
	_cleanup_(vfs_view_closep) struct driver_view *view = new0(struct driver_view, 1);
	if (!view)
		return error_oom(error);
	view->trees = (struct naive_view)NAIVE_VIEW_INIT;
	int r = naive_view_set_maps(&view->trees, maps, error);
	if (r == 0)
		r = vfs_layer_open(vfs_of(d), id, &view->trees.tree_fd, error);
	/* The tar-split alone gives the layer back, and does not need the other one. */
	if (r == 0 && from)
		(void)vfs_layer_open(vfs_of(d), from, &view->trees.old_fd, &view->no_old);
	if (r == 0)
		*ret = steal_ptr(&view);
	return r;
}

/* Takes the error: a comparison fails once. */
static int need_old(struct driver_view *view, cst_error **error)
{
	return view->no_old ? error_propagate(error, steal_ptr(&view->no_old)) : 0;
}

static int vfs_view_diff(struct driver_view *view, const cst_sink *sink,
                         const cst_progress *progress, cst_error **error)
{
	int r = need_old(view, error);
	return r < 0 ? r : naive_view_diff(&view->trees, sink, progress, error);
}

static int vfs_view_changes(struct driver_view *view, struct cst_changes *ret, cst_error **error)
{
	int r = need_old(view, error);
	return r < 0 ? r : naive_view_changes(&view->trees, ret, error);
}

static int vfs_view_size(struct driver_view *view, int64_t *ret, cst_error **error)
{
	int r = need_old(view, error);
	return r < 0 ? r : naive_view_size(&view->trees, ret, error);
}

static int vfs_view_open_content(struct driver_view *view, const char *name, int64_t size,
                                 cst_error **error)
{
	return unpack_open_content(view->trees.tree_fd, name, size, error);
}

static int vfs_view_tree(struct driver_view *view, int *ret_fd, cst_error **error)
{
	*ret_fd = view->trees.tree_fd;
	return 0;
}

const struct driver_ops vfs_driver = {
        .name = "vfs",
        .capabilities = DRIVER_REOWNS_PARENT | DRIVER_WHOLE_TREES | DRIVER_DEDUP,
        .open = vfs_open,
        .open_ready = vfs_open_ready,
        .close = vfs_close,
        .cleanup = vfs_cleanup,
        .recover = vfs_recover,
        .stage = vfs_stage,
        .stage_unpack = vfs_stage_unpack,
        .stage_open = vfs_stage_open,
        .stage_sync = vfs_stage_sync,
        .stage_barrier = vfs_stage_barrier,
        .stage_commit = vfs_stage_commit,
        .stage_note = vfs_stage_note,
        .stage_free = vfs_stage_free,
        .staged_id = vfs_staged_id,
        .stage_keep = driver_stage_keep,
        .stage_list = driver_stage_list,
        .stage_adopt = driver_stage_adopt,
        .stage_discard = driver_stage_discard,
        .stage_copy = vfs_stage_copy,
        .stage_in_place = vfs_stage_in_place,
        .stage_replace = vfs_stage_replace,
        .staged_identity = vfs_staged_identity,
        .content_identity = vfs_content_identity,
        .content_open = vfs_content_open,
        .paths = vfs_paths,
        .shareable = vfs_shareable,
        .remove = vfs_remove,
        .trash_count = naive_trash_count,
        .trash_empty = naive_trash_empty,
        .trash_free = naive_trash_free,
        .exists = vfs_exists,
        .list = vfs_list,
        .status = vfs_status,
        .image_stores = vfs_image_stores,
        .missing = vfs_missing,
        .usage = naive_usage,
        .supports_shifting = vfs_supports_shifting,
        .get = vfs_get,
        .put = vfs_put,
        .mount_open = vfs_mount_open,
        .view_open = vfs_view_open,
        .view_diff = vfs_view_diff,
        .view_changes = vfs_view_changes,
        .view_size = vfs_view_size,
        .view_open_content = vfs_view_open_content,
        .view_tree = vfs_view_tree,
        .view_close = vfs_view_close,
};
