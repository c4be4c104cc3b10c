/* SPDX-License-Identifier: Apache-2.0 */
/* Waits a limited time for a system call that may hang, as those on a FUSE file system can. */
#ifndef CST_DRIVER_TIMED_H
#define CST_DRIVER_TIMED_H

#include <stdbool.h>

/* A thread calls `call`, which returns an errno. True: it is in *ret_errnum, and userdata is the caller's again. False: it is late.
 * The thread is left alone, and gives userdata to `release` when the call returns, or dies with the process. */
bool timed_call(int (*call)(void *userdata), void (*release)(void *userdata), void *userdata, int limit_ms,
		int *ret_errnum);

#endif
