/* SPDX-License-Identifier: Apache-2.0 */
/* The default operations of drivers whose layers are directories; their trash is in naive_trash.c. */
#include "driver/naive.h"
#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- identity ---- */

int naive_identity(int dirfd, struct driver_identity *ret, cst_error **error)
{
	struct stat st;
	if (fstat(dirfd, &st) < 0)
		return error_sys(error, errno, "stat the content of a layer");
	snprintf(ret->text, sizeof(ret->text), "%llu", (unsigned long long)st.st_ino);
	return 0;
}

/* ---- reading ---- */

int naive_view_set_maps(struct naive_view *view, const struct driver_view_maps *maps,
                        cst_error **error)
{
	if (maps && (!idmaps_copy(&view->maps, maps->maps) ||
	             !idmaps_copy(&view->old_maps, maps->from_maps)))
		return error_oom(error);
	return 0;
}

void naive_view_close(struct naive_view *view)
{
	closep(&view->tree_fd);
	closep(&view->old_fd);
	idmaps_free(&view->maps);
	idmaps_free(&view->old_maps);
	*view = (struct naive_view)NAIVE_VIEW_INIT;
}

static struct pack_options pack_options(const struct naive_view *view, const cst_progress *progress)
{
	return (struct pack_options){.maps = &view->maps,
	                             .old_maps = &view->old_maps,
	                             .snapshot = view->snapshot,
	                             .userns = view->userns,
	                             .progress = progress};
}

int naive_view_changes(const struct naive_view *view, struct cst_changes *ret, cst_error **error)
{
	const struct pack_options options = pack_options(view, NULL);
	return changes_trees(view->old_fd, view->tree_fd, &options, ret, error);
}

int naive_view_diff(const struct naive_view *view, const cst_sink *sink,
                    const cst_progress *progress, cst_error **error)
{
	const struct pack_options options = pack_options(view, progress);
	_cleanup_changes_ struct cst_changes changes = {0};
	if (view->old_fd < 0)
		return pack_tree(view->tree_fd, &options, sink, error);
	int r = naive_view_changes(view, &changes, error);
	return r == 0 ? pack_changes(view->tree_fd, &changes, &options, sink, error) : r;
}

int naive_view_size(const struct naive_view *view, int64_t *ret, cst_error **error)
{
	_cleanup_changes_ struct cst_changes changes = {0};
	int r = naive_view_changes(view, &changes, error);
	return r == 0 ? changes_size(view->tree_fd, &changes, ret, error) : r;
}

/* ---- unpacking ---- */

struct unpack_options naive_unpack_options(const struct driver_unpack_policy *policy,
                                           const struct idmaps *maps)
{
	return (struct unpack_options){
	        .pool = policy->pool,
	        .maps = maps->uids.len || maps->gids.len ? maps : NULL,
	        .force_mask = -1,
	        .tarsplit_fd = policy->tarsplit_fd,
	        .original_digest = policy->original_digest,
	        .uncompressed_digest = policy->uncompressed_digest,
	        .sync = policy->sync,
	        .progress = policy->progress,
	        .clone = policy->clone,
	        .copy = policy->copy,
	};
}

int naive_reopen(int dirfd, int *ret_fd, cst_error **error)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open the content of a staged layer");
	*ret_fd = fd;
	return 0;
}

int naive_barrier(const struct tempdir *area, int also_fd, cst_error **error)
{
	struct stat here, also;
	if (fstat(area->fd, &here) < 0 || fstat(also_fd, &also) < 0)
		return error_sys(error, errno, "stat %s/%s", area->shown, area->name);
	if (sys_syncfs(area->fd) < 0 || (here.st_dev != also.st_dev && sys_syncfs(also_fd) < 0))
		return error_sys(error, errno, "syncfs %s/%s", area->shown, area->name);
	return 0;
}

/* ---- staged layers that outlive the process ---- */

int naive_adopt(const char *root, enum tempdir_layout layout, const char *id, struct tempdir **ret,
                int *ret_fd, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = tempdir_adopt(root, layout, id, ret, ret_fd, &problem);
	int errnum = cst_error_errno(problem);
	if (r == 0 || errnum == ENOENT || errnum == ENOTDIR)
		return 0;
	return error_propagate(error, steal_ptr(&problem));
}

int naive_not_staged(const char *id, cst_error **error)
{
	return error_set(error, CST_ELAYER_UNKNOWN, "no staged layer has the ID \"%s\"", id);
}

/* ---- looking ---- */

static int stat_directory(const char *path, struct stat *ret, bool *found, cst_error **error)
{
	if (stat(path, ret) < 0) {
		*found = false;
		return errno == ENOENT || errno == ENOTDIR
		               ? 0
		               : error_sys(error, errno, "stat %s", path);
	}
	*found = S_ISDIR(ret->st_mode);
	return 0;
}

int naive_same_directory(const char *a, const char *b, bool *ret, cst_error **error)
{
	struct stat of_a, of_b;
	bool found_a = false, found_b = false;
	int r = stat_directory(a, &of_a, &found_a, error);
	if (r == 0)
		r = stat_directory(b, &of_b, &found_b, error);
	if (r == 0)
		*ret = found_a && found_b && of_a.st_dev == of_b.st_dev &&
		       of_a.st_ino == of_b.st_ino;
	return r;
}

/* ---- measuring ---- */

int naive_usage(struct driver *d, const char *id, struct driver_usage *ret, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	struct driver_usage usage = {0};
	int r = d->ops->content_open(d, id, &fd, error);
	if (r == 0)
		r = usage_tree(fd, &usage.bytes, &usage.inodes, error);
	if (r == 0)
		*ret = usage;
	return r;
}
