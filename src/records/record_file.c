/* SPDX-License-Identifier: Apache-2.0 */
/* One file of records: finds out whether it changed, reads it, and replaces it. */
#include "records/record_file.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <unistd.h>

/* Far above any real store; keeps a damaged file system from taking all memory. */
#define LARGEST_FILE ((size_t)1 << 30)

int record_file_init(struct record_file *file, const char *dir, const char *name, bool is_volatile,
                     cst_error **error)
{
	*file = (struct record_file){.name = name,
	                             .fd = -1,
	                             .is_volatile = is_volatile,
	                             .dir = strdup(dir),
	                             .path = path_join(dir, name)};
	if (file->dir && file->path)
		return 0;
	record_file_free(file);
	return error_oom(error);
}

void record_file_free(struct record_file *file)
{
	closep(&file->fd);
	free(file->dir);
	free(file->path);
	*file = (struct record_file){.fd = -1};
}

void record_file_close(struct record_file *file)
{
	if (file->fd >= 0)
		close(steal_fd(&file->fd));
}

static struct file_identity identity_of(const struct stat *st)
{
	return (struct file_identity){.exists = true,
	                              .dev = st->st_dev,
	                              .ino = st->st_ino,
	                              .size = st->st_size,
	                              .mtime = st->st_mtim,
	                              .ctime = st->st_ctim};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_identity(const struct file_identity *a, const struct file_identity *b)
{
	return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino &&
	       a->size == b->size && same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime);
}

int record_file_changed(const struct record_file *file, bool *ret, cst_error **error)
{
	struct stat st;
	struct file_identity now = {0};
	if (lstat(file->path, &st) == 0)
		now = identity_of(&st);
	else if (errno != ENOENT)
		return error_sys(error, errno, "stat %s", file->path);
	*ret = !same_identity(&now, &file->identity);
	return 0;
}

/* -1 in *ret: there is no such file. Nothing but a regular file is read: a symlink could lead out of
 * a store that somebody else made, and a FIFO or a device would keep this process waiting. */
static int open_regular(const char *path, struct stat *st, int *ret, cst_error **error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	int errnum = errno;
	if (fd < 0 && errnum == ENOENT) {
		*ret = -1;
		return 0;
	}
	bool there = fd >= 0 ? fstat(fd, st) == 0 : lstat(path, st) == 0;
	if (there && !S_ISREG(st->st_mode))
		return error_go_words(
		        error,
		        error_set(error, CST_ECORRUPT, "loading \"%s\": not a regular file", path),
		        path, "loading \"%s\": not a regular file", path);
	if (fd < 0 || !there)
		return error_sys(error, fd < 0 ? errnum : errno, "open %s", path);
	*ret = steal_fd(&fd);
	return 0;
}

int record_file_open(struct record_file *file, cst_error **error)
{
	struct stat st;
	int fd = -1;
	int r = open_regular(file->path, &st, &fd, error);
	if (r < 0)
		return r;
	record_file_close(file);
	file->fd = fd;
	file->identity = fd >= 0 ? identity_of(&st) : (struct file_identity){0};
	file->swept = false;
	return 0;
}

bool record_file_open_same(const struct record_file *file, int *ret)
{
	struct stat st;
	struct file_identity now = {0};
	int fd = -1;
	if (open_regular(file->path, &st, &fd, NULL) < 0)
		return false;
	if (fd >= 0)
		now = identity_of(&st);
	*ret = fd;
	return same_identity(&now, &file->identity);
}

int record_file_read(struct record_file *file, char **ret, size_t *ret_len, cst_error **error)
{
	const size_t size = file->fd >= 0 ? (size_t)file->identity.size : 0;
	if (size > LARGEST_FILE)
		return error_set(error, CST_EINVAL, "%s: larger than %zu bytes", file->path,
		                 LARGEST_FILE);
	_cleanup_free_ char *text = malloc(size + 1);
	if (!text)
		return error_oom(error);
	ssize_t got = size ? fs_pread_full(file->fd, text, size, 0) : 0;
	if (got < 0)
		return error_sys(error, errno, "read %s", file->path);
	text[got] = '\0';
	*ret = steal_ptr(&text);
	*ret_len = (size_t)got;
	return 0;
}

/* Temporary files of writers that died. Every writer holds the lock that the caller holds, so none
 * is in use. That one cannot be removed is no reason to fail. */
static void sweep(int dirfd, const struct record_file *file)
{
	_cleanup_free_ char *prefix = str_printf(".tmp-%s", file->name);
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = prefix && fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		return;
	(void)steal_fd(&fd);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (has_prefix(entry->d_name, prefix) && sys_unlinkat(dirfd, entry->d_name, 0) < 0)
			log_warning("removing stale %s/%s: %s", file->dir, entry->d_name,
			            errno_text(errno));
	}
	closedir(dir);
}

static int open_dir(const struct record_file *file, int *ret, cst_error **error)
{
	int r = fs_mkdir_p(file->dir, 0700, error);
	return r < 0 ? r : fs_open_dir(file->dir, ret, error);
}

int record_file_write(struct record_file *file, const struct fs_content *content, cst_error **error)
{
	_cleanup_close_ int dirfd = -1;
	struct stat st;
	int r = open_dir(file, &dirfd, error);
	if (r < 0)
		return r;
	if (!file->swept)
		sweep(dirfd, file);
	file->swept = true;
	r = fs_replace_file_by(dirfd, file->name, content, 0600,
	                       FS_LOCKED | FS_RESERVED | (file->is_volatile ? 0 : FS_DURABLE),
	                       file->path, error);
	if (r < 0)
		return r;
	if (fstatat(dirfd, file->name, &st, 0) < 0)
		return error_sys(error, errno, "stat %s", file->path);
	file->identity = identity_of(&st);
	file->lacks_reserve = !fs_keep_reserve(dirfd, file->name, content->size);
	return 0;
}

/* True also if the file has that name already: a repair was interrupted. */
static bool give_name(int dirfd, const char *name, const char *aside, const struct stat *st)
{
	struct stat other;
	int done = S_ISREG(st->st_mode)
	                   ? sys_linkat(dirfd, name, dirfd, aside, 0)
	                   : sys_renameat2(dirfd, name, dirfd, aside, RENAME_NOREPLACE);
	if (done == 0)
		return true;
	int errnum = errno;
	bool same = errnum == EEXIST && fstatat(dirfd, aside, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
	            other.st_ino == st->st_ino && other.st_dev == st->st_dev;
	errno = errnum;
	return same;
}

int record_file_put_aside(const struct record_file *file, const char *when, cst_error **error)
{
	_cleanup_close_ int dirfd = -1;
	struct stat st;
	int r = fs_open_dir(file->dir, &dirfd, error);
	if (r < 0)
		return r;
	if (fstatat(dirfd, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "stat %s", file->path);
	_cleanup_free_ char *aside = str_join(file->name, ".damaged-", when);
	if (!aside)
		return error_oom(error);
	/* Two within one second. */
	while (!give_name(dirfd, file->name, aside, &st)) {
		char *longer =
		        errno == EEXIST && strlen(aside) < NAME_MAX ? str_join(aside, "x") : NULL;
		if (!longer)
			return error_sys(error, errno, "putting %s aside as %s", file->path, aside);
		free(aside);
		aside = longer;
	}
	return fs_fsync_dir(dirfd, file->path, error);
}

int record_file_blame(const struct record_file *file, int code, cst_error **error)
{
	if (!error || code != CST_ECORRUPT)
		return code;
	_cleanup_free_ char *words = strdup(cst_error_go_message(*error));
	return words ? error_go_words(error, code, file->path, "%s", words) : code;
}

void record_file_retry_reserve(struct record_file *file)
{
	_cleanup_close_ int dirfd = -1;
	if (file->lacks_reserve && fs_open_dir(file->dir, &dirfd, NULL) == 0)
		file->lacks_reserve =
		        !fs_keep_reserve(dirfd, file->name, (size_t)file->identity.size);
}
