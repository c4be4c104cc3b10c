/* SPDX-License-Identifier: Apache-2.0 */
/* The homes of vfs, and finding a layer in them. */
#include "base/fs.h"
#include "driver/vfs/vfs.h"
#include <errno.h>

static char *layers_path(const char *graph_root)
{
	return path_join(graph_root, "vfs/dir");
}

bool vfs_home_is_there(const char *root)
{
	_cleanup_free_ char *path = layers_path(root);
	return path && fs_exists(AT_FDCWD, path);
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

int vfs_home_open(struct vfs *vfs, const char *root, bool read_only, cst_error **error)
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

/* ---- finding layers ---- */

const struct vfs_home *vfs_home_of(const struct vfs *vfs, const char *id)
{
	for (size_t i = 0; i < vfs->n_homes; i++) {
		if (fs_exists(vfs->homes[i].dir_fd, id))
			return &vfs->homes[i];
	}
	return &vfs->homes[0];
}

static int open_own(const struct vfs *vfs, const char *id)
{
	return openat(vfs_home_of(vfs, id)->dir_fd, id,
	              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int vfs_own_layer_open(const struct vfs *vfs, const char *id, int *ret_fd, cst_error **error)
{
	int fd = open_own(vfs, id);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", vfs_home_of(vfs, id)->dir_path, id);
	*ret_fd = fd;
	return 0;
}

int vfs_layer_open(const struct vfs *vfs, const char *id, int *ret_fd, cst_error **error)
{
	int fd = open_own(vfs, id);
	for (size_t i = 0; fd < 0 && i < vfs->image_stores.len; i++) {
		_cleanup_free_ char *dir = layers_path(vfs->image_stores.items[i]),
		                    *path = dir ? path_join(dir, id) : NULL;
		if (!path)
			return error_oom(error);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return error_sys(error, errno, "stat %s/%s", vfs_home_of(vfs, id)->dir_path, id);
	*ret_fd = fd;
	return 0;
}

char *vfs_layer_path(const struct vfs *vfs, const char *id)
{
	char *own = path_join(vfs_home_of(vfs, id)->dir_path, id);
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
