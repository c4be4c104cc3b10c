/* SPDX-License-Identifier: Apache-2.0 */
/* The user namespace in which a user other than root is root over a range of ids
 * (docs/format/config.md, "Process user namespace"). Nothing is executed again: a forked child
 * enters the namespace and goes on with the verb; the parent maps its ids and waits. */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANGES_MAX 340 /* the kernel takes no more lines in a map */

struct range {
	uint32_t inside, outside, size;
};

struct id_map {
	struct range ranges[RANGES_MAX];
	size_t n;
};

static pid_t child_pid;
static bool warned; /* of missing subordinate ids */

/* ---- maps ---- */

static void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void warn(const char *format, ...)
{
	_cleanup_text_ char *message = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	if (message)
		log_text(CST_LOG_WARNING, message);
}

/* For root: the map of all ids that this process may use, under the same numbers. */
static bool read_own_map(const char *path, struct id_map *map)
{
	FILE *file = fopen(path, "re");
	uint32_t inside, outside, size;
	if (!file)
		return false;
	while (map->n < RANGES_MAX &&
	       fscanf(file, "%" SCNu32 " %" SCNu32 " %" SCNu32, &inside, &outside, &size) == 3)
		map->ranges[map->n++] = (struct range){inside, inside, size};
	fclose(file);
	return map->n > 0;
}

/* For a user: the user's own id becomes 0, and the ranges set aside for the user follow. *error
 * says why there are none. */
static void user_map(const char *user, bool group, struct id_map *map, cst_error **error)
{
	cst_idmap *ranges = NULL;
	size_t n = 0;
	map->ranges[map->n++] = (struct range){0, group ? getgid() : getuid(), 1};
	if (cst_idmap_subids(user, group, &ranges, &n, error) < 0)
		return;
	for (size_t i = 0; i < n && map->n < RANGES_MAX; i++)
		map->ranges[map->n++] = (struct range){ranges[i].container_id + 1,
		                                       ranges[i].host_id, ranges[i].size};
	cst_free(ranges);
}

static bool write_proc(pid_t pid, const char *name, const char *text, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool written = write(fd, text, size) == (ssize_t)size;
	int saved = errno;
	close(fd);
	errno = saved;
	return written;
}

/* The kernel takes a map only in a single write. */
static bool write_map(pid_t pid, const char *name, const struct id_map *map, size_t n)
{
	char text[RANGES_MAX * 36];
	size_t length = 0;
	for (size_t i = 0; i < n; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%u %u %u\n",
		                           map->ranges[i].inside, map->ranges[i].outside,
		                           map->ranges[i].size);
	return write_proc(pid, name, text, length);
}

bool find_program(const char *name, char *path, size_t size)
{
	const char *next = getenv("PATH");
	while (next && *next) {
		size_t length = strcspn(next, ":");
		snprintf(path, size, "%.*s/%s", (int)length, next, name);
		if (length > 0 && access(path, X_OK) == 0)
			return true;
		next += length + (next[length] == ':');
	}
	return false;
}

/* Runs newuidmap or newgidmap: set-user-ID programs that know which ranges belong to whom. */
static bool run_helper(const char *program, const char *path, pid_t pid, const struct id_map *map)
{
	char numbers[RANGES_MAX * 3][12], target[12], output[512] = "";
	char *args[RANGES_MAX * 3 + 3] = {(char *)program, target};
	int pipe_fds[2], status = 0;
	snprintf(target, sizeof(target), "%d", (int)pid);
	for (size_t i = 0; i < map->n; i++) {
		const uint32_t values[] = {map->ranges[i].inside, map->ranges[i].outside,
		                           map->ranges[i].size};
		for (size_t k = 0; k < 3; k++) {
			snprintf(numbers[i * 3 + k], sizeof(numbers[0]), "%u", values[k]);
			args[2 + i * 3 + k] = numbers[i * 3 + k];
		}
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return false;
	pid_t helper = fork();
	if (helper == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		execv(path, args);
		_exit(127);
	}
	close(pipe_fds[1]);
	size_t length = 0;
	ssize_t got;
	while (length + 1 < sizeof(output) &&
	       (got = read(pipe_fds[0], output + length, sizeof(output) - 1 - length)) > 0)
		length += (size_t)got;
	close(pipe_fds[0]);
	if (helper > 0 && waitpid(helper, &status, 0) == helper && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0)
		return true;
	warn("running %s: exit status %d: %s", program,
	     helper > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1, output);
	warn("Falling back to single mapping");
	return false;
}

/* Warns in the words of containers-storage, which prints them with every command. */
static void warn_as_upstream(const char *user, const cst_error *error)
{
	warn("Reading allowed ID mappings: reading subuid mappings for user \"%s\" and subgid "
	     "mappings for group \"%s\": %s",
	     user, user, cst_error_go_message(error));
	warn("Found no UID ranges set aside for user \"%s\" in /etc/subuid.", user);
	warn("Found no GID ranges set aside for user \"%s\" in /etc/subgid.", user);
}

/* A file in the run root, which is empty after a boot. If it is there, the user was warned
 * already. */
static char *warned_path(const struct invocation *in)
{
	char *path = NULL;
	return in->run_root && asprintf(&path, "%s/cstorage-no-subordinate-ids", in->run_root) >= 0
	               ? path
	               : NULL;
}

/* Warns only once: a user without ids has none with the next command either. */
static void warn_once(const struct invocation *in, const cst_error *users, const cst_error *groups)
{
	_cleanup_text_ char *path = warned_path(in);
	if (path && access(path, F_OK) == 0)
		return;
	warn("%s%s%s: only files of user and group 0 can be stored",
	     users ? cst_error_message(users) : "", users && groups ? "; " : "",
	     groups ? cst_error_message(groups) : "");
	warned = true;
}

/* Notes the warning at the end, since the command may have made the run root. */
static void remember_warning(const struct invocation *in)
{
	_cleanup_text_ char *path = warned ? warned_path(in) : NULL;
	int fd = path ? open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600) : -1;
	if (fd >= 0)
		close(fd);
}

/* Maps each kind by itself: by the helper program if there are more ids than the own, else that id
 * alone. Returns an exit code. */
static int map_for_user(const struct invocation *in, pid_t pid, bool group,
                        const struct id_map *map)
{
	const char *program = group ? "newgidmap" : "newuidmap";
	char path[4096];
	if (map->n > 1) {
		if (!find_program(program, path, sizeof(path))) {
			complain(in, "finding %s: exec: \"%s\": executable file not found in $PATH",
			         program, program);
			return 1;
		}
		if (run_helper(program, path, pid, map))
			return 0;
	}
	/* Without privilege a group may be mapped only if the process cannot drop groups. */
	if (group)
		(void)write_proc(pid, "setgroups", "deny", 4);
	if (write_map(pid, group ? "gid_map" : "uid_map", map, 1))
		return 0;
	complain(in, "writing %s of the user namespace: %s", group ? "gid_map" : "uid_map",
	         errno_words(errno));
	return 1;
}

static int map_user(const struct invocation *in, pid_t pid, const char *user)
{
	_cleanup_error_ cst_error *groups = NULL, *users = NULL;
	struct id_map gids = {.n = 0}, uids = {.n = 0};
	user_map(user, false, &uids, &users);
	user_map(user, true, &gids, &groups);
	if ((users || groups) && in->personality == GO_STYLE) {
		warn_as_upstream(user, users ? users : groups);
		uids.n = gids.n = 1; /* upstream takes both or none */
	} else if (users || groups) {
		warn_once(in, users, groups);
	}
	int code = map_for_user(in, pid, true, &gids);
	return code ? code : map_for_user(in, pid, false, &uids);
}

static int map_ids(const struct invocation *in, pid_t pid)
{
	if (geteuid() == 0) {
		struct id_map uids = {.n = 0}, gids = {.n = 0};
		if (read_own_map("/proc/self/uid_map", &uids) &&
		    read_own_map("/proc/self/gid_map", &gids) &&
		    write_map(pid, "gid_map", &gids, gids.n) &&
		    write_map(pid, "uid_map", &uids, uids.n))
			return 0;
		complain(in, "writing the maps of the user namespace: %s", errno_words(errno));
		return 1;
	}
	const struct passwd *entry = getpwuid(getuid());
	char number[12];
	snprintf(number, sizeof(number), "%u", (unsigned)getuid());
	_cleanup_text_ char *user = strdup(entry ? entry->pw_name : number);
	return user ? map_user(in, pid, user) : 1;
}

/* ---- the child ---- */

static void set_number(const char *name, unsigned value)
{
	char text[12];
	snprintf(text, sizeof(text), "%u", value);
	setenv(name, text, 0); /* nested: the outermost user stays */
}

static int become_root(const struct invocation *in, int ready_fd, int go_fd)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	pid_t parent = getppid();
	int errnum = unshare(CLONE_NEWUSER) < 0 ? errno : 0;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || write(ready_fd, &errnum, sizeof(errnum)) != sizeof(errnum))
		_exit(1);
	char go;
	if (read(go_fd, &go, 1) != 1)
		_exit(1); /* the parent has said why */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || unshare(CLONE_NEWNS) < 0) {
		complain(in, "entering the user namespace: %s", errno_words(errno));
		return 1;
	}
	/* A change of ids drops it, so set it again. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (uid != 0)
		setenv("BUILDAH_ISOLATION", "rootless", 0);
	setenv("_CONTAINERS_USERNS_CONFIGURED", "done", 1);
	set_number("_CONTAINERS_ROOTLESS_UID", uid);
	set_number("_CONTAINERS_ROOTLESS_GID", gid);
	return 0;
}

/* ---- the parent ---- */

/* What the terminal sends reaches the child without this process. */
static void forward_signal(int signal_number, siginfo_t *info, void *context)
{
	if (info->si_code <= 0 && child_pid > 0)
		kill(child_pid, signal_number);
}

static int wait_for_child(void)
{
	struct sigaction action = {.sa_sigaction = forward_signal,
	                           .sa_flags = SA_SIGINFO | SA_RESTART};
	const int forwarded[] = {SIGHUP, SIGINT, SIGTERM};
	for (size_t i = 0; i < 3; i++)
		sigaction(forwarded[i], &action, NULL);
	int status = 0;
	while (waitpid(child_pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int explain_unshare(const struct invocation *in, int errnum)
{
	char limit[16] = "";
	FILE *file = fopen("/proc/sys/user/max_user_namespaces", "re");
	complain(in, "Error during unshare(CLONE_NEWUSER): %s", errno_words(errnum));
	if (file && fgets(limit, sizeof(limit), file) && atol(limit) == 0)
		complain(in, "User namespaces are not enabled in "
		             "/proc/sys/user/max_user_namespaces.");
	if (file)
		fclose(file);
	return 1;
}

static int lead_child(const struct invocation *in, int ready_fd, int go_fd)
{
	int errnum = EIO;
	if (read(ready_fd, &errnum, sizeof(errnum)) != sizeof(errnum))
		errnum = EIO;
	int code = errnum ? explain_unshare(in, errnum) : map_ids(in, child_pid);
	if (code == 0 && write(go_fd, "", 1) != 1)
		code = 1;
	close(go_fd); /* without a byte: the child gives up */
	int child_code = wait_for_child();
	remember_warning(in);
	return code ? code : child_code;
}

int enter_user_namespace(const struct invocation *in)
{
	static bool inside;
	int ready[2], go[2];
	if (inside)
		return 0;
	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		return fail_errno(in, errno, "pipe", "for a user namespace");
	fflush(NULL);
	child_pid = fork();
	if (child_pid < 0)
		return fail_errno(in, errno, "fork", "for a user namespace");
	if (child_pid > 0) {
		close(ready[1]);
		close(go[0]);
		exit(lead_child(in, ready[0], go[1]));
	}
	close(ready[0]);
	close(go[1]);
	int code = become_root(in, ready[1], go[0]);
	close(ready[1]);
	close(go[0]);
	inside = code == 0;
	return code;
}
