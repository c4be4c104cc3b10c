/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library (thread.h). */
#include "base/thread.h"
#include <signal.h>

#define SMALL_STACK ((size_t)256 * 1024)

int thread_start(pthread_t *ret, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	pthread_attr_init(&attributes);
	if (!ret) {
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attributes, SMALL_STACK);
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int errnum = pthread_create(ret ? ret : &thread, &attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return errnum;
}
