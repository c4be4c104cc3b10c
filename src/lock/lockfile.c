/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a lock is held: every acquisition opens the file anew and takes an open-file-description lock
 * on the whole of it; giving it back is an explicit F_UNLCK (a forked child that has not yet
 * exec'ed shares the description and would keep the lock alive past our close). Threads of one
 * process would share a description's lock, so a reader-writer gate stands in front: the first
 * reader takes the file lock, the last one gives it back.
 */
#include "lock/lockfile.h"
#include "base/fs.h"
#include "base/id.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_SETLK  37
#define F_OFD_SETLKW 38
#endif

struct lockfile {
	char *path;
	bool read_only;
	pthread_rwlock_t gate;
	pthread_mutex_t mutex; /* guards what follows */
	int fd;                /* -1: not held, or a read-only store without the file */
	unsigned readers;
	bool writer;
};

/* -1 in *ret_fd: a read-only store without the file. */
static int lockfile_open(const struct lockfile *lock, int *ret_fd, cst_error **error)
{
	int fd = open(lock->path, (lock->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !lock->read_only) {
		fd = sys_openat(AT_FDCWD, lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 && errno == ENOENT) {
			_cleanup_free_ char *parent = strndup(
			        lock->path, (size_t)(path_base(lock->path) - lock->path - 1));
			if (!parent)
				return error_oom(error);
			int r = fs_mkdir_p(parent, 0700, error);
			if (r < 0)
				return r;
			fd = sys_openat(AT_FDCWD, lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		}
	}
	/* Go's words, which scripts know. */
	if (fd < 0 && !(lock->read_only && errno == ENOENT))
		return error_sys(error, errno, "open %s: open %s", lock->path, lock->path);
	*ret_fd = fd;
	return 0;
}

int lockfile_new(const char *path, bool read_only, struct lockfile **ret, cst_error **error)
{
	struct lockfile *lock = new0(struct lockfile, 1);
	if (!lock)
		return error_oom(error);
	pthread_rwlock_init(&lock->gate, NULL);
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
	pthread_rwlock_destroy(&lock->gate);
	pthread_mutex_destroy(&lock->mutex);
	free(lock->path);
	free(lock);
}

const char *lockfile_path(const struct lockfile *lock)
{
	return lock->path;
}

/* Does the path still name the file that was locked? Somebody may have removed or replaced it
 * meanwhile. */
static bool still_there(const struct lockfile *lock, int fd)
{
	struct stat held, now;
	return fstat(fd, &held) == 0 && stat(lock->path, &now) == 0 && held.st_dev == now.st_dev &&
	       held.st_ino == now.st_ino;
}

static int acquire(struct lockfile *lock, enum lock_mode mode, bool wait, int *ret_fd,
                   cst_error **error)
{
	struct flock range = {.l_type = mode == LOCKFILE_WRITE ? F_WRLCK : F_RDLCK,
	                      .l_whence = SEEK_SET};
	for (;;) {
		_cleanup_close_ int fd = -1;
		int r = lockfile_open(lock, &fd, error);
		if (r < 0)
			return r;
		if (fd == -1) { /* a read-only store without lock files: nobody writes it */
			*ret_fd = -1;
			return 0;
		}
		do
			r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range);
		while (r < 0 && errno == EINTR);
		if (r < 0 && !wait && (errno == EAGAIN || errno == EACCES))
			return error_set(error, CST_EBUSY, "%s is locked by another process",
			                 lock->path);
		if (r < 0)
			return error_sys(error, errno, "lock %s", lock->path);
		if (!still_there(lock, fd))
			continue;
		*ret_fd = steal_fd(&fd);
		return 0;
	}
}

static int gate_enter(struct lockfile *lock, enum lock_mode mode, bool wait, cst_error **error)
{
	int r;
	if (wait)
		r = mode == LOCKFILE_WRITE ? pthread_rwlock_wrlock(&lock->gate)
		                           : pthread_rwlock_rdlock(&lock->gate);
	else
		r = mode == LOCKFILE_WRITE ? pthread_rwlock_trywrlock(&lock->gate)
		                           : pthread_rwlock_tryrdlock(&lock->gate);
	if (r == EBUSY)
		return error_set(error, CST_EBUSY, "%s is locked by another thread", lock->path);
	return r ? error_sys(error, r, "lock %s", lock->path) : 0;
}

static int lockfile_take(struct lockfile *lock, enum lock_mode mode, bool wait, cst_error **error)
{
	if (mode == LOCKFILE_WRITE && lock->read_only)
		return error_set(error, CST_ESTORE_READ_ONLY,
		                 "lock \"%s\" is not a read-write lock", lock->path);
	int r = gate_enter(lock, mode, wait, error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&lock->mutex);
	if (lock->readers == 0)
		r = acquire(lock, mode, wait, &lock->fd, error);
	if (r == 0) {
		lock->writer = mode == LOCKFILE_WRITE;
		lock->readers += mode == LOCKFILE_READ;
	}
	pthread_mutex_unlock(&lock->mutex);
	if (r < 0)
		pthread_rwlock_unlock(&lock->gate);
	return r;
}

int lockfile_lock(struct lockfile *lock, enum lock_mode mode, cst_error **error)
{
	return lockfile_take(lock, mode, true, error);
}

int lockfile_try(struct lockfile *lock, enum lock_mode mode, cst_error **error)
{
	return lockfile_take(lock, mode, false, error);
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
		struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
		(void)fcntl(lock->fd, F_OFD_SETLK, &range);
		close(steal_fd(&lock->fd));
	}
	pthread_mutex_unlock(&lock->mutex);
	pthread_rwlock_unlock(&lock->gate);
}

void lockfile_unlockp(struct lockfile **lock)
{
	lockfile_unlock(*lock);
}

bool lockfile_held(const struct lockfile *lock, enum lock_mode mode)
{
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
