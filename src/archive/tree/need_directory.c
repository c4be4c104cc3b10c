/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the directories that a copy needs, from the root of a tree down. No name and no symlink
 * in the tree leads out of it. */
#include "archive/tree/need_directory.h"
#include "base/fs.h"
#include "base/fs_private.h"
#include <errno.h>

int open_in_tree(int root, const char *path, int flags)
{
	return root < 0 ? open(path, flags | O_CLOEXEC) : fs_open_in_root(root, path, flags);
}

static int mkdir_failed(const char *shown, const char *path, int problem, cst_error **error)
{
	return error_sys(error, problem, "mkdir %s%s", strempty(shown), path);
}

char *parent_path(const char *path, const char **base)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	*base = path + n;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return n ? strndup(path, n) : strdup(".");
}

/* Makes up/base and opens it; -1 and errno. */
static int make_directory(int up, const char *base, const struct new_directory *new)
{
	_cleanup_close_ int fd = fs_make_dir(up, base, new->mode);
	if (fd < 0)
		return -1;
	if (!new->chown || sys_fchown(fd, new->uid, new->gid) == 0)
		return steal_fd(&fd);
	int problem = errno;
	/* Else the next attempt would take it, with the wrong owner. */
	(void)sys_unlinkat(up, base, AT_REMOVEDIR);
	errno = problem;
	return -1;
}

/* It calls itself for the parent. PATH_MAX, which open() enforces, bounds the depth. */
int need_directory(int root, const char *shown, const char *path, const struct new_directory *new,
                   int *ret, cst_error **error)
{
	const char *rest;
	_cleanup_close_ int up = -1, fd = open_in_tree(root, path, O_PATH | O_DIRECTORY);
	if (fd >= 0) {
		*ret = steal_fd(&fd);
		return 0;
	}
	if (errno != ENOENT && errno != ENOTDIR)
		return mkdir_failed(shown, path, errno, error);
	int problem = errno;
	_cleanup_free_ char *parent = parent_path(path, &rest),
	                    *base = strndup(rest, strcspn(rest, "/"));
	if (!parent || !base)
		return error_oom(error);
	if (!path_is_component(base))
		return mkdir_failed(shown, path, problem, error);
	int r = need_directory(root, shown, parent, new, &up, error);
	if (r < 0)
		return r;
	fd = make_directory(up, base, new);
	if (fd < 0 && errno != EEXIST)
		return mkdir_failed(shown, path, errno, error);
	if (fd < 0)
		fd = open_in_tree(root, path, O_PATH | O_DIRECTORY);
	if (fd < 0) /* a symlink to nowhere: no directory is made through it */
		return mkdir_failed(shown, path, errno == ENOENT ? EEXIST : errno, error);
	*ret = steal_fd(&fd);
	return 0;
}
