/* SPDX-License-Identifier: Apache-2.0 */
/* The lock files of a store and their 64-byte token (docs/format/store.md, "Lock protocol"). The
 * locks are OFD locks: they conflict with the POSIX locks of the Go tools in both directions, and
 * stay when another descriptor of the file is closed. There is one object for each lock and store
 * handle. The threads of one process share it: readers together, a writer alone. */
#ifndef CST_LOCK_LOCKFILE_H
#define CST_LOCK_LOCKFILE_H

#include "base/error.h"
#include "base/mem.h"
#include "lock/wait.h"

#define LOCK_TOKEN_SIZE 64

struct lock_token {
	unsigned char bytes[LOCK_TOKEN_SIZE];
	size_t len; /* bytes the file holds, at most 64; 0: never written */
};

struct lockfile;

enum lock_mode { LOCKFILE_READ, LOCKFILE_WRITE };

/* Makes the object for a lock file; `path` is absolute. read_only: the file is opened O_RDONLY and
 * need not exist. If it is missing, its token is empty and there is no lock. Without read_only the
 * file (0644) and its parents (0700) are made when they are missing. Anything but a regular file is
 * refused when it is locked: CST_ECORRUPT. */
int lockfile_new(const char *path, bool read_only, struct lockfile **ret, cst_error **error);
void lockfile_free(struct lockfile *lock); /* must be unlocked; NULL allowed */
const char *lockfile_path(const struct lockfile *lock);

/* Says what ends the waits of lockfile_lock(). The structure is copied. NULL lock allowed. */
void lockfile_set_wait(struct lockfile *lock, const struct lock_wait *wait);

/* Waits as lockfile_set_wait() said; if it was not called, without end. CST_ETIMEOUT,
 * CST_ECANCELED. Several threads may hold it for reading; one thread must not take the same lock
 * twice. */
int lockfile_lock(struct lockfile *lock, enum lock_mode mode, cst_error **error);
/* The same; then *held is the lock, so that a _cleanup_unlock_ variable gives it back. */
int lockfile_hold(struct lockfile *lock, enum lock_mode mode, struct lockfile **held, cst_error **error);
int lockfile_lock_for(struct lockfile *lock, enum lock_mode mode, const struct lock_wait *wait,
                      cst_error **error);
/* Does not wait: CST_EBUSY, also where another thread of this process waits. */
int lockfile_try(struct lockfile *lock, enum lock_mode mode, cst_error **error);
void lockfile_unlock(struct lockfile *lock); /* NULL allowed; explicit F_UNLCK, then close */
/* Held by this process? LOCKFILE_READ: in either mode. */
bool lockfile_held(const struct lockfile *lock, enum lock_mode mode);

/* The token that the file has now. Call it with the lock held, in either mode. */
int lockfile_read_token(struct lockfile *lock, struct lock_token *ret, cst_error **error);
/* Writes a fresh token and returns it. Call it with the write lock held, before the data is
 * replaced. */
int lockfile_touch(struct lockfile *lock, struct lock_token *ret, cst_error **error);
bool lock_token_equal(const struct lock_token *a, const struct lock_token *b);

/* Unlocks at the end of a scope: _cleanup_unlock_ struct lockfile *held = lock; */
void lockfile_unlockp(struct lockfile **lock);
#define _cleanup_unlock_ __attribute__((cleanup(lockfile_unlockp)))

#endif
