/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock files of a store and their 64-byte token (docs/format/store.md, "Lock protocol"). The
 * locks are OFD locks: they conflict with the POSIX locks of the Go tools in both directions, and
 * closing another descriptor of the file does not drop them. There is one object per lock and store
 * handle. The threads of one process share it: readers together, a writer alone.
 */
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

/* `path` is absolute. read_only: the file is opened O_RDONLY and need not exist (a missing file in
 * a store that cannot be written is an empty token and no lock). Makes the file 0644, parents 0700,
 * unless read_only. What is not a regular file is refused when it is locked: CST_ECORRUPT. */
int lockfile_new(const char *path, bool read_only, struct lockfile **ret, cst_error **error);
void lockfile_free(struct lockfile *lock); /* must be unlocked; NULL allowed */
const char *lockfile_path(const struct lockfile *lock);

/* What ends the waits of lockfile_lock(); copied. NULL lock allowed. */
void lockfile_set_wait(struct lockfile *lock, const struct lock_wait *wait);

/* Waits as lockfile_set_wait() said: for ever, if it was not called. CST_ETIMEOUT, CST_ECANCELED.
 * Readers nest across threads; a thread must not take the same lock twice. */
int lockfile_lock(struct lockfile *lock, enum lock_mode mode, cst_error **error);
int lockfile_lock_for(struct lockfile *lock, enum lock_mode mode, const struct lock_wait *wait,
                      cst_error **error);
/* CST_EBUSY instead of waiting, also where another thread of this process waits. */
int lockfile_try(struct lockfile *lock, enum lock_mode mode, cst_error **error);
void lockfile_unlock(struct lockfile *lock); /* NULL allowed; explicit F_UNLCK, then close */
bool lockfile_held(const struct lockfile *lock,
                   enum lock_mode mode); /* by this process; LOCKFILE_READ: either mode */

/* With any lock held: what the file says now. */
int lockfile_read_token(struct lockfile *lock, struct lock_token *ret, cst_error **error);
/* With the write lock held: writes a fresh token and returns it. Before the data is replaced. */
int lockfile_touch(struct lockfile *lock, struct lock_token *ret, cst_error **error);
bool lock_token_equal(const struct lock_token *a, const struct lock_token *b);

/* For a scope: _cleanup_unlock_ struct lockfile *held = lock; */
void lockfile_unlockp(struct lockfile **lock);
#define _cleanup_unlock_ __attribute__((cleanup(lockfile_unlockp)))

#endif
