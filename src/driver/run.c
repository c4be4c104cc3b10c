/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/run.h"
#include "base/fs.h"
#include "base/sys.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program that waits in the kernel cannot be killed. It is waited for so long, and no longer. */
#define KILL_LIMIT_MS 1000

extern char **environ;

struct child {
	pid_t pid;
	int pidfd, out_fd, said_fd;
};

static void child_close(struct child *child)
{
	closep(&child->pidfd);
	closep(&child->out_fd);
	closep(&child->said_fd);
}

void run_trim(struct run *run)
{
	while (run->said.len && run->said.data[run->said.len - 1] == '\n')
		run->said.data[--run->said.len] = '\0';
}

void run_free(struct run *run)
{
	strbuf_free(&run->out);
	strbuf_free(&run->said);
}

bool run_finds(const char *name)
{
	_cleanup_strv_ struct strv places = {0};
	if (!strv_split(&places, strempty(getenv("PATH")), ':'))
		return false;
	strv_foreach (place, &places) {
		_cleanup_free_ char *path = *place ? path_join(place, name) : strdup(name);
		if (path && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- starting ---- */

static char **environment_with(const char *set)
{
	size_t n = 0, kept = 0, name_len = set ? strcspn(set, "=") + 1 : 0;
	while (environ && environ[n])
		n++;
	char **copy = new0(char *, n + 2);
	for (size_t i = 0; copy && i < n; i++)
		if (!set || strncmp(environ[i], set, name_len) != 0)
			copy[kept++] = environ[i];
	if (copy)
		copy[kept] = (char *)set;
	return copy;
}

/* 0 or an errno. It is in a process group of its own, so that what it started can be killed with it. */
static int spawn(struct child *child, char *const *args, const struct run_options *options,
                 int out_fd, int said_fd)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	_cleanup_free_ char **environment = environment_with(options->set);
	if (!environment)
		return ENOMEM;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
	                                              POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	int errnum =
	        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (errnum == 0 && options->silent)
		errnum = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
		                                          O_WRONLY, 0);
	else if (errnum == 0)
		errnum = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	if (errnum == 0)
		errnum = posix_spawn_file_actions_adddup2(&actions, said_fd, STDERR_FILENO);
	if (errnum == 0 && options->dir)
		errnum = posix_spawn_file_actions_addchdir_np(&actions, options->dir);
	if (errnum == 0 &&
	    sys_spawn(&child->pid, args[0], &actions, &attributes, args, environment) < 0)
		errnum = errno;
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return errnum;
}

/* False: it has not ended by then. */
static bool reap(const struct child *child, int limit_ms, int *status)
{
	struct pollfd fd = {.fd = child->pidfd, .events = POLLIN};
	siginfo_t info = {0};
	int n;
	while ((n = poll(&fd, 1, limit_ms)) < 0 && errno == EINTR)
		;
	if (n <= 0)
		return false;
	while (waitid(P_PID, (id_t)child->pid, &info, WEXITED) < 0 && errno == EINTR)
		;
	*status = info.si_code == 0 ? RUN_STATUS_UNKNOWN : RUN_STATUS_SIGNAL;
	if (info.si_code == CLD_EXITED)
		*status = info.si_status;
	return true;
}

static void end_it(const struct child *child)
{
	int status;
	(void)kill(-child->pid, SIGKILL);
	(void)kill(child->pid, SIGKILL);
	if (child->pidfd >= 0)
		(void)reap(child, KILL_LIMIT_MS, &status);
}

/* Only this end does not block: the program shares the flags of its own, and would lose what the pipe has no room for. Where this
 * process has none of the first three descriptors, the program's end may not be one of them: it gets others under their numbers. */
static int make_pipe(int *ret_fd, int *ret_program_fd, cst_error **error)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(error, errno, "pipe");
	_cleanup_close_ int program_fd = ends[1];
	*ret_fd = ends[0];
	*ret_program_fd = fcntl(program_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return *ret_program_fd < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0
	               ? error_sys(error, errno, "fcntl")
	               : 0;
}

static int start(struct child *child, char *const *args, const struct run_options *options,
                 cst_error **error)
{
	_cleanup_close_ int out_fd = -1, said_fd = -1;
	int r = options->silent ? 0 : make_pipe(&child->out_fd, &out_fd, error);
	if (r == 0)
		r = make_pipe(&child->said_fd, &said_fd, error);
	if (r < 0)
		return r;
	int errnum = spawn(child, args, options, out_fd, said_fd);
	if (errnum)
		return error_sys(error, errnum, "starting %s", args[0]);
	child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->pidfd >= 0)
		return 0;
	errnum = errno;
	end_it(child);
	return error_sys(error, errnum, "starting %s: pidfd_open", args[0]);
}

/* ---- listening ---- */

static void take_plain(struct strbuf *to, const char *text, size_t n, size_t max)
{
	for (size_t i = 0; i < n && to->len < max; i++) {
		unsigned char c = (unsigned char)text[i];
		bool plain = c == '\n' || c == '\t' || (c >= ' ' && c != 0x7f);
		strbuf_addc(to, plain ? (char)c : '?');
	}
}

/* Takes what is there, and closes the end of a pipe that nobody writes to any more. */
static void listen_to(int *fd, struct strbuf *to, size_t max, bool plain)
{
	char text[4096];
	ssize_t n;
	while (*fd >= 0 && (n = read(*fd, text, sizeof(text))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (plain)
			take_plain(to, text, (size_t)n, max);
		else if (to->len < max)
			strbuf_add(to, text, (size_t)n);
	}
	closep(fd);
	*fd = -1;
}

static void listen_to_both(struct child *child, const struct run_options *options, struct run *ret)
{
	listen_to(&child->out_fd, &ret->out, RUN_OUT_MAX, false);
	listen_to(&child->said_fd, &ret->said, options->said_max, true);
}

/* False: it has not ended in time. */
static bool attend(struct child *child, const struct run_options *options, struct run *ret)
{
	int64_t until = now_ms() + options->limit_ms, left;
	bool ended = false;
	while (!ended && (left = until - now_ms()) > 0) {
		struct pollfd fds[] = {{.fd = child->pidfd, .events = POLLIN},
		                       {.fd = child->out_fd, .events = POLLIN},
		                       {.fd = child->said_fd, .events = POLLIN}};
		if (poll(fds, ARRAY_SIZE(fds), (int)left) < 0 && errno != EINTR)
			break;
		listen_to_both(child, options, ret);
		ended = fds[0].revents != 0;
	}
	if (!ended || !reap(child, KILL_LIMIT_MS, &ret->status))
		return false;
	listen_to_both(child, options, ret);
	return true;
}

int run(char *const *args, const struct run_options *options, struct run *ret, cst_error **error)
{
	_cleanup_(child_close) struct child child = {.pidfd = -1, .out_fd = -1, .said_fd = -1};
	int r = start(&child, args, options, error);
	if (r < 0)
		return r;
	ret->started = true;
	if (!attend(&child, options, ret)) {
		end_it(&child);
		return error_set(error, CST_ETIMEOUT,
		                 "%s %s has not ended after %d seconds, and was killed", args[0],
		                 strempty(args[1]), options->limit_ms / 1000);
	}
	return ret->out.failed || ret->said.failed ? error_oom(error) : 0;
}
