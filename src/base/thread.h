/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_BASE_THREAD_H
#define CST_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread with all signals blocked: signals are for the threads of the library's user. `ret` NULL: it is detached, and
 * has a small stack, since it only waits for a call that may hang. Returns 0 or an errno. */
int thread_start(pthread_t *ret, void *(*run)(void *), void *argument);

#endif
