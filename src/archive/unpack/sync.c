/* SPDX-License-Identifier: Apache-2.0 */
/* Content onto the disk: each file and directory when they are few, else one barrier for the file
 * system. */
#include "archive/unpack/internal.h"
#include "base/fs.h"
#include <errno.h>

static int add_once(struct strv *paths, const char *path, size_t n, cst_error **error)
{
	for (size_t i = paths->len; i > 0; i--)
		if (strlen(paths->items[i - 1]) == n && memcmp(paths->items[i - 1], path, n) == 0)
			return 0;
	return strv_addn(paths, path, n) ? 0 : error_oom(error);
}

static void sync_list_give_up(struct unpacker *u)
{
	u->sync.overflow = true;
	strv_free(&u->sync.paths);
}

/* Remembers path[0..n) and, since a name in it changed, its parent. */
int sync_list_add(struct unpacker *u, const char *path, size_t n, cst_error **error)
{
	struct sync_list *list = &u->sync;

	if (!u->options->sync || list->overflow)
		return 0;
	if (list->paths.len >= 2 * (size_t)SYNC_ENTRIES) {
		sync_list_give_up(u);
		return 0;
	}
	const char *slash = memrchr(path, '/', n);
	int r = add_once(&list->paths, path, slash ? (size_t)(slash - path) : 0, error);
	return r < 0 ? r : add_once(&list->paths, path, n, error);
}

static int sync_filesystem(struct unpacker *u, cst_error **error)
{
	_cleanup_close_ int fd = openat(u->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || sys_syncfs(fd) < 0 ? error_sys(error, errno, "syncfs") : 0;
}

static int sync_path(struct unpacker *u, const char *path, cst_error **error)
{
	_cleanup_close_ int fd =
	        *path ? fs_open_in_root(u->root_fd, path, O_PATH | O_NOFOLLOW) : -1;
	struct stat st;

	if (*path && (fd < 0 || fstat(fd, &st) < 0)) /* replaced later in the archive */
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
		               ? 0
		               : error_sys(error, errno, "open /%s", path);
	if (*path && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0; /* never opened; the directory's fsync covers it */
	_cleanup_close_ int opened =
	        *path ? fs_open_in_root(u->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
	              : openat(u->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (opened < 0 || sys_fsync(opened) < 0)
		return error_sys(error, errno, "fsync /%s", path);
	return 0;
}

int sync_content(struct unpacker *u, cst_error **error)
{
	int r = 0;

	if (!u->options->sync)
		return 0;
	if (u->sync.overflow)
		return sync_filesystem(u, error);
	for (size_t i = 0; i < u->sync.paths.len && r == 0; i++)
		r = sync_path(u, u->sync.paths.items[i], error);
	return r < 0 ? r : sync_path(u, "", error);
}
