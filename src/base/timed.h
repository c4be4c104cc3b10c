/* SPDX-License-Identifier: Apache-2.0 */
/* Waits a limited time for a system call that may hang, as those on a FUSE file system can, or the wait for a lock: a thread makes the
 * call. */
#ifndef CST_BASE_TIMED_H
#define CST_BASE_TIMED_H

#include <stdbool.h>

struct timed;

/* A thread calls `call`, which returns an errno. While the thread has userdata, nobody else touches it. Returns 0 or an errno; after a
 * failure userdata is still the caller's. If it succeeds, timed_end() follows. */
int timed_start(int (*call)(void *userdata), void (*release)(void *userdata), void *userdata, struct timed **ret);
/* Waits that long, or until the call has returned: true. */
bool timed_wait(struct timed *timed, int limit_ms);
/* Frees it. True: the call has returned, its errno is in *ret_errnum, and userdata is the caller's again. False: it is late. The thread is
 * left alone, and gives userdata to `release` when the call returns, or dies with the process. */
bool timed_end(struct timed *timed, int *ret_errnum);

/* All three. True also if the thread could not be started; *ret_errnum says why. */
bool timed_call(int (*call)(void *userdata), void (*release)(void *userdata), void *userdata, int limit_ms,
		int *ret_errnum);

#endif
