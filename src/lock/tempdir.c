/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary directories, each alive as long as its lock is held. Whoever holds the lock may remove
 * the content, and nobody else. */
#include "lock/tempdir.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include <errno.h>
#include <linux/fs.h>
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

/* The name of the lock below the root; of the layout with a lock inside it is a path. The caller frees it. */
static char *lock_path(enum tempdir_layout layout, const char *number)
{
	return layout == TEMPDIR_PAIR ? str_join(PAIR_LOCK, number)
	                              : path_join(number, STAGING_LOCK);
}

const char *tempdir_number(const struct tempdir *d)
{
	return d->layout == TEMPDIR_PAIR ? d->name + strlen(PAIR_DIR) : d->name;
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
	if (r < 0 || !lock_name || sys_unlinkat(root_fd, lock_name, 0) == 0)
		return r;
	return errno == ENOENT ? 0 : fs_remove_tree(root_fd, lock_name, shown, error);
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
	if (d->name && !d->kept &&
	    remove_content(d->root_fd, d->name, d->lock_name, d->shown, &problem) < 0)
		log_warning("cleaning up %s/%s: %s", d->shown, d->name, cst_error_message(problem));
	tempdir_release(d);
}

void tempdir_leave(struct tempdir *d)
{
	tempdir_release(d);
}

/* ---- directories that outlive their process ---- */

#define KEEP_MADE "keep" /* what takes the place of the lock file, while it is made */

static int write_kept(const struct tempdir *d, tempdir_write fill, void *userdata, int *ret_lock,
                      cst_error **error)
{
	if (sys_mkdirat(d->fd, KEEP_MADE, 0700) < 0)
		return error_sys(error, errno, "mkdir %s/%s/%s", d->shown, d->name, KEEP_MADE);
	_cleanup_close_ int fd =
	        openat(d->fd, KEEP_MADE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s/%s", d->shown, d->name, KEEP_MADE);
	int r = make_lock(fd, KEPT_HOLDER, ret_lock, d->name, error);
	if (r == 0)
		r = fill(fd, userdata, error);
	if (r == 0)
		r = fs_fsync_dir(fd, d->name, error);
	return r == 0 ? fs_fsync_dir(d->fd, d->name, error) : r;
}

/* The directory takes the place of the lock file, in one step. */
static int exchange_lock(const struct tempdir *d, cst_error **error)
{
	_cleanup_free_ char *lock = lock_path(d->layout, tempdir_number(d));
	if (!lock)
		return error_oom(error);
	if (!fs_names_file(d->root_fd, lock, d->lock_fd))
		return error_sys(error, ENOENT, "%s/%s was removed by another program", d->shown,
		                 d->name);
	if (sys_renameat2(d->fd, KEEP_MADE, d->root_fd, lock, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS)
		return error_set(
		        error, CST_ENOTSUP,
		        "the file system of %s cannot exchange two names, so nothing there "
		        "outlives its process",
		        d->shown);
	return error_sys(error, errno, "rename %s %s/%s", KEEP_MADE, d->shown, lock);
}

int tempdir_keep(struct tempdir *d, tempdir_write fill, void *userdata, cst_error **error)
{
	_cleanup_close_ int lock_fd = -1;
	int r = write_kept(d, fill, userdata, &lock_fd, error);
	if (r == 0)
		r = exchange_lock(d, error);
	if (r != 0) {
		(void)fs_remove_tree(d->fd, KEEP_MADE, NULL, NULL);
		return r;
	}
	d->kept = true;
	closep(&d->lock_fd);
	d->lock_fd = steal_fd(&lock_fd);
	(void)sys_unlinkat(d->fd, KEEP_MADE, 0); /* the lock file */
	r = fs_fsync_dir(d->fd, d->name, error);
	if (r == 0)
		r = fs_fsync_dir(d->root_fd, d->shown, error);
	if (r < 0)
		(void)tempdir_unkeep(d, NULL);
	return r;
}

static bool is_kept(int root_fd, const char *lock)
{
	_cleanup_free_ char *state = path_join(lock, KEPT_STATE);
	return state && fs_exists(root_fd, state);
}

int tempdir_list_kept(const char *root_path, enum tempdir_layout layout, struct strv *ret,
                      cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	int r = fs_list_dir(AT_FDCWD, root_path, &names, NULL, error);
	if (r < 0 || names.len == 0)
		return r;
	_cleanup_close_ int root_fd = -1;
	r = fs_open_dir(root_path, &root_fd, error);
	strv_foreach (name, &names) {
		const char *number = layout == TEMPDIR_STAGING ? name : NULL;
		if (layout == TEMPDIR_PAIR && has_prefix(name, PAIR_DIR))
			number = name + strlen(PAIR_DIR);
		if (r < 0 || !number)
			continue;
		_cleanup_free_ char *lock = lock_path(layout, number);
		if (!lock || (is_kept(root_fd, lock) && !strv_add(ret, number)))
			r = error_oom(error);
	}
	return r;
}

/* Opens the directory in the place of a lock, and locks it for this process. */
static int take_kept(const struct tempdir *d, const char *lock, int *ret_lock, int *ret_fd,
                     cst_error **error)
{
	_cleanup_close_ int dir =
	        fs_open_beneath(d->root_fd, lock, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	_cleanup_close_ int fd =
	        dir < 0 ? -1
	                : openat(dir, KEPT_HOLDER, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", d->shown, lock);
	if (!lock_whole_file(dir, KEPT_HOLDER, fd))
		return error_set(error, CST_EBUSY, "another process is at work in %s/%s", d->shown,
		                 d->name);
	if (!fs_exists(dir, KEPT_STATE))
		return error_sys(error, ENOENT, "open %s/%s/%s", d->shown, lock, KEPT_STATE);
	*ret_lock = steal_fd(&fd);
	*ret_fd = steal_fd(&dir);
	return 0;
}

int tempdir_adopt(const char *root_path, enum tempdir_layout layout, const char *number,
                  struct tempdir **ret, int *ret_fd, cst_error **error)
{
	_cleanup_(tempdir_releasep) struct tempdir *d = new0(struct tempdir, 1);
	_cleanup_free_ char *lock = lock_path(layout, number);
	if (!d)
		return error_oom(error);
	*d = (struct tempdir){.root_fd = -1,
	                      .fd = -1,
	                      .lock_fd = -1,
	                      .layout = layout,
	                      .kept = true,
	                      .shown = strdup(root_path)};
	d->name = layout == TEMPDIR_PAIR ? str_join(PAIR_DIR, number) : strdup(number);
	d->lock_name = layout == TEMPDIR_PAIR && lock ? strdup(lock) : NULL;
	if (!lock || !d->shown || !d->name || (layout == TEMPDIR_PAIR && !d->lock_name))
		return error_oom(error);
	int r = path_is_component(number) ? fs_open_dir(root_path, &d->root_fd, error)
	                                  : error_sys(error, ENOENT, "open %s", number);
	if (r == 0)
		r = take_kept(d, lock, &d->lock_fd, ret_fd, error);
	if (r < 0)
		return r;
	d->fd = openat(d->root_fd, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (d->fd < 0) {
		closep(ret_fd);
		return error_sys(error, errno, "open %s/%s", root_path, d->name);
	}
	*ret = steal_ptr(&d);
	return 0;
}

static int remove_state(int root_fd, enum tempdir_layout layout, const char *number,
                        const char *shown, cst_error **error)
{
	_cleanup_free_ char *lock = lock_path(layout, number);
	_cleanup_free_ char *state = lock ? path_join(lock, KEPT_STATE) : NULL;
	if (!state)
		return error_oom(error);
	if (sys_unlinkat(root_fd, state, 0) < 0)
		return errno == ENOENT || errno == ENOTDIR
		               ? 0
		               : error_sys(error, errno, "unlink %s/%s", shown, state);
	return fs_fsync_path(root_fd, lock, shown, error);
}

int tempdir_unkeep(struct tempdir *d, cst_error **error)
{
	if (!d->kept)
		return 0;
	int r = remove_state(d->root_fd, d->layout, tempdir_number(d), d->shown, error);
	if (r == 0)
		d->kept = false;
	return r;
}

int tempdir_forget(const char *root_path, enum tempdir_layout layout, const char *number,
                   cst_error **error)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_close_ int root_fd = -1;
	int r = tempdir_find_kept(root_path, layout, number, &dir, error);
	if (r < 0 || !dir)
		return r;
	r = fs_open_dir(root_path, &root_fd, error);
	return r == 0 ? remove_state(root_fd, layout, number, root_path, error) : r;
}

int tempdir_find_kept(const char *root_path, enum tempdir_layout layout, const char *number,
                      char **ret_dir, cst_error **error)
{
	_cleanup_free_ char *lock = lock_path(layout, number);
	_cleanup_close_ int root_fd = -1;
	*ret_dir = NULL;
	if (!lock)
		return error_oom(error);
	if (!path_is_component(number) || !fs_exists(AT_FDCWD, root_path))
		return 0;
	int r = fs_open_dir(root_path, &root_fd, error);
	if (r < 0 || !is_kept(root_fd, lock))
		return r;
	*ret_dir = layout == TEMPDIR_PAIR ? str_join(PAIR_DIR, number) : strdup(number);
	return *ret_dir ? 0 : error_oom(error);
}

/* ---- recovery ---- */

/* Somebody died between giving up its state and removing it, maybe with the lock removed already. */
static bool is_dead_kept(int root_fd, const char *lock)
{
	_cleanup_free_ char *holder = path_join(lock, KEPT_HOLDER);
	if (!holder || is_kept(root_fd, lock))
		return false;
	_cleanup_close_ int fd = fs_open_beneath(root_fd, holder, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? errno == ENOENT
	              : lock_whole_file(root_fd, holder, fd) && !is_kept(root_fd, lock);
}

bool tempdir_is_ours(const char *number)
{
	return has_prefix(number, OURS);
}

struct emptier {
	tempdir_empty empty;
	void *userdata;
};

static int empty_first(int root_fd, const char *name, const struct emptier *first,
                       cst_error **error)
{
	_cleanup_close_ int fd =
	        first ? openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	const char *number = has_prefix(name, PAIR_DIR) ? name + strlen(PAIR_DIR) : name;
	return fd < 0 ? 0 : first->empty(fd, number, first->userdata, error);
}

/* Something that cannot be removed, because something is mounted on it, must not keep anybody from
 * using the store. */
static void remove_leftover(int root_fd, const char *name, const char *lock_name, const char *shown,
                            const struct emptier *first)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (empty_first(root_fd, name, first, &problem) < 0 ||
	    remove_content(root_fd, name, lock_name, shown, &problem) < 0)
		log_warning("cleaning up %s/%s: %s", shown, name, cst_error_message(problem));
}

static bool is_young(const struct stat *st)
{
	return time(NULL) - st->st_ctime < FOREIGN_AGE;
}

static int recover_pair(int root_fd, const char *number, const char *shown,
                        const struct emptier *first, cst_error **error)
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
	if (fd < 0 && errno == EISDIR) {
		if (is_dead_kept(root_fd, lock_name))
			remove_leftover(root_fd, name, lock_name, shown, first);
		return 0;
	}
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", shown, lock_name);
	if (!lock_whole_file(root_fd, lock_name, fd))
		return 0; /* in use, or another process just removed it */
	remove_leftover(root_fd, name, lock_name, shown, first);
	return 0;
}

static void recover_staging(int root_fd, const char *name, const char *shown,
                            const struct emptier *first)
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
	bool is_dead = fd < 0 && errno == EISDIR
	                       ? is_dead_kept(dir, STAGING_LOCK)
	                       : fd >= 0 && lock_whole_file(dir, STAGING_LOCK, fd);
	if (is_dead)
		remove_leftover(root_fd, name, NULL, shown, first);
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

static int recover_all(const char *root_path, enum tempdir_layout layout,
                       const struct emptier *first, cst_error **error)
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
				recover_staging(root_fd, name, root_path, first);
			continue;
		}
		const char *number = pair_number(name);
		if (!number || strv_contains(&done, number))
			continue;
		if (!strv_add(&done, number))
			return error_oom(error);
		r = recover_pair(root_fd, number, root_path, first, error);
	}
	return r;
}

int tempdir_recover(const char *root_path, enum tempdir_layout layout, cst_error **error)
{
	return recover_all(root_path, layout, NULL, error);
}

int tempdir_recover_with(const char *root_path, enum tempdir_layout layout, tempdir_empty empty,
                         void *userdata, cst_error **error)
{
	return recover_all(root_path, layout, &(struct emptier){empty, userdata}, error);
}
