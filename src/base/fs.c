/* SPDX-License-Identifier: Apache-2.0 */
/* Making directories, reading files, and replacing files so that a crash leaves the old content or
 * the new one, whole. */
#include "base/fs.h"
#include "base/id.h"
#include <dirent.h>
#include <errno.h>
#include <stdalign.h>
#include <unistd.h>

int fs_mkdir_p(const char *path, mode_t mode, cst_error **error)
{
	struct stat st;
	bool there = stat(path, &st) == 0;
	if (!there && sys_mkdirat(AT_FDCWD, path, mode) == 0)
		return 0;
	/* Another process may have made it meanwhile. */
	if (there || (errno == EEXIST && stat(path, &st) == 0))
		return S_ISDIR(st.st_mode) ? 0 : error_sys(error, ENOTDIR, "mkdir %s", path);
	/* ENOTDIR: the attempt to make the parent names the component that is not a directory. */
	if (errno != ENOENT && errno != ENOTDIR)
		return error_sys(error, errno, "mkdir %s", path);
	_cleanup_free_ char *parent = strdup(path);
	if (!parent)
		return error_oom(error);
	char *slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return error_sys(error, ENOENT, "mkdir %s", path);
	*slash = '\0';
	int r = fs_mkdir_p(parent, mode, error);
	if (r < 0)
		return r;
	if (sys_mkdirat(AT_FDCWD, path, mode) < 0 && errno != EEXIST)
		return error_sys(error, errno, "mkdir %s", path);
	return 0;
}

ssize_t fs_read_full(int fd, void *buffer, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t got = read(fd, (char *)buffer + done, n - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

ssize_t fs_pread_full(int fd, void *buffer, size_t n, off_t offset)
{
	size_t done = 0;
	while (done < n) {
		ssize_t got = pread(fd, (char *)buffer + done, n - done, offset + (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int fs_must_be_regular(int fd, const char *shown, cst_error **error)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat %s", shown);
	return S_ISREG(st.st_mode)
	               ? 0
	               : error_set(error, CST_ECORRUPT, "%s is not a regular file", shown);
}

int fs_read_fd(int fd, const char *shown, size_t limit, char **ret, size_t *ret_len,
               cst_error **error)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat %s", shown);
	size_t size = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
	_cleanup_free_ char *data = NULL;
	size_t capacity = 0, len = 0;
	for (;;) {
		if (MAX(size, len) > limit)
			return error_set(error, CST_EINVAL, "%s: larger than %zu bytes", shown,
			                 limit);
		char *grown = grow_array(data, &capacity, size ? size + 1 : len + 4096, 1);
		if (!grown)
			return error_oom(error);
		data = grown;
		/* A regular file ends at its size; for a file of /proc the size is 0. */
		size_t wanted = size ? size : capacity - len - 1;
		ssize_t got = fs_read_full(fd, data + len, wanted);
		if (got < 0)
			return error_sys(error, errno, "read %s", shown);
		len += (size_t)got;
		if (size || (size_t)got < wanted)
			break;
	}
	if (len > limit)
		return error_set(error, CST_EINVAL, "%s: larger than %zu bytes", shown, limit);
	data[len] = '\0';
	*ret = steal_ptr(&data);
	*ret_len = len;
	return 0;
}

int fs_read_file(int dirfd, const char *path, size_t limit, char **ret, size_t *ret_len,
                 cst_error **error)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_sys(error, errno, "open %s", path);
	return fs_read_fd(fd, path, limit, ret, ret_len, error);
}

char *fs_readlink(int dirfd, const char *path)
{
	for (size_t size = 256;; size *= 2) {
		_cleanup_free_ char *target = malloc(size);
		if (!target)
			return NULL;
		ssize_t n = readlinkat(dirfd, path, target, size);
		if (n < 0)
			return NULL;
		if ((size_t)n < size) {
			target[n] = '\0';
			return steal_ptr(&target);
		}
	}
}

bool fs_exists(int dirfd, const char *path)
{
	struct stat st;
	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool fs_names_file(int dirfd, const char *name, int fd)
{
	struct stat held, now;
	return fstat(fd, &held) == 0 && fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_dev == now.st_dev && held.st_ino == now.st_ino;
}

bool fs_same_content(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int fs_write_file(int dirfd, const char *name, const void *data, size_t n, mode_t mode,
                  const char *shown, cst_error **error)
{
	if (!shown)
		shown = name;
	_cleanup_close_ int fd = sys_openat(
	        dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return error_sys(error, errno, "open %s", shown);
	if (sys_write_all(fd, data, n) < 0)
		return error_sys(error, errno, "write %s", shown);
	if (sys_close_checked(steal_fd(&fd)) < 0)
		return error_sys(error, errno, "close %s", shown);
	return 0;
}

int fs_fsync_dir(int dirfd, const char *shown, cst_error **error)
{
	if (sys_fsync(dirfd) < 0)
		return error_sys(error, errno, "fsync the directory of %s", shown);
	return 0;
}

int fs_fsync_path(int dirfd, const char *path, const char *shown, cst_error **error)
{
	_cleanup_close_ int fd =
	        openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return error_sys(error, errno, "open %s", shown ? shown : path);
	if (sys_fsync(fd) < 0)
		return error_sys(error, errno, "fsync %s", shown ? shown : path);
	return 0;
}

int fs_list_dir(int dirfd, const char *name, struct strv *ret, const char *shown, cst_error **error)
{
	if (!shown)
		shown = name;
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "open %s", shown);
	_cleanup_strv_ struct strv names = {0};
	alignas(struct dirent64) char entries[2048];
	ssize_t n;
	while ((n = getdents64(fd, (void *)entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
			const char *found = entry->d_name;
			if (!streq(found, ".") && !streq(found, "..") && !strv_add(&names, found))
				return error_oom(error);
			at += entry->d_reclen;
		}
	}
	if (n < 0)
		return error_sys(error, errno, "readdir %s", shown);
	strv_sort(&names);
	strv_free(ret);
	*ret = names;
	names = (struct strv){0};
	return 0;
}
