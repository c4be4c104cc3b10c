/* SPDX-License-Identifier: Apache-2.0 */
/* How a lock is held. Each time this process takes a lock, it opens the file anew and gets an
 * open-file-description lock on the whole of it. It gives the lock back with an explicit F_UNLCK: a
 * forked child that has not exec'ed yet shares the description, and would keep the lock after our
 * close. The threads of one process share the one description, so this file tells them apart: the
 * first reader takes the lock of the file, and the last one gives it back. No thread waits for the
 * file with the mutex held, so that another thread can look, try, or give up. */
#include "lock/lockfile.h"
#include "base/fs.h"
#include "base/id.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

struct lockfile {
	char *path;
	bool read_only;
	struct lock_wait wait;
	/* Guards what follows. No thread waits for a lock with it. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int fd; /* -1: not held, or a read-only store without the file */
	unsigned readers;
	bool writer;
	bool taken_now;  /* a thread is about to take the lock of the file */
	bool waited_for; /* that thread found it held by another process */
};

/* Only a regular file can be a lock file. */
static int refuse_other_type(const struct lockfile *lock, const struct stat *st, cst_error **error)
{
	return S_ISREG(st->st_mode)
	               ? 0
	               : error_set(
	                         error, CST_ECORRUPT,
	                         "%s is not a regular file, so it cannot be a lock file: remove it",
	                         lock->path);
}

/* Opens a lock file that exists. Its type is looked at when it is locked. O_NONBLOCK: nobody waits
 * for a FIFO or a device. */
static int open_existing(const struct lockfile *lock, int *ret_fd, cst_error **error)
{
	int mode = lock->read_only ? O_RDONLY : O_RDWR;
	_cleanup_close_ int fd = open(lock->path, mode | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	int errnum = errno;
	if (fd < 0 && errnum == ENOENT) {
		*ret_fd = -1;
		return 0;
	}
	int r = fd < 0 && lstat(lock->path, &st) == 0 ? refuse_other_type(lock, &st, error) : 0;
	if (r < 0)
		return r;
	/* These are the Go tools' words, which scripts look for. */
	if (fd < 0)
		return error_sys(error, errnum, "open %s: open %s", lock->path, lock->path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Makes the file with its missing parents. Another process may make it first. */
static int make_file(const struct lockfile *lock, cst_error **error)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, lock->path, flags, 0644);
	if (fd < 0 && errno == ENOENT) {
		_cleanup_free_ char *parent =
		        strndup(lock->path, (size_t)(path_base(lock->path) - lock->path - 1));
		if (!parent)
			return error_oom(error);
		int r = fs_mkdir_p(parent, 0700, error);
		if (r < 0)
			return r;
		fd = sys_openat(AT_FDCWD, lock->path, flags, 0644);
	}
	return fd < 0 ? error_sys(error, errno, "open %s: open %s", lock->path, lock->path) : 0;
}

/* -1 in *ret_fd: a read-only store without the file. */
static int lockfile_open(const struct lockfile *lock, int *ret_fd, cst_error **error)
{
	int r = open_existing(lock, ret_fd, error);
	if (r < 0 || *ret_fd >= 0 || lock->read_only)
		return r;
	r = make_file(lock, error);
	if (r == 0)
		r = open_existing(lock, ret_fd, error);
	return r == 0 && *ret_fd < 0
	               ? error_sys(error, ENOENT, "open %s: open %s", lock->path, lock->path)
	               : r;
}

static void init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

int lockfile_new(const char *path, bool read_only, struct lockfile **ret, cst_error **error)
{
	struct lockfile *lock = new0(struct lockfile, 1);
	if (!lock)
		return error_oom(error);
	init_condition(&lock->changed);
	pthread_mutex_init(&lock->mutex, NULL);
	lock->fd = -1;
	lock->read_only = read_only;
	lock->path = strdup(path);
	_cleanup_close_ int fd = -1;
	int r = lock->path ? 0 : error_oom(error);
	if (r == 0 && !fs_exists(AT_FDCWD, lock->path)) /* other tools expect to find it */
		r = lockfile_open(lock, &fd, error);
	if (r < 0) {
		lockfile_free(lock);
		return r;
	}
	*ret = lock;
	return 0;
}

void lockfile_free(struct lockfile *lock)
{
	if (!lock)
		return;
	pthread_cond_destroy(&lock->changed);
	pthread_mutex_destroy(&lock->mutex);
	free(lock->path);
	free(lock);
}

void lockfile_set_wait(struct lockfile *lock, const struct lock_wait *wait)
{
	if (lock)
		lock->wait = *wait;
}

const char *lockfile_path(const struct lockfile *lock)
{
	return lock->path;
}

/* Does the path still name the file that was locked? Another process may have removed or replaced it
 * meanwhile. */
static int look_again(const struct lockfile *lock, int fd, bool *still_there, cst_error **error)
{
	struct stat held, now;
	if (fstat(fd, &held) < 0)
		return error_sys(error, errno, "stat %s", lock->path);
	*still_there = lstat(lock->path, &now) == 0 && held.st_dev == now.st_dev &&
	               held.st_ino == now.st_ino;
	return refuse_other_type(lock, &held, error);
}

static void give_back(int fd)
{
	struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	(void)fcntl(fd, F_OFD_SETLK, &range);
}

/* ---- the lock of the file ---- */

/* 0: locked. CST_EBUSY (no error object): another process holds it. */
static int try_file(const struct lockfile *lock, int fd, short type, cst_error **error)
{
	struct flock range = {.l_type = type, .l_whence = SEEK_SET};
	int r;
	do
		r = fcntl(fd, F_OFD_SETLK, &range);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? CST_EBUSY
	                                          : error_sys(error, errno, "lock %s", lock->path);
}

static void note_waited_for(struct lockfile *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock->waited_for = true;
	pthread_cond_broadcast(&lock->changed);
	pthread_mutex_unlock(&lock->mutex);
}

/* `w` NULL: do not wait. -1 in *ret_fd: a read-only store has no lock file, so nobody writes to
 * it. */
static int acquire(struct lockfile *lock, short type, struct waiting *w, int *ret_fd,
                   cst_error **error)
{
	for (;;) {
		_cleanup_close_ int fd = -1;
		int r = lockfile_open(lock, &fd, error);
		if (r < 0)
			return r;
		if (fd < 0) {
			*ret_fd = -1;
			return 0;
		}
		r = try_file(lock, fd, type, error);
		if (r == CST_EBUSY && !w)
			return error_set(error, CST_EBUSY, "%s is locked by another process",
			                 lock->path);
		if (r == CST_EBUSY) {
			note_waited_for(lock);
			r = waiting_lock(w, &fd, type, error);
		}
		if (r < 0)
			return r;
		bool still_there = false;
		r = look_again(lock, fd, &still_there, error);
		if (r == 0 && still_there) {
			*ret_fd = steal_fd(&fd);
			return 0;
		}
		give_back(fd);
		if (r < 0)
			return r;
	}
}

/* ---- the threads of this process ---- */

static bool is_in_the_way(const struct lockfile *lock, enum lock_mode mode)
{
	return lock->taken_now || lock->writer || (mode == LOCKFILE_WRITE && lock->readers);
}

/* Called with the mutex held. Waits until no thread of this process is in the way of `mode`. Also a
 * caller that does not wait (`w` NULL) waits here for a thread that is just taking the lock and
 * finds it free. */
static int enter(struct lockfile *lock, enum lock_mode mode, struct waiting *w, cst_error **error)
{
	int r = 0;
	while (r == 0 && is_in_the_way(lock, mode)) {
		if (!w && lock->taken_now && !lock->waited_for) {
			pthread_cond_wait(&lock->changed, &lock->mutex);
			continue;
		}
		if (!w)
			return error_set(error, CST_EBUSY, "%s is locked by another thread",
			                 lock->path);
		waiting_sleep(w, &lock->changed, &lock->mutex);
		if (!waiting_can_end(w) || !is_in_the_way(lock, mode))
			continue;
		pthread_mutex_unlock(&lock->mutex);
		r = waiting_check(w, error);
		pthread_mutex_lock(&lock->mutex);
	}
	return r;
}

/* Called with the mutex held; gives it back while it takes the lock of the file. */
static int take_file(struct lockfile *lock, enum lock_mode mode, struct waiting *w,
                     cst_error **error)
{
	int fd = -1;
	lock->taken_now = true;
	pthread_mutex_unlock(&lock->mutex);
	int r = acquire(lock, mode == LOCKFILE_WRITE ? F_WRLCK : F_RDLCK, w, &fd, error);
	pthread_mutex_lock(&lock->mutex);
	lock->taken_now = lock->waited_for = false;
	if (r == 0)
		lock->fd = fd;
	pthread_cond_broadcast(&lock->changed);
	return r;
}

static int take(struct lockfile *lock, enum lock_mode mode, struct waiting *w, cst_error **error)
{
	assert(mode == LOCKFILE_READ || mode == LOCKFILE_WRITE);
	if (mode == LOCKFILE_WRITE && lock->read_only)
		return error_set(error, CST_ESTORE_READ_ONLY,
		                 "lock \"%s\" is not a read-write lock", lock->path);
	pthread_mutex_lock(&lock->mutex);
	int r = enter(lock, mode, w, error);
	if (r == 0 && lock->readers == 0)
		r = take_file(lock, mode, w, error);
	if (r == 0) {
		lock->writer = mode == LOCKFILE_WRITE;
		lock->readers += mode == LOCKFILE_READ;
	}
	pthread_mutex_unlock(&lock->mutex);
	if (r == 0)
		(void)lock_wait_listen(NULL);
	return r;
}

int lockfile_lock_for(struct lockfile *lock, enum lock_mode mode, const struct lock_wait *wait,
                      cst_error **error)
{
	_cleanup_waiting_ struct waiting w;
	waiting_start(&w, lock->path, wait);
	return take(lock, mode, &w, error);
}

int lockfile_lock(struct lockfile *lock, enum lock_mode mode, cst_error **error)
{
	return lockfile_lock_for(lock, mode, &lock->wait, error);
}

int lockfile_hold(struct lockfile *lock, enum lock_mode mode, struct lockfile **held,
                  cst_error **error)
{
	int r = lockfile_lock(lock, mode, error);
	if (r == 0)
		*held = lock;
	return r;
}

int lockfile_try(struct lockfile *lock, enum lock_mode mode, cst_error **error)
{
	return take(lock, mode, NULL, error);
}

void lockfile_unlock(struct lockfile *lock)
{
	if (!lock)
		return;
	pthread_mutex_lock(&lock->mutex);
	if (lock->readers)
		lock->readers--;
	lock->writer = false;
	if (lock->readers == 0 && lock->fd >= 0) {
		give_back(lock->fd);
		close(steal_fd(&lock->fd));
	}
	pthread_cond_broadcast(&lock->changed);
	pthread_mutex_unlock(&lock->mutex);
}

void lockfile_unlockp(struct lockfile **lock)
{
	lockfile_unlock(*lock);
}

bool lockfile_held(const struct lockfile *lock, enum lock_mode mode)
{
	assert(mode == LOCKFILE_READ || mode == LOCKFILE_WRITE);
	pthread_mutex_t *mutex = (pthread_mutex_t *)&lock->mutex;
	pthread_mutex_lock(mutex);
	bool held = lock->writer || (mode == LOCKFILE_READ && lock->readers);
	pthread_mutex_unlock(mutex);
	return held;
}

/* ---- the token, docs/format/store.md, "Lock protocol" ---- */

int lockfile_read_token(struct lockfile *lock, struct lock_token *ret, cst_error **error)
{
	struct lock_token token = {0};
	if (lock->fd >= 0) {
		ssize_t n = fs_pread_full(lock->fd, token.bytes, sizeof(token.bytes), 0);
		if (n < 0)
			return error_sys(error, errno, "read %s", lock->path);
		token.len = (size_t)n;
	}
	*ret = token;
	return 0;
}

static void put_le(unsigned char *to, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)(value >> (8 * i));
}

int lockfile_touch(struct lockfile *lock, struct lock_token *ret, cst_error **error)
{
	static atomic_uint_fast64_t counter;
	assert(lockfile_held(lock, LOCKFILE_WRITE));
	struct lock_token token = {.len = LOCK_TOKEN_SIZE};
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	put_le(token.bytes, (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec, 8);
	put_le(token.bytes + 8, ++counter, 8);
	put_le(token.bytes + 16, (uint64_t)getpid(), 4);
	int r = random_bytes(token.bytes + 20, LOCK_TOKEN_SIZE - 20, error);
	if (r < 0)
		return r;
	if (sys_pwrite_all(lock->fd, token.bytes, token.len, 0) < 0)
		return error_sys(error, errno, "write %s", lock->path);
	*ret = token;
	return 0;
}

bool lock_token_equal(const struct lock_token *a, const struct lock_token *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
