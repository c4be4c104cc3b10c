/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timed.h"
#include "base/mem.h"
#include "base/thread.h"
#include <errno.h>
#include <time.h>

#define NS_PER_SECOND 1000000000L

/* The thread frees it if nobody waits any more, else the one that waited. */
struct timed {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done, left;
	int (*call)(void *userdata);
	void (*release)(void *userdata);
	void *userdata;
	int errnum;
};

static void timed_free(struct timed *timed)
{
	pthread_cond_destroy(&timed->over);
	pthread_mutex_destroy(&timed->lock);
	free(timed);
}

static void *make_call(void *userdata)
{
	struct timed *timed = userdata;
	int errnum = timed->call(timed->userdata);
	pthread_mutex_lock(&timed->lock);
	timed->errnum = errnum;
	timed->done = true;
	bool left = timed->left;
	pthread_cond_signal(&timed->over);
	pthread_mutex_unlock(&timed->lock);
	if (left) {
		timed->release(timed->userdata);
		timed_free(timed);
	}
	return NULL;
}

static struct timed *timed_new(void)
{
	struct timed *timed = new0(struct timed, 1);
	pthread_condattr_t monotonic;
	if (!timed)
		return NULL;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&timed->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&timed->lock, NULL);
	return timed;
}

int timed_start(int (*call)(void *userdata), void (*release)(void *userdata), void *userdata,
                struct timed **ret)
{
	struct timed *timed = timed_new();
	if (!timed)
		return ENOMEM;
	timed->call = call;
	timed->release = release;
	timed->userdata = userdata;
	int errnum = thread_start(NULL, make_call, timed);
	if (errnum)
		timed_free(timed);
	else
		*ret = timed;
	return errnum;
}

bool timed_wait(struct timed *timed, int limit_ms)
{
	struct timespec until;
	int r = 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += limit_ms / 1000;
	until.tv_nsec += limit_ms % 1000 * 1000000L;
	if (until.tv_nsec >= NS_PER_SECOND) {
		until.tv_nsec -= NS_PER_SECOND;
		until.tv_sec++;
	}
	pthread_mutex_lock(&timed->lock);
	while (!timed->done && r == 0)
		r = pthread_cond_timedwait(&timed->over, &timed->lock, &until);
	bool done = timed->done;
	pthread_mutex_unlock(&timed->lock);
	return done;
}

bool timed_end(struct timed *timed, int *ret_errnum)
{
	pthread_mutex_lock(&timed->lock);
	bool done = timed->done;
	timed->left = !done;
	pthread_mutex_unlock(&timed->lock);
	if (!done)
		return false;
	*ret_errnum = timed->errnum;
	timed_free(timed);
	return true;
}

bool timed_call(int (*call)(void *userdata), void (*release)(void *userdata), void *userdata,
                int limit_ms, int *ret_errnum)
{
	struct timed *timed;
	*ret_errnum = timed_start(call, release, userdata, &timed);
	if (*ret_errnum)
		return true;
	(void)timed_wait(timed, limit_ms);
	return timed_end(timed, ret_errnum);
}
