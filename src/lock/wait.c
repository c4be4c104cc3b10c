/* SPDX-License-Identifier: Apache-2.0 */
/* Waits in the kernel, by a helper thread where the wait may have to end early, and tells the
 * progress callback who holds the lock. */
#include "lock/wait.h"
#include "base/fs.h"
#include "base/thread.h"
#include "lock/proc_locks.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_SETLK  37
#define F_OFD_SETLKW 38
#endif

#define CHECK_EVERY_MS 20
/* Asking who holds a lock reads all of /proc, which is too much for a short wait. */
#define NAME_AFTER_MS 1000
#define NAME_EVERY_MS 2000

static _Thread_local const cst_progress *operation_progress;

bool lock_wait_listen(const cst_progress *progress)
{
	operation_progress = progress && progress->callback ? progress : NULL;
	return operation_progress;
}

void lock_wait_end(bool *listening)
{
	*listening = false;
	operation_progress = NULL;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void waiting_start(struct waiting *w, const char *path, const struct lock_wait *how)
{
	*w = (struct waiting){
	        .path = path, .how = *how, .progress = operation_progress, .started_ms = now_ms()};
}

void waiting_free(struct waiting *w)
{
	free(w->holder);
}

bool waiting_can_end(const struct waiting *w)
{
	return w->how.timeout_ms || w->how.hook.callback || w->progress;
}

/* ---- who is in the way ---- */

static char *process_text(pid_t pid)
{
	_cleanup_free_ char *command = NULL;
	char path[64];
	size_t size = 0;
	if (pid == getpid())
		return strdup("another thread of this process");
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (!pid || fs_read_file(AT_FDCWD, path, 4096, &command, &size, NULL) < 0)
		return strdup("another process");
	command[strcspn(command, "\n")] = '\0';
	/* Each process chooses its name, and a terminal shows it: no control characters. */
	for (char *c = command; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return str_printf("%s (pid %d)", command, (int)pid);
}

/* Who holds the lock of this file: "podman (pid 1234)", with "and N more" behind it, or "another
 * process" where the kernel does not tell. NULL: out of memory, or nobody holds it. */
static char *lock_holder_text(const char *path)
{
	struct lock_inode file;
	_cleanup_free_ struct lock_claim *claims = NULL;
	size_t n = 0, holders = 0;
	if (lock_inode_of(AT_FDCWD, path, &file) < 0 ||
	    lock_claims(&file, 1, &claims, &n, NULL) < 0)
		return NULL;
	const struct lock_claim *first = NULL;
	for (size_t i = 0; i < n; i++) {
		if (claims[i].waiting)
			continue;
		if (holders++ == 0)
			first = &claims[i];
	}
	_cleanup_free_ char *text = first ? process_text(first->pid) : NULL;
	if (!text || holders == 1)
		return steal_ptr(&text);
	return str_printf("%s and %zu more", text, holders - 1);
}

static void look_for_holder(struct waiting *w, int64_t waited_ms)
{
	if (waited_ms < NAME_AFTER_MS ||
	    (w->holder_asked_ms && waited_ms - w->holder_asked_ms < NAME_EVERY_MS))
		return;
	w->holder_asked_ms = waited_ms;
	char *holder = lock_holder_text(w->path);
	if (!holder)
		return;
	free(w->holder);
	w->holder = holder;
}

/* ---- giving up ---- */

static bool progress_says_stop(const struct waiting *w)
{
	const cst_progress_state state = {.size = sizeof(state), .what = "wait"};
	return w->progress && w->progress->callback(&state, w->progress->userdata);
}

static bool hook_says_stop(const struct waiting *w, int64_t waited_ms)
{
	const cst_wait_state state = {.size = sizeof(state),
	                              .lock = w->path,
	                              .waited_ms = (uint64_t)waited_ms,
	                              .holder = strempty(w->holder)};
	return w->how.hook.callback && w->how.hook.callback(&state, w->how.hook.userdata);
}

static int timed_out(struct waiting *w, cst_error **error)
{
	free(w->holder);
	w->holder = lock_holder_text(w->path);
	return error_set(error, CST_ETIMEOUT, "%s has been locked for %" PRIu32 " ms by %s",
	                 w->path, w->how.timeout_ms, w->holder ? w->holder : "another process");
}

int waiting_check(struct waiting *w, cst_error **error)
{
	int64_t waited_ms = now_ms() - w->started_ms;
	look_for_holder(w, waited_ms);
	if (hook_says_stop(w, waited_ms) || progress_says_stop(w))
		return error_set(error, CST_ECANCELED, "the wait for %s was cancelled", w->path);
	return w->how.timeout_ms && waited_ms >= w->how.timeout_ms ? timed_out(w, error) : 0;
}

void waiting_sleep(const struct waiting *w, pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	if (!waiting_can_end(w)) {
		pthread_cond_wait(condition, mutex);
		return;
	}
	int64_t sleep_ms = CHECK_EVERY_MS;
	if (w->how.timeout_ms) {
		int64_t left_ms = w->started_ms + w->how.timeout_ms - now_ms();
		sleep_ms = MIN(sleep_ms, left_ms);
		sleep_ms = MAX(sleep_ms, 1);
	}
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)sleep_ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(condition, mutex, &until);
}

/* ---- the helper thread ---- */

/* Shared by the caller and the helper. The last of the two that needs it frees it. */
struct helper {
	pthread_mutex_t mutex;
	pthread_cond_t finished_condition;
	/* The helper closes it if the caller gave up. */
	int fd;
	short type;
	bool finished, abandoned;
	int errnum; /* of a lock that failed */
};

static int lock_blocking(int fd, short type)
{
	struct flock range = {.l_type = type, .l_whence = SEEK_SET};
	int r;
	do
		r = fcntl(fd, F_OFD_SETLKW, &range);
	while (r < 0 && errno == EINTR);
	return r < 0 ? errno : 0;
}

static void give_back(int fd)
{
	struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	(void)fcntl(fd, F_OFD_SETLK, &range);
}

static void helper_free(struct helper *helper)
{
	pthread_mutex_destroy(&helper->mutex);
	pthread_cond_destroy(&helper->finished_condition);
	free(helper);
}

static void *helper_run(void *argument)
{
	struct helper *helper = argument;
	int errnum = lock_blocking(helper->fd, helper->type);
	pthread_mutex_lock(&helper->mutex);
	helper->errnum = errnum;
	helper->finished = true;
	bool abandoned = helper->abandoned;
	pthread_cond_signal(&helper->finished_condition);
	pthread_mutex_unlock(&helper->mutex);
	if (!abandoned)
		return NULL; /* the caller frees it */
	give_back(helper->fd);
	close(helper->fd);
	helper_free(helper);
	return NULL;
}

static struct helper *helper_new(int fd, short type)
{
	struct helper *helper = new0(struct helper, 1);
	if (!helper)
		return NULL;
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&helper->finished_condition, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&helper->mutex, NULL);
	helper->fd = fd;
	helper->type = type;
	return helper;
}

/* Waits until the helper has the lock, or the wait must end. True: the helper is finished. */
static bool await_helper(struct waiting *w, struct helper *helper, int *result, cst_error **error)
{
	*result = 0;
	pthread_mutex_lock(&helper->mutex);
	while (!helper->finished && *result == 0) {
		waiting_sleep(w, &helper->finished_condition, &helper->mutex);
		if (helper->finished)
			break;
		pthread_mutex_unlock(&helper->mutex);
		*result = waiting_check(w, error);
		pthread_mutex_lock(&helper->mutex);
	}
	bool finished = helper->finished;
	helper->abandoned = !finished;
	pthread_mutex_unlock(&helper->mutex);
	return finished;
}

int waiting_lock(struct waiting *w, int *fd, short type, cst_error **error)
{
	if (!waiting_can_end(w)) {
		int errnum = lock_blocking(*fd, type);
		return errnum ? error_sys(error, errnum, "lock %s", w->path) : 0;
	}
	int r = waiting_check(w, error);
	if (r < 0)
		return r;
	struct helper *helper = helper_new(*fd, type);
	if (!helper)
		return error_oom(error);
	int errnum = thread_start(NULL, helper_run, helper);
	if (errnum) {
		helper_free(helper);
		return error_sys(error, errnum, "start a thread that waits for %s", w->path);
	}
	if (!await_helper(w, helper, &r, error)) {
		*fd = -1; /* the helper closes it */
		return r;
	}
	errnum = helper->errnum;
	helper_free(helper);
	if (errnum)
		return error_sys(error, errnum, "lock %s", w->path);
	/* The lock came while the wait was given up. */
	if (r < 0)
		give_back(*fd);
	return r;
}
