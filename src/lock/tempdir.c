/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary directories, each alive as long as its lock is held. Whoever holds the lock may remove
 * the content, and nobody else. */
#include "lock/tempdir.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include <errno.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

#define PAIR_DIR     "temp-dir-"
#define PAIR_LOCK    "lock-"
#define STAGING_LOCK "staging.lock"
#define MAX_ATTEMPTS 1000
/* A number of ours begins with a zero, and no Go tool's does. One of ours that is half made and not
 * locked is dead, since we lock before we go on. One of a Go tool may be only a moment old: its
 * staging directory exists before the lock file, and the lock file before the lock. */
#define OURS "0"
/* Seconds after which another tool's that is half made counts as dead. */
#define FOREIGN_AGE 60

/* Another process that recovers may unlink the lock file between our open and our lock. Then our
 * lock protects nothing. */
static bool lock_whole_file(int dirfd, const char *name, int fd)
{
	struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(fd, F_OFD_SETLK, &range) == 0 && fs_names_file(dirfd, name, fd);
}

/* Makes and locks a lock file that did not exist. 0; 1: try another name; or an error. */
static int make_lock(int dirfd, const char *name, int *ret_fd, const char *shown, cst_error **error)
{
	_cleanup_close_ int fd =
	        sys_openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 1 : error_sys(error, errno, "open %s/%s", shown, name);
	if (!lock_whole_file(dirfd, name, fd))
		return 1;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int open_root(const char *root_path, int *ret_fd, cst_error **error)
{
	int r = fs_mkdir_p(root_path, 0700, error);
	return r < 0 ? r : fs_open_dir(root_path, ret_fd, error);
}

/* Tries once with the name in d->name. 0; 1: the name is taken; or an error. */
static int make_pair(struct tempdir *d, const char *number, cst_error **error)
{
	d->lock_name = str_printf(PAIR_LOCK "%s", number);
	d->name = str_printf(PAIR_DIR "%s", number);
	if (!d->lock_name || !d->name)
		return error_oom(error);
	int r = make_lock(d->root_fd, d->lock_name, &d->lock_fd, d->shown, error);
	if (r != 0)
		return r;
	if (sys_mkdirat(d->root_fd, d->name, 0700) == 0)
		return 0;
	r = errno == EEXIST ? 1 : error_sys(error, errno, "mkdir %s/%s", d->shown, d->name);
	(void)sys_unlinkat(d->root_fd, d->lock_name, 0);
	return r;
}

static int make_staging(struct tempdir *d, const char *number, cst_error **error)
{
	d->name = strdup(number);
	if (!d->name)
		return error_oom(error);
	if (sys_mkdirat(d->root_fd, d->name, 0700) < 0)
		return errno == EEXIST ? 1
		                       : error_sys(error, errno, "mkdir %s/%s", d->shown, d->name);
	_cleanup_close_ int fd =
	        openat(d->root_fd, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* ENOENT: another process removed it, since no lock was held yet. */
	if (fd < 0)
		return errno == ENOENT ? 1
		                       : error_sys(error, errno, "open %s/%s", d->shown, d->name);
	int r = make_lock(fd, STAGING_LOCK, &d->lock_fd, d->name, NULL);
	/* Before the lock was held, another process may have removed the directory and made another
	 * one of the same name. */
	return r == 0 && fs_names_file(d->root_fd, d->name, fd) ? 0 : 1;
}

static void tempdir_reset(struct tempdir *d)
{
	closep(&d->lock_fd);
	d->lock_fd = -1;
	free(steal_ptr(&d->name));
	free(steal_ptr(&d->lock_name));
}

static int tempdir_make(struct tempdir *d, cst_error **error)
{
	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		uint32_t random;
		int r = random_bytes(&random, sizeof(random), error);
		if (r < 0)
			return r;
		_cleanup_free_ char *number = str_printf(OURS "%u", random);
		if (!number)
			return error_oom(error);
		r = d->layout == TEMPDIR_PAIR ? make_pair(d, number, error)
		                              : make_staging(d, number, error);
		if (r <= 0)
			return r;
		tempdir_reset(d);
	}
	return error_sys(error, EEXIST, "making a temporary directory in %s", d->shown);
}

static void tempdir_release(struct tempdir *d)
{
	tempdir_reset(d);
	closep(&d->fd);
	closep(&d->root_fd);
	free(d->shown);
	free(d);
}
DEFINE_CLEANUP(struct tempdir *, tempdir_release)

static int tempdir_try(struct tempdir *d, const char *root_path, cst_error **error)
{
	int r = open_root(root_path, &d->root_fd, error);
	if (r == 0)
		r = tempdir_make(d, error);
	if (r < 0)
		return r;
	d->fd = openat(d->root_fd, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return d->fd < 0 ? error_sys(error, errno, "open %s/%s", root_path, d->name) : 0;
}

/* A Go tool that shuts down may remove the whole root at any moment. If so, make it again. */
int tempdir_new(const char *root_path, enum tempdir_layout layout, struct tempdir **ret,
                cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	for (int attempt = 0; attempt < 10; attempt++) {
		_cleanup_(tempdir_releasep) struct tempdir *d = new0(struct tempdir, 1);
		if (!d)
			return error_oom(error);
		*d = (struct tempdir){.root_fd = -1,
		                      .fd = -1,
		                      .lock_fd = -1,
		                      .layout = layout,
		                      .shown = strdup(root_path)};
		if (!d->shown)
			return error_oom(error);
		cst_error_free(steal_ptr(&problem));
		if (tempdir_try(d, root_path, &problem) == 0) {
			*ret = steal_ptr(&d);
			return 0;
		}
		if (cst_error_errno(problem) != ENOENT)
			break;
	}
	return error_propagate(error, steal_ptr(&problem));
}

int tempdir_new_for_trash(const char *root_path, enum tempdir_layout layout, struct tempdir **ret,
                          cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = tempdir_new(root_path, layout, ret, &problem);
	if (r < 0 && !error_is_full(problem))
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0)
		*ret = NULL;
	return 0;
}

int tempdir_take(struct tempdir *d, int dirfd, const char *name, cst_error **error)
{
	if (!d)
		return fs_remove_tree(dirfd, name, NULL, error);
	_cleanup_free_ char *item = str_printf("%u-%s", d->counter, name);
	if (!item)
		return error_oom(error);
	if (sys_renameat(dirfd, name, d->fd, item) == 0) {
		d->counter++;
		return 0;
	}
	if (errno_is_full(errno))
		return fs_remove_tree(dirfd, name, NULL, error);
	return errno == ENOENT && !fs_exists(dirfd, name)
	               ? 0
	               : error_sys(error, errno, "rename %s %s/%s/%s", name, d->shown, d->name,
	                           item);
}

/* Removes the content first and the lock file last: a process that finds the lock free may remove
 * what is left. */
static int remove_content(int root_fd, const char *name, const char *lock_name, const char *shown,
                          cst_error **error)
{
	int r = fs_remove_tree(root_fd, name, shown, error);
	if (r == 0 && lock_name && sys_unlinkat(root_fd, lock_name, 0) < 0 && errno != ENOENT)
		r = error_sys(error, errno, "unlink %s/%s", shown, lock_name);
	return r;
}

struct tempdir *tempdir_share(struct tempdir *d)
{
	d->shares++;
	return d;
}

void tempdir_free(struct tempdir *d)
{
	if (!d || d->shares-- > 0)
		return;
	_cleanup_error_ cst_error *problem = NULL;
	if (d->name && remove_content(d->root_fd, d->name, d->lock_name, d->shown, &problem) < 0)
		log_warning("cleaning up %s/%s: %s", d->shown, d->name, cst_error_message(problem));
	tempdir_release(d);
}

/* ---- recovery ---- */

/* Something that cannot be removed, because something is mounted on it, must not keep anybody from
 * using the store. */
static void remove_leftover(int root_fd, const char *name, const char *lock_name, const char *shown)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (remove_content(root_fd, name, lock_name, shown, &problem) < 0)
		log_warning("cleaning up %s/%s: %s", shown, name, cst_error_message(problem));
}

static bool is_young(const struct stat *st)
{
	return time(NULL) - st->st_ctime < FOREIGN_AGE;
}

static int recover_pair(int root_fd, const char *number, const char *shown, cst_error **error)
{
	_cleanup_free_ char *name = str_printf(PAIR_DIR "%s", number),
	                    *lock_name = str_printf(PAIR_LOCK "%s", number);
	if (!name || !lock_name)
		return error_oom(error);
	struct stat st;
	if (!has_prefix(number, OURS) && !fs_exists(root_fd, name) &&
	    fstatat(root_fd, lock_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_young(&st))
		return 0;
	_cleanup_close_ int fd =
	        sys_openat(root_fd, lock_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno_is_full(errno))
		return 0; /* whoever opens the store when there is room again removes it */
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", shown, lock_name);
	if (!lock_whole_file(root_fd, lock_name, fd))
		return 0; /* in use, or another process just removed it */
	remove_leftover(root_fd, name, lock_name, shown);
	return 0;
}

static void recover_staging(int root_fd, const char *name, const char *shown)
{
	_cleanup_close_ int dir =
	        openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return; /* gone, or not ours */
	struct stat st;
	if (!fs_exists(dir, STAGING_LOCK) && !has_prefix(name, OURS) &&
	    (fstat(dir, &st) < 0 || is_young(&st)))
		return;
	/* Makes the lock file if it is missing. A process that is about to make it exclusively then
	 * takes another name. Without this lock nothing may be removed. */
	_cleanup_close_ int fd =
	        sys_openat(dir, STAGING_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && lock_whole_file(dir, STAGING_LOCK, fd))
		remove_leftover(root_fd, name, NULL, shown);
}

static bool is_number(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

/* The number in a name, of either half of a pair. NULL: the name is neither. */
static const char *pair_number(const char *name)
{
	const char *number = NULL;
	if (has_prefix(name, PAIR_DIR))
		number = name + strlen(PAIR_DIR);
	else if (has_prefix(name, PAIR_LOCK))
		number = name + strlen(PAIR_LOCK);
	return number && *number ? number : NULL;
}

int tempdir_recover(const char *root_path, enum tempdir_layout layout, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	int r = fs_list_dir(AT_FDCWD, root_path, &names, NULL, error);
	if (r < 0 || names.len == 0)
		return r;
	_cleanup_close_ int root_fd = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "open %s", root_path);
	_cleanup_strv_ struct strv done = {0};
	for (size_t i = 0; r == 0 && i < names.len; i++) {
		const char *name = names.items[i];
		if (layout == TEMPDIR_STAGING) {
			if (is_number(name))
				recover_staging(root_fd, name, root_path);
			continue;
		}
		const char *number = pair_number(name);
		if (!number || strv_contains(&done, number))
			continue;
		if (!strv_add(&done, number))
			return error_oom(error);
		r = recover_pair(root_fd, number, root_path, error);
	}
	return r;
}
