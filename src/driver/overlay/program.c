/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the mount program, which makes mounts in the place of the kernel's own overlay (docs/format/drivers.md, "Mount program"). It
 * is called while locks of the store are held. So nothing here waits without end: what hangs is given up after a while, and of
 * a program that failed no process is left.
 */
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include "base/timed.h"
#include "driver/mountinfo.h"
#include "driver/overlay/overlay.h"
#include "driver/run.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUSE_MAGIC  0x65735546
#define SAID_MAX    1024      /* so much of what the program says is shown */
#define ENVIRON_MAX (2 << 20) /* of one process */
#define MARK        "CSTORAGE_MOUNT="
#define MARK_MAX    (sizeof(MARK) + ID_HEX_LEN)
#define KILL_ROUNDS 16 /* a process may fork while it is looked for */

_Atomic int overlay_program_limit_ms = 30000;

/* ---- calls that a mount program may never answer ---- */

struct question {
	int fd; /* the root of the mount, with O_PATH */
	bool sync;
};

static void question_free(void *userdata)
{
	struct question *q = userdata;
	closep(&q->fd);
	free(q);
}

static int ask(int fd, bool sync)
{
	struct statfs st;
	if (fstatfs(fd, &st) < 0)
		return errno;
	if (!sync || (unsigned long)st.f_type != FUSE_MAGIC)
		return 0;
	_cleanup_close_ int root = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0 || sys_syncfs(root) < 0 ? errno : 0;
}

/* With the last descriptor the mount goes, too, if it is detached. The kernel may then wait for the program once more. */
static int ask_and_close(void *userdata)
{
	struct question *q = userdata;
	int errnum = ask(q->fd, q->sync);
	closep(&q->fd);
	q->fd = -1;
	return errnum;
}

/* Asks the mount of this descriptor, which it takes over, if it is alive; with `sync` also to write what it has. The answer is an
 * errno: 0 is yes, ENOTCONN a program that died, ETIMEDOUT one that hangs. The thread waits for one that hangs until it ends. */
static int ask_mount(int fd, bool sync)
{
	struct question *q = fd >= 0 ? new0(struct question, 1) : NULL;
	int errnum;
	if (!q) {
		closep(&fd);
		return ENOMEM;
	}
	*q = (struct question){.fd = fd, .sync = sync};
	if (!timed_call(ask_and_close, question_free, q, overlay_program_limit_ms, &errnum))
		return ETIMEDOUT;
	question_free(q);
	return errnum;
}

bool overlay_program_is_dead(int root_fd)
{
	return ask_mount(fcntl(root_fd, F_DUPFD_CLOEXEC, 0), false) == ENOTCONN;
}

int overlay_program_unmount(int dirfd, const char *name, const char *path, cst_error **error)
{
	/* This descriptor keeps the mount until its last question is answered. */
	_cleanup_close_ int root =
	        openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool mounted = root >= 0 && mountinfo_is_mount_point(root, "") == 1;
	int r = overlay_unmount(dirfd, name, path, error);
	if (r == 0 && mounted && ask_mount(steal_fd(&root), true) == ETIMEDOUT)
		log_warning("the mount program of %s did not answer: what was written there last "
		            "may be lost",
		            path);
	return r;
}

/* ---- what is left of a program that failed ---- */

/* A mount program starts a process that outlives it. All have the same mark in their environment. */
static bool has_mark(const char *pid, const char *mark)
{
	char path[64];
	_cleanup_error_ cst_error *ignored = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
	return fs_read_file(AT_FDCWD, path, ENVIRON_MAX, &text, &len, &ignored) == 0 &&
	       memmem(text, len, mark, strlen(mark)) != NULL;
}

/* The process is held by a descriptor while its mark is read, so no other one with the same number is killed. */
static bool kill_marked(const char *pid, const char *mark)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	return fd >= 0 && has_mark(pid, mark) &&
	       syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
}

static void kill_all(const char *mark)
{
	bool found = true;
	for (int i = 0; i < KILL_ROUNDS && found; i++) {
		_cleanup_error_ cst_error *ignored = NULL;
		_cleanup_strv_ struct strv names = {0};
		found = false;
		if (fs_list_dir(AT_FDCWD, "/proc", &names, NULL, &ignored) < 0)
			return;
		strv_foreach (name, &names)
			if (*name >= '1' && *name <= '9')
				found = kill_marked(name, mark) || found;
	}
}

/* ---- running it ---- */

static int not_started(const char *program, const cst_error *problem, cst_error **error)
{
	int errnum = cst_error_errno(problem);
	int r = error_sys(error, errnum, "using mount program %s", program);
	return error_go_words(error, r, NULL,
	                      "using mount program %s: <stderr empty>: fork/exec %s: %s", program,
	                      program, errno_text(errnum));
}

static int failed(const char *program, const struct run *run, cst_error **error)
{
	static const char silent[] = "<stderr empty>";
	const char *raw = run->said.len ? run->said.data : silent;
	int len = (int)strlen(raw);
	while (len > 0 && raw[len - 1] == '\n')
		len--;
	if (run->status < 0)
		return error_set(error, CST_EINVAL,
		                 "using mount program %s: %.*s: killed by a signal", program, len,
		                 raw);
	int r = error_set(error, CST_EINVAL, "using mount program %s: %.*s: exit status %d",
	                  program, len, raw, run->status);
	return error_go_words(error, r, NULL, "using mount program %s: %s: exit status %d", program,
	                      raw, run->status);
}

/* Is there a mount now that answers? */
static int check_mount(const char *program, const char *target, cst_error **error)
{
	_cleanup_close_ int fd = open(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOTCONN)
		return error_sys(error, errno, "open %s", target);
	if (fd >= 0 && mountinfo_is_mount_point(fd, "") != 1)
		return error_set(error, CST_EINVAL,
		                 "the mount program %s ended without an error, but it mounted "
		                 "nothing on %s",
		                 program, target);
	int errnum = fd < 0 ? ENOTCONN : ask_mount(steal_fd(&fd), false);
	if (errnum == ETIMEDOUT)
		return error_set(error, CST_ETIMEOUT,
		                 "the mount program %s mounted %s, but does not answer; it was "
		                 "killed after %d seconds",
		                 program, target, overlay_program_limit_ms / 1000);
	return errnum == 0
	               ? 0
	               : error_sys(error, errnum, "the mount program %s died after it mounted %s",
	                           program, target);
}

/* It is started as the Go tools do it: in the home, without input, with its messages in a pipe. */
static int run_program(const char *program, const struct run_options *options, const char *data,
                       const char *target, struct run *ret, cst_error **error)
{
	char *args[] = {(char *)program, (char *)"-o", (char *)data, (char *)target, NULL};
	_cleanup_error_ cst_error *problem = NULL;
	int r = run(args, options, ret, &problem);
	if (r == CST_ETIMEOUT)
		return error_set(error, CST_ETIMEOUT,
		                 "the mount program %s has mounted nothing on %s after %d seconds, "
		                 "and was killed",
		                 program, target, options->limit_ms / 1000);
	if (r == CST_ESYS)
		return not_started(program, problem, error);
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	/* If nobody knows the status, the mount tells. */
	if (ret->status != 0 && ret->status != RUN_STATUS_UNKNOWN)
		return failed(program, ret, error);
	return check_mount(program, target, error);
}

int overlay_program_mount(const struct overlay *o, const char *data, const char *target,
                          cst_error **error)
{
	_cleanup_run_ struct run run = {0};
	char id[ID_HEX_LEN + 1], mark[MARK_MAX];
	for (size_t i = 0; i < o->n_homes; i++)
		if (o->homes[i].path[strcspn(o->homes[i].path, ":,\\")])
			return error_set(error, CST_EINVAL,
			                 "%s: a mount program takes no path with ':', ',' or a "
			                 "backslash",
			                 o->homes[i].path);
	int r = id_generate(id, error);
	if (r < 0)
		return r;
	snprintf(mark, sizeof(mark), MARK "%s", id);
	const struct run_options options = {.limit_ms = overlay_program_limit_ms,
	                                    .dir = o->base.home,
	                                    .set = mark,
	                                    .said_max = SAID_MAX,
	                                    .silent = true};
	r = run_program(o->program, &options, data, target, &run, error);
	if (r < 0 && run.started) {
		kill_all(mark);
		(void)overlay_unmount(AT_FDCWD, target, target, NULL);
	}
	return r;
}
