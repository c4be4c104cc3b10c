/* SPDX-License-Identifier: Apache-2.0 */
/* The homes of a driver whose layers are trees, and finding a layer in them. */
#include "base/fs.h"
#include "driver/trees/trees.h"
#include <errno.h>
#include <unistd.h>

static char *layers_path(const struct trees *trees, const char *graph_root)
{
	return path_join3(graph_root, trees->base.ops->name, trees->kind->place);
}

bool trees_homes_are_there(const char *name, const struct trees_kind *kind,
                           const struct driver_config *config)
{
	bool two = config->image_store && kind->in_image_store;
	_cleanup_free_ char *path = path_join3(config->graph_root, name, kind->place),
	                    *other =
	                            two ? path_join3(config->image_store, name, kind->place) : NULL;
	return path && fs_exists(AT_FDCWD, path) && (!two || (other && fs_exists(AT_FDCWD, other)));
}

static int make_home(const struct trees_home *home, cst_error **error)
{
	if (fs_exists(AT_FDCWD, home->layers_path))
		return 0;
	int r = fs_mkdir_p(home->layers_path, 0700, error);
	_cleanup_close_ int fd = -1, root = -1;
	if (r == 0)
		r = fs_open_dir(home->path, &fd, error);
	if (r < 0)
		return r;
	root = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fs_fsync_dir(fd, home->path, error);
	return r == 0 && root >= 0 ? fs_fsync_dir(root, home->path, error) : r;
}

int trees_home_open(struct trees *trees, const char *root, bool read_only, cst_error **error)
{
	struct trees_home *home = &trees->homes[trees->n_homes++];
	*home = (struct trees_home){
	        .path = path_join(root, trees->base.ops->name),
	        .layers_path = layers_path(trees, root),
	        .tempdirs = path_join3(root, trees->base.ops->name, "tempdirs"),
	        .layers_fd = -1,
	};
	if (!home->path || !home->layers_path || !home->tempdirs)
		return error_oom(error);
	int r = read_only ? 0 : make_home(home, error);
	return r == 0 ? fs_open_dir(home->layers_path, &home->layers_fd, error) : r;
}

/* ---- finding layers ---- */

const struct trees_home *trees_home_of(const struct trees *trees, const char *id)
{
	for (size_t i = 0; i < trees->n_homes; i++) {
		if (fs_exists(trees->homes[i].layers_fd, id))
			return &trees->homes[i];
	}
	return &trees->homes[0];
}

/* The way up from the temporary directory would lead to a mount that was made on the home since then. So both are opened on the
 * way down, and the temporary directory's descriptor becomes the new one. */
int trees_beside(const struct trees_home *home, const struct tempdir *area, const char *name,
                 int *ret_fd, cst_error **error)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	_cleanup_free_ char *way = path_join("tempdirs", area->name);
	_cleanup_close_ int home_fd = -1, area_fd = -1, fd = -1;
	int r = way ? fs_open_dir(home->path, &home_fd, error) : error_oom(error);
	if (r < 0)
		return r;
	area_fd = openat(home_fd, way, flags);
	if (area_fd < 0 || dup3(area_fd, area->fd, O_CLOEXEC) < 0)
		return error_sys(error, errno, "open %s/%s", home->path, way);
	fd = openat(home_fd, name, flags);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", home->path, name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int open_own(const struct trees *trees, const char *id)
{
	if (trees->kind->open_layer)
		return trees->kind->open_layer(trees, id);
	return openat(trees_home_of(trees, id)->layers_fd, id,
	              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* trees_home_of() looks for the layer too, which changes errno. */
int trees_own_layer_open(const struct trees *trees, const char *id, int *ret_fd, cst_error **error)
{
	int fd = open_own(trees, id), errnum = errno;
	if (fd < 0)
		return error_sys(error, errnum, "open %s/%s", trees_home_of(trees, id)->layers_path,
		                 id);
	*ret_fd = fd;
	return 0;
}

int trees_layer_open(const struct trees *trees, const char *id, int *ret_fd, cst_error **error)
{
	int fd = open_own(trees, id), errnum = errno;
	for (size_t i = 0; fd < 0 && errnum == ENOENT && i < trees->image_stores.len; i++) {
		_cleanup_free_ char *dir = layers_path(trees, trees->image_stores.items[i]),
		                    *path = dir ? path_join(dir, id) : NULL;
		if (!path)
			return error_oom(error);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		errnum = errno;
	}
	if (fd < 0)
		return error_sys(error, errnum, "stat %s/%s", trees_home_of(trees, id)->layers_path,
		                 id);
	*ret_fd = fd;
	return 0;
}

char *trees_layer_path(const struct trees *trees, const char *id)
{
	char *own = path_join(trees_home_of(trees, id)->layers_path, id);
	if (!own || fs_exists(AT_FDCWD, own))
		return own;
	for (size_t i = 0; i < trees->image_stores.len; i++) {
		_cleanup_free_ char *dir = layers_path(trees, trees->image_stores.items[i]);
		_cleanup_free_ char *path = dir ? path_join(dir, id) : NULL;
		if (path && fs_exists(AT_FDCWD, path)) {
			free(own);
			return steal_ptr(&path);
		}
	}
	return own;
}
