/* SPDX-License-Identifier: Apache-2.0 */
/* Waits in the kernel, by a helper thread where the wait may have to end early, and tells the
 * progress callback who holds the lock. */
#include "lock/wait.h"
#include "base/fs.h"
#include "base/timed.h"
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

static int next_check_ms(const struct waiting *w)
{
	if (!w->how.timeout_ms)
		return CHECK_EVERY_MS;
	int64_t left_ms = w->started_ms + w->how.timeout_ms - now_ms();
	left_ms = MAX(left_ms, 1);
	return (int)MIN(left_ms, CHECK_EVERY_MS);
}

void waiting_sleep(const struct waiting *w, pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	if (!waiting_can_end(w)) {
		pthread_cond_wait(condition, mutex);
		return;
	}
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += next_check_ms(w) * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(condition, mutex, &until);
}

/* ---- the helper thread ---- */

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

/* What the helper thread has. */
struct helper {
	int fd;
	short type;
};

static int helper_lock(void *userdata)
{
	const struct helper *helper = userdata;
	return lock_blocking(helper->fd, helper->type);
}

/* Nobody waits any more. */
static void helper_release(void *userdata)
{
	struct helper *helper = userdata;
	give_back(helper->fd);
	close(helper->fd);
	free(helper);
}

static int lock_in_thread(struct waiting *w, int *fd, short type, cst_error **error)
{
	int errnum, r = 0;
	struct timed *timed;
	struct helper *helper = new0(struct helper, 1);
	if (!helper)
		return error_oom(error);
	*helper = (struct helper){.fd = *fd, .type = type};
	errnum = timed_start(helper_lock, helper_release, helper, &timed);
	if (errnum) {
		free(helper);
		return error_sys(error, errnum, "start a thread that waits for %s", w->path);
	}
	while (r == 0 && !timed_wait(timed, next_check_ms(w)))
		r = waiting_check(w, error);
	if (!timed_end(timed, &errnum)) {
		*fd = -1; /* the helper closes it */
		return r;
	}
	free(helper);
	/* The lock came while the wait was given up. */
	if (r < 0 && errnum == 0)
		give_back(*fd);
	return r == 0 && errnum ? error_sys(error, errnum, "lock %s", w->path) : r;
}

int waiting_lock(struct waiting *w, int *fd, short type, cst_error **error)
{
	if (waiting_can_end(w)) {
		int r = waiting_check(w, error);
		return r < 0 ? r : lock_in_thread(w, fd, type, error);
	}
	int errnum = lock_blocking(*fd, type);
	return errnum ? error_sys(error, errnum, "lock %s", w->path) : 0;
}
