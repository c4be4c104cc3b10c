/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock files, as the store itself uses them: a file of 64 bytes that is locked as a whole (fcntl locks: they exclude the
 * Go tools, and are excluded by them) and that holds a token. Who changes what the lock protects writes a new token; who
 * reads it remembers the token and needs to read again only when it differs (docs/format/store.md, "Lock protocol").
 *
 * Many threads may use one cst_lock: readers share it, a writer has it alone. A thread must not take a lock that it
 * holds. Two cst_locks of one path exclude each other, in one process as between two. Locks end with the process.
 */
#ifndef CSTORAGE_LOCK_H
#define CSTORAGE_LOCK_H

#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cst_lock cst_lock;

enum cst_lock_mode { CST_LOCK_READ = 0, CST_LOCK_WRITE = 1 };

/* What a lock file said at some moment, a value type. Compare two with cst_lock_token_equal. */
typedef struct cst_lock_token {
	unsigned char bytes[64];
	uint32_t size; /* bytes that count; 0: nothing was ever written */
} cst_lock_token;

/* A lock file by path; a relative one counts from the working directory of this moment. The file is made (mode 0644,
 * missing parents 0700) if it is not there; with `read_only` nothing is made: a file that does not exist then is a lock
 * that nobody holds with a token of size 0, and only CST_LOCK_READ can be taken. Nothing is locked yet. *lock is the
 * caller's, to be given to cst_lock_free. CST_ENOMEM, CST_ESYS, CST_EINVAL (an empty path). */
CST_PUBLIC int cst_lock_open(const char *path, bool read_only, cst_lock **lock, cst_error **error);
/* Frees the object; no thread may hold the lock or wait for it. The file stays. NULL allowed. */
CST_PUBLIC void cst_lock_free(cst_lock *lock);
/* The absolute path; belongs to the lock. */
CST_PUBLIC const char *cst_lock_path(const cst_lock *lock);

/* Takes the lock and waits for it as long as it needs. CST_ESTORE_READ_ONLY (writing through a read-only lock),
 * CST_ESYS. */
CST_PUBLIC int cst_lock_lock(cst_lock *lock, enum cst_lock_mode mode, cst_error **error);
/* The same, but waits at most `timeout_ms` (0: without end; then CST_ETIMEOUT), and `wait` (NULL: none) is called
 * meanwhile and can end the wait (CST_ECANCELED). */
CST_PUBLIC int cst_lock_lock_for(cst_lock *lock, enum cst_lock_mode mode, uint32_t timeout_ms, const cst_wait *wait,
				 cst_error **error);
/* The same without waiting: CST_EBUSY if somebody else is in the way, be it a thread of this process that waits. */
CST_PUBLIC int cst_lock_try(cst_lock *lock, enum cst_lock_mode mode, cst_error **error);
/* Gives back what one cst_lock_lock or cst_lock_try took, from the same thread. */
CST_PUBLIC void cst_lock_unlock(cst_lock *lock);

/* The token of this moment. The caller holds the lock, in any mode: else CST_EINVAL. CST_ESYS. */
CST_PUBLIC int cst_lock_read_token(cst_lock *lock, cst_lock_token *token, cst_error **error);
/* Writes a new token and says which (`token` may be NULL). To be called before what the lock protects is changed, so that
 * nobody takes a half-made change for the old state. The caller holds the lock for writing: else CST_EINVAL. CST_ESYS. */
CST_PUBLIC int cst_lock_touch(cst_lock *lock, cst_lock_token *token, cst_error **error);
/* Was the lock touched since *token was read? *modified says so and *token becomes the token of this moment. A token of
 * size 0 (all zero) is right for the first call. The caller holds the lock, in any mode: else CST_EINVAL. CST_ESYS. */
CST_PUBLIC int cst_lock_modified_since(cst_lock *lock, cst_lock_token *token, bool *modified, cst_error **error);
CST_PUBLIC bool cst_lock_token_equal(const cst_lock_token *a, const cst_lock_token *b);

/* The lock of a digest, <run root>/<driver>-locks/<digest>, by which processes agree who fetches that content. Take it
 * before any other lock. The file is never removed. *lock is the caller's, to be given to cst_lock_free, before or after
 * the store is closed. CST_EINVAL (not a digest), CST_ESTORE_READ_ONLY, CST_ENOMEM, CST_ESYS. */
CST_PUBLIC int cst_store_digest_lock(cst_store *store, const char *digest, cst_lock **lock, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
