/* SPDX-License-Identifier: Apache-2.0 */
/* Content onto the disk: each file and directory when they are few, else one barrier for the file
 * system. */
#include "archive/unpack/sync.h"
#include "base/fs.h"
#include <errno.h>

/* Up to this many entries are synced one by one. */
#define SYNC_ENTRIES 64

static bool is_listed(const struct strv *paths, const char *path, size_t n)
{
	for (size_t i = paths->len; i > 0; i--)
		if (strlen(paths->items[i - 1]) == n && memcmp(paths->items[i - 1], path, n) == 0)
			return true;
	return false;
}

static int add_once(struct strv *paths, const char *path, size_t n, cst_error **error)
{
	return is_listed(paths, path, n) || strv_addn(paths, path, n) ? 0 : error_oom(error);
}

void sync_list_give_up(struct sync_list *list)
{
	list->overflow = true;
	strv_free(&list->files);
	strv_free(&list->directories);
}

static bool is_listing(struct sync_list *list)
{
	if (list->files.len + list->directories.len >= 2 * (size_t)SYNC_ENTRIES)
		sync_list_give_up(list);
	return list->wanted && !list->overflow;
}

int sync_list_add_directory(struct sync_list *list, const char *path, size_t n, cst_error **error)
{
	return is_listing(list) ? add_once(&list->directories, path, n, error) : 0;
}

int sync_list_add(struct sync_list *list, const char *path, size_t n, cst_error **error)
{
	const char *slash = memrchr(path, '/', n);
	int r = sync_list_add_directory(list, path, slash ? (size_t)(slash - path) : 0, error);

	if (r < 0 || !is_listing(list))
		return r;
	return add_once(&list->files, path, n, error);
}

static int sync_filesystem(struct sync_list *list, cst_error **error)
{
	_cleanup_close_ int fd = openat(list->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || sys_syncfs(fd) < 0 ? error_sys(error, errno, "syncfs") : 0;
}

/* What is not there was replaced or deleted later in the archive. */
static bool is_gone(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP;
}

static int sync_directory(struct sync_list *list, const char *path, cst_error **error)
{
	_cleanup_close_ int fd =
	        *path ? fs_open_in_root(list->root_fd, path, O_RDONLY | O_DIRECTORY)
	              : openat(list->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && is_gone(errno))
		return 0;
	return fd < 0 || sys_fsync(fd) < 0 ? error_sys(error, errno, "fsync /%s", path) : 0;
}

static int sync_file(struct sync_list *list, const char *path, cst_error **error)
{
	_cleanup_close_ int fd = fs_open_in_root(list->root_fd, path, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return is_gone(errno) ? 0 : error_sys(error, errno, "open /%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0; /* never opened; the directory's fsync covers it */
	_cleanup_close_ int opened =
	        fs_open_in_root(list->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (opened < 0 || sys_fsync(opened) < 0)
		return error_sys(error, errno, "fsync /%s", path);
	return 0;
}

int sync_content(struct sync_list *list, cst_error **error)
{
	int r = 0;

	if (!list->wanted)
		return 0;
	if (list->overflow)
		return sync_filesystem(list, error);
	for (size_t i = 0; i < list->files.len && r == 0; i++) {
		const char *path = list->files.items[i];
		if (!is_listed(&list->directories, path, strlen(path)))
			r = sync_file(list, path, error);
	}
	for (size_t i = 0; i < list->directories.len && r == 0; i++)
		r = sync_directory(list, list->directories.items[i], error);
	if (r == 0 && !is_listed(&list->directories, "", 0))
		r = sync_directory(list, "", error);
	return r;
}
