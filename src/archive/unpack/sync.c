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

void sync_list_give_up(struct unpacker *u)
{
	u->sync.overflow = true;
	strv_free(&u->sync.files);
	strv_free(&u->sync.directories);
}

static bool is_listing(struct unpacker *u)
{
	struct sync_list *list = &u->sync;

	if (list->files.len + list->directories.len >= 2 * (size_t)SYNC_ENTRIES)
		sync_list_give_up(u);
	return u->options->sync && !list->overflow;
}

int sync_list_add_directory(struct unpacker *u, const char *path, size_t n, cst_error **error)
{
	return is_listing(u) ? add_once(&u->sync.directories, path, n, error) : 0;
}

int sync_list_add(struct unpacker *u, const char *path, size_t n, cst_error **error)
{
	const char *slash = memrchr(path, '/', n);
	int r = sync_list_add_directory(u, path, slash ? (size_t)(slash - path) : 0, error);

	if (r < 0 || !is_listing(u))
		return r;
	return add_once(&u->sync.files, path, n, error);
}

static int sync_filesystem(struct unpacker *u, cst_error **error)
{
	_cleanup_close_ int fd = openat(u->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || sys_syncfs(fd) < 0 ? error_sys(error, errno, "syncfs") : 0;
}

/* What is not there was replaced or deleted later in the archive. */
static bool is_gone(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP;
}

static int sync_directory(struct unpacker *u, const char *path, cst_error **error)
{
	_cleanup_close_ int fd =
	        *path ? fs_open_in_root(u->root_fd, path, O_RDONLY | O_DIRECTORY)
	              : openat(u->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && is_gone(errno))
		return 0;
	return fd < 0 || sys_fsync(fd) < 0 ? error_sys(error, errno, "fsync /%s", path) : 0;
}

static int sync_file(struct unpacker *u, const char *path, cst_error **error)
{
	_cleanup_close_ int fd = fs_open_in_root(u->root_fd, path, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return is_gone(errno) ? 0 : error_sys(error, errno, "open /%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0; /* never opened; the directory's fsync covers it */
	_cleanup_close_ int opened =
	        fs_open_in_root(u->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (opened < 0 || sys_fsync(opened) < 0)
		return error_sys(error, errno, "fsync /%s", path);
	return 0;
}

int sync_content(struct unpacker *u, cst_error **error)
{
	const struct sync_list *list = &u->sync;
	int r = 0;

	if (!u->options->sync)
		return 0;
	if (list->overflow)
		return sync_filesystem(u, error);
	for (size_t i = 0; i < list->files.len && r == 0; i++)
		r = sync_file(u, list->files.items[i], error);
	for (size_t i = 0; i < list->directories.len && r == 0; i++)
		r = sync_directory(u, list->directories.items[i], error);
	return r < 0 ? r : sync_directory(u, "", error);
}
