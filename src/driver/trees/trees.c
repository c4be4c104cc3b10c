/* SPDX-License-Identifier: Apache-2.0 */
/* The vfs driver: opening, taking layers away, reading them, and its table of operations. */
#include "driver/trees/trees.h"
#include "base/fs.h"
#include "config/size.h"
#include "driver/option.h"
#include "driver/quota.h"
#include <errno.h>

struct driver_view {
	struct naive_view trees;
	/* Why the layer to compare with cannot be opened. NULL: it is open, or there is none. */
	cst_error *no_old;
};

/* ---- opening ---- */

int trees_size_of(const struct driver_stage_options *options, const char *hint, bool *given,
                  uint64_t *size, cst_error **error)
{
	if (!options->writable)
		*size = 0;
	*given = *size;
	for (size_t i = 0; i < options->n_storage_options; i++) {
		const char *option = options->storage_options[i], *value;
		_cleanup_free_ char *key = NULL;
		int r = driver_split_layer_option(option, &key, &value, error);
		if (r < 0)
			return r;
		if (!streq(str_lower(key), "size"))
			return error_set(error, CST_EINVAL, "unknown option %s (\"%s\")%s", key,
			                 option, hint);
		r = size_parse(strempty(value), size, error);
		if (r < 0)
			return r;
		*given = true;
	}
	return 0;
}

void trees_close(struct driver *d)
{
	struct trees *trees = trees_of(d);
	for (size_t i = 0; i < trees->n_homes; i++) {
		closep(&trees->homes[i].layers_fd);
		free(trees->homes[i].path);
		free(trees->homes[i].layers_path);
		free(trees->homes[i].tempdirs);
	}
	strv_free(&trees->image_stores);
	free(d->home);
	free(d->run_home);
	free(trees);
}

static int apply_option(struct trees *trees, const struct driver_config *config, const char *option,
                        const char *key, const char *value, cst_error **error)
{
	bool known = false;
	int r = trees->kind->option(trees, key, value, &known, error);
	if (r < 0 || known)
		return r;
	if (!trees->kind->alone && (streq(key, "imagestore") || streq(key, "additionalimagestore")))
		return strv_split(&trees->image_stores, value, ',') ? 0 : error_oom(error);
	/* The Go driver refuses this key, though its own configuration hands it over. */
	if (streq(key, "sync")) {
		trees->base.sync_content = !streq(value, "none");
		return 0;
	}
	if (driver_may_skip_option(config, option))
		return 0;
	if (streq(key, "mountopt"))
		return error_set(error, CST_EINVAL, "%s driver does not support mount options",
		                 trees->base.ops->name);
	return error_set(error, CST_EINVAL, "unknown option \"%s\" (\"%s\")", key, option);
}

static int parse_options(struct trees *trees, const struct driver_config *config, cst_error **error)
{
	trees->base.sync_content = true;
	for (size_t i = 0; i < config->n_options; i++) {
		_cleanup_free_ char *key = NULL, *value = NULL;
		bool skip = false;
		int r = driver_parse_option(trees->base.ops->name, config->options[i], &key, &value,
		                            &skip, error);
		if (r == 0 && !skip)
			r = apply_option(trees, config, config->options[i], key, value, error);
		if (r < 0)
			return r;
	}
	return 0;
}

int trees_open_options(struct trees *trees, const struct driver_ops *ops,
                       const struct trees_kind *kind, const struct driver_config *config,
                       cst_error **error)
{
	trees->base.ops = ops;
	trees->kind = kind;
	trees->base.home = path_join(config->graph_root, ops->name);
	trees->base.run_home = path_join(config->run_root, ops->name);
	if (!trees->base.home || !trees->base.run_home)
		return error_oom(error);
	return parse_options(trees, config, error);
}

int trees_open_homes(struct trees *trees, const struct driver_config *config, cst_error **error)
{
	int r = trees_home_open(trees, config->graph_root, config->read_only, error);
	if (r == 0 && config->image_store && trees->kind->in_image_store)
		r = trees_home_open(trees, config->image_store, config->read_only, error);
	return r;
}

int trees_open(struct trees *trees, const struct driver_ops *ops, const struct trees_kind *kind,
               const struct driver_config *config, cst_error **error)
{
	int r = trees_open_options(trees, ops, kind, config, error);
	return r == 0 ? trees_open_homes(trees, config, error) : r;
}

int trees_cleanup(struct driver *d, cst_error **error)
{
	return 0;
}

int trees_recover(struct driver *d, cst_error **error)
{
	struct trees *trees = trees_of(d);
	int r = 0;
	for (size_t i = 0; r == 0 && i < trees->n_homes; i++)
		r = tempdir_recover(trees->homes[i].tempdirs, TEMPDIR_PAIR, error);
	return r;
}

/* ---- looking ---- */

int trees_exists(struct driver *d, const char *id, bool *ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_close_ int fd = -1;
	int r = trees_layer_open(trees_of(d), id, &fd, &problem);
	int errnum = cst_error_errno(problem);
	if (r < 0 && errnum != ENOENT && errnum != ENOTDIR && errnum != ELOOP)
		return error_propagate(error, steal_ptr(&problem));
	*ret = r == 0;
	return 0;
}

int trees_list(struct driver *d, struct strv *ids, cst_error **error)
{
	struct trees *trees = trees_of(d);
	_cleanup_strv_ struct strv all = {0};
	for (size_t i = 0; i < trees->n_homes; i++) {
		_cleanup_strv_ struct strv names = {0};
		int r = fs_list_dir(trees->homes[i].layers_fd, ".", &names,
		                    trees->homes[i].layers_path, error);
		if (r < 0)
			return r;
		strv_foreach (name, &names) {
			struct stat st;
			bool is_layer = fstatat(trees->homes[i].layers_fd, name, &st,
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

const struct strv *trees_image_stores(struct driver *d)
{
	return &trees_of(d)->image_stores;
}

int trees_status(struct driver *d, struct strv *pairs, cst_error **error)
{
	return 0;
}

int trees_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error)
{
	_cleanup_free_ char *path = trees_layer_path(trees_of(d), id);
	if (!path)
		return error_oom(error);
	if (!fs_exists(AT_FDCWD, path))
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	return strv_add(pairs, "Directory") && strv_add(pairs, path) ? 0 : error_oom(error);
}

int trees_shareable(struct driver *d, const char *id, const char **root, char **path,
                    cst_error **error)
{
	const struct trees_home *home = trees_home_of(trees_of(d), id);
	if (!path_is_component(id) || !fs_exists(home->layers_fd, id))
		return 0;
	*path = strdup(id);
	*root = home->layers_path;
	return *path ? 0 : error_oom(error);
}

int trees_supports_shifting(struct driver *d, const struct idmaps *maps, bool *ret,
                            cst_error **error)
{
	*ret = false;
	return 0;
}

int trees_content_open(struct driver *d, const char *id, int *ret_fd, cst_error **error)
{
	return trees_layer_open(trees_of(d), id, ret_fd, error);
}

/* ---- taking away ---- */

int trees_remove(struct driver *d, const char *id, const char *note, struct driver_trash **trash,
                 struct fs_later *later, cst_error **error)
{
	const struct trees_home *home = trees_home_of(trees_of(d), id);
	struct tempdir *area = NULL;
	_cleanup_close_ int layers_fd = -1,
	                    fd = openat(home->layers_fd, id,
	                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd >= 0)
		quota_release(home->path, fd);
	int r = naive_trash_in(d->ops, home->tempdirs, TEMPDIR_PAIR, trash, &area, error);
	if (r == 0 && area)
		r = trees_beside(home, area, trees_of(d)->kind->place, &layers_fd, error);
	if (r == 0)
		r = tempdir_take(area, area ? layers_fd : home->layers_fd, id, error);
	return r == 0 ? fs_fsync_later(later, home->layers_fd, home->layers_path, error) : r;
}

/* ---- "mounting" ---- */

int trees_get(struct driver *d, const char *id, const struct driver_mount_options *options,
              char **ret_path, cst_error **error)
{
	struct stat st;
	for (size_t i = 0; i < options->n_options; i++) {
		if (!streq(options->options[i], "ro"))
			return error_set(error, CST_ENOTSUP,
			                 "%s driver does not support mount options", d->ops->name);
	}
	_cleanup_free_ char *path = trees_layer_path(trees_of(d), id);
	if (!path)
		return error_oom(error);
	if (stat(path, &st) < 0)
		return error_sys(error, errno, "stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return error_set(error, CST_ECORRUPT, "%s: not a directory", path);
	*ret_path = steal_ptr(&path);
	return 0;
}

int trees_put(struct driver *d, const char *id, cst_error **error)
{
	return 0;
}

/* There are no mounts: a layer that a record counts as mounted is where its directory is. */
int trees_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd,
                     cst_error **error)
{
	_cleanup_free_ char *own = trees_layer_path(trees_of(d), id);
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

void trees_view_close(struct driver_view *view)
{
	if (!view)
		return;
	naive_view_close(&view->trees);
	error_freep(&view->no_old);
	free(view);
}
DEFINE_CLEANUP(struct driver_view *, trees_view_close)

int trees_view_open(struct driver *d, const char *id, const char *from,
                    const struct driver_view_maps *maps, struct driver_view **ret,
                    cst_error **error)
{
	const struct trees_kind *kind = trees_of(d)->kind;
	_cleanup_(trees_view_closep) struct driver_view *view = new0(struct driver_view, 1);
	if (!view)
		return error_oom(error);
	view->trees = (struct naive_view)NAIVE_VIEW_INIT;
	int r = naive_view_set_maps(&view->trees, maps, error);
	if (r == 0)
		r = trees_layer_open(trees_of(d), id, &view->trees.tree_fd, error);
	/* The tar-split alone gives the layer back, and does not need the other one. */
	if (r == 0 && from)
		(void)trees_layer_open(trees_of(d), from, &view->trees.old_fd, &view->no_old);
	if (r == 0 && view->trees.old_fd >= 0 && kind->snapshot)
		(void)kind->snapshot(view->trees.tree_fd, view->trees.old_fd,
		                     &view->trees.snapshot);
	if (r == 0)
		*ret = steal_ptr(&view);
	return r;
}

/* Takes the error: a comparison fails once. */
static int need_old(struct driver_view *view, cst_error **error)
{
	return view->no_old ? error_propagate(error, steal_ptr(&view->no_old)) : 0;
}

int trees_view_diff(struct driver_view *view, const cst_sink *sink, const cst_progress *progress,
                    cst_error **error)
{
	int r = need_old(view, error);
	return r < 0 ? r : naive_view_diff(&view->trees, sink, progress, error);
}

int trees_view_changes(struct driver_view *view, struct cst_changes *ret, cst_error **error)
{
	int r = need_old(view, error);
	return r < 0 ? r : naive_view_changes(&view->trees, ret, error);
}

int trees_view_size(struct driver_view *view, int64_t *ret, cst_error **error)
{
	int r = need_old(view, error);
	return r < 0 ? r : naive_view_size(&view->trees, ret, error);
}

int trees_view_open_content(struct driver_view *view, const char *name, int64_t size,
                            cst_error **error)
{
	return unpack_open_content(view->trees.tree_fd, name, size, error);
}

int trees_view_tree(struct driver_view *view, int *ret_fd, cst_error **error)
{
	*ret_fd = view->trees.tree_fd;
	return 0;
}
