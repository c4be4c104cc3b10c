/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a lock that another process or thread holds: how long, what may end the wait early,
 * and whom the progress callback is told about. The kernel's own blocking wait (F_OFD_SETLKW) is in
 * one queue with the waits of the Go tools, so that no process starves; but only a signal ends it.
 * A wait that may have to end early is therefore made by a helper thread, and the caller waits for
 * that thread. If the caller gives up, the helper stays until the kernel gives it the lock, gives
 * the lock back at once, and ends. */
#ifndef CST_LOCK_WAIT_H
#define CST_LOCK_WAIT_H

#include "base/error.h"
#include "base/mem.h"
#include <cstorage/types.h>
#include <pthread.h>

/* What ends a wait before the lock is free. All zero: nothing. */
struct lock_wait {
	uint32_t timeout_ms; /* CST_ETIMEOUT after that long; 0: never */
	cst_wait hook;       /* not 0 from it: CST_ECANCELED */
};

/* The progress callback of the operation that this thread works on. Until the thread has its next lock, a callback that
 * asks to stop ends the wait too (CST_ECANCELED). After that the callback is not called for waits, because it must never
 * run while a store is locked. In a scope:
 *     _cleanup_lock_wait_ bool listening = lock_wait_listen(progress);
 * `progress` may be NULL. Returns true if it is not. */
bool lock_wait_listen(const cst_progress *progress);
void lock_wait_end(bool *listening);
#define _cleanup_lock_wait_ __attribute__((unused)) _cleanup_(lock_wait_end)

/* One wait. It begins when the lock turns out not to be free. */
struct waiting {
	const char *path; /* of the lock file */
	struct lock_wait how;
	const cst_progress *progress;
	int64_t started_ms, holder_asked_ms;
	char *holder;
};
void waiting_start(struct waiting *w, const char *path, const struct lock_wait *how);
void waiting_free(struct waiting *w);
#define _cleanup_waiting_ _cleanup_(waiting_free)

/* May this wait have to end early? If so, call waiting_check() each time waiting_sleep() comes back. It returns 0 (go on
 * waiting), CST_ECANCELED or CST_ETIMEOUT. It runs callbacks of the user: hold no mutex. */
bool waiting_can_end(const struct waiting *w);
int waiting_check(struct waiting *w, cst_error **error);
/* Waits on a condition (with CLOCK_MONOTONIC) until it is signalled or the next check is due. */
void waiting_sleep(const struct waiting *w, pthread_cond_t *condition, pthread_mutex_t *mutex);

/* Takes the lock of the file that is open at `*fd`. `type` is F_RDLCK or F_WRLCK. If the wait ends
 * early, the helper thread may keep the file; then *fd is -1. */
int waiting_lock(struct waiting *w, int *fd, short type, cst_error **error);

#endif
