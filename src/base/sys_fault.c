/* SPDX-License-Identifier: Apache-2.0 */
/* Faults at the system calls of sys.h, as the environment asks for them (sys_fault.h). This is in
 * test builds only. */
#include "base/sys_fault.h"

#ifdef CST_FAULT_INJECTION

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const call_names[SYS_CALL_MAX] = {
        [SYS_CALL_OPENAT] = "sys_openat",
        [SYS_CALL_MKDIRAT] = "sys_mkdirat",
        [SYS_CALL_MKNODAT] = "sys_mknodat",
        [SYS_CALL_SYMLINKAT] = "sys_symlinkat",
        [SYS_CALL_LINKAT] = "sys_linkat",
        [SYS_CALL_UNLINKAT] = "sys_unlinkat",
        [SYS_CALL_RENAMEAT] = "sys_renameat",
        [SYS_CALL_RENAMEAT2] = "sys_renameat2",
        [SYS_CALL_WRITE] = "sys_write",
        [SYS_CALL_PWRITE] = "sys_pwrite",
        [SYS_CALL_COPY_FILE_RANGE] = "sys_copy_file_range",
        [SYS_CALL_FICLONE] = "sys_ficlone",
        [SYS_CALL_DEDUPE_RANGE] = "sys_dedupe_range",
        [SYS_CALL_SUBVOLUME_CREATE] = "sys_subvolume_create",
        [SYS_CALL_SUBVOLUME_SNAPSHOT] = "sys_subvolume_snapshot",
        [SYS_CALL_SUBVOLUME_DESTROY] = "sys_subvolume_destroy",
        [SYS_CALL_SUBVOLUME_MAKE_WRITABLE] = "sys_subvolume_make_writable",
        [SYS_CALL_QUOTA_ENABLE] = "sys_quota_enable",
        [SYS_CALL_QUOTA_LIMIT] = "sys_quota_limit",
        [SYS_CALL_QUOTA_FORGET] = "sys_quota_forget",
        [SYS_CALL_FTRUNCATE] = "sys_ftruncate",
        [SYS_CALL_RESERVE] = "sys_reserve",
        [SYS_CALL_CLOSE_CHECKED] = "sys_close_checked",
        [SYS_CALL_FCHOWN] = "sys_fchown",
        [SYS_CALL_FCHMOD] = "sys_fchmod",
        [SYS_CALL_FUTIMENS] = "sys_futimens",
        [SYS_CALL_FSETXATTR] = "sys_fsetxattr",
        [SYS_CALL_SET_PROJECT] = "sys_set_project",
        [SYS_CALL_QUOTACTL] = "sys_quotactl",
        [SYS_CALL_FSYNC] = "sys_fsync",
        [SYS_CALL_FDATASYNC] = "sys_fdatasync",
        [SYS_CALL_SYNCFS] = "sys_syncfs",
        [SYS_CALL_SYNC_FILE_RANGE] = "sys_sync_file_range",
        [SYS_CALL_MOUNT] = "sys_mount",
        [SYS_CALL_UMOUNT2] = "sys_umount2",
        [SYS_CALL_ENABLE_VERITY] = "sys_enable_verity",
        [SYS_CALL_NEW_LOOP] = "sys_new_loop",
        [SYS_CALL_ATTACH_LOOP] = "sys_attach_loop",
        [SYS_CALL_FSOPEN] = "sys_fsopen",
        [SYS_CALL_FSCONFIG] = "sys_fsconfig",
        [SYS_CALL_FSMOUNT] = "sys_fsmount",
        [SYS_CALL_MOVE_MOUNT] = "sys_move_mount",
        [SYS_CALL_OPEN_TREE] = "sys_open_tree",
        [SYS_CALL_MOUNT_SETATTR] = "sys_mount_setattr",
        [SYS_CALL_SPAWN] = "sys_spawn",
        [SYS_CALL_OPEN_READING] = "sys_openat2",
};

static const struct {
	const char *name;
	int number;
} errno_names[] = {
        {"ENOSPC", ENOSPC}, {"EIO", EIO},     {"EMFILE", EMFILE}, {"EINTR", EINTR},
        {"ENOMEM", ENOMEM}, {"EROFS", EROFS}, {"EDQUOT", EDQUOT}, {"EBUSY", EBUSY},
};

static struct {
	_Atomic uint64_t *count;
	_Atomic uint64_t private_count;
	int log;
	uint64_t kill_at, stop_at, fail_at, fail_from;
	bool kill_group, stop_every, reads;
	int number;
	bool no_exchange, full, no_flush;
	const char *only, *skip_sync;
} faults;

static pthread_once_t faults_once = PTHREAD_ONCE_INIT;

/* A test that misspells a variable would inject nothing and succeed; so end the process. */
static void refuse(const char *variable, const char *value)
{
	fprintf(stderr, "%s: cannot use \"%s\"\n", variable, value);
	_exit(99);
}

static uint64_t number_from(const char *variable)
{
	const char *value = getenv(variable);
	char *end;
	uint64_t number;

	if (!value || !*value)
		return 0;
	number = strtoull(value, &end, 10);
	if (*end)
		refuse(variable, value);
	return number;
}

static void open_count(void)
{
	const char *path = getenv("CST_FAULT_COUNT");
	void *shared;
	int fd;

	faults.count = &faults.private_count;
	if (!path || !*path)
		return;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) < 0)
		refuse("CST_FAULT_COUNT", path);
	shared = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		refuse("CST_FAULT_COUNT", path);
	faults.count = shared;
	close(fd);
}

static void open_log(void)
{
	const char *path = getenv("CST_FAULT_LOG");

	faults.log = -1;
	if (!path || !*path)
		return;
	faults.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (faults.log < 0)
		refuse("CST_FAULT_LOG", path);
}

static void read_errno(void)
{
	const char *value = getenv("CST_FAULT_ERRNO");

	faults.number = EIO;
	if (!value || !*value)
		return;
	for (size_t i = 0; i < sizeof(errno_names) / sizeof(errno_names[0]); i++)
		if (strcmp(errno_names[i].name, value) == 0) {
			faults.number = errno_names[i].number;
			/* A call that is retried at EINTR would be retried for ever. */
			if (faults.number == EINTR && faults.fail_from)
				refuse("CST_FAULT_FAIL_FROM with CST_FAULT_ERRNO", value);
			return;
		}
	refuse("CST_FAULT_ERRNO", value);
}

static bool read_flush(void)
{
	const char *value = getenv("CST_FAULT_FLUSH");

	if (value && *value && strcmp(value, "none") != 0)
		refuse("CST_FAULT_FLUSH", value);
	return value && *value;
}

static void read_environment(void)
{
	faults.kill_at = number_from("CST_FAULT_KILL_AT");
	faults.kill_group = number_from("CST_FAULT_KILL_GROUP") != 0;
	faults.stop_at = number_from("CST_FAULT_STOP_AT");
	faults.stop_every = number_from("CST_FAULT_STOP_EVERY") != 0;
	faults.fail_at = number_from("CST_FAULT_FAIL_AT");
	faults.fail_from = number_from("CST_FAULT_FAIL_FROM");
	faults.reads = number_from("CST_FAULT_READS") != 0;
	faults.only = getenv("CST_FAULT_ONLY");
	if (faults.only && !*faults.only)
		faults.only = NULL;
	faults.full = number_from("CST_FAULT_FULL") != 0;
	faults.no_exchange = number_from("CST_FAULT_NO_EXCHANGE") != 0;
	faults.skip_sync = getenv("CST_FAULT_SKIP_SYNC");
	faults.no_flush = read_flush();
	read_errno();
	open_count();
	open_log();
}

/* Writes "function path". The path is below the one that the descriptor names, unless it is
 * absolute. */
static int describe_call(char *text, size_t room, enum sys_call call, int fd, const char *path)
{
	char link[64], where[PATH_MAX] = "";
	ssize_t length;

	if (fd == AT_FDCWD && (!path || path[0] != '/')) {
		if (!getcwd(where, sizeof(where)))
			where[0] = 0;
	} else if (fd >= 0 && (!path || path[0] != '/')) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		length = readlink(link, where, sizeof(where) - 1);
		where[length > 0 ? length : 0] = 0;
	}
	return snprintf(text, room, "%s %s%s%.*s", call_names[call], where,
	                where[0] && path && *path ? "/" : "", PATH_MAX, path ? path : "");
}

static void log_call(uint64_t n, enum sys_call call, int fd, const char *path)
{
	char text[2 * PATH_MAX + 32], line[sizeof(text) + 32];
	int size;

	describe_call(text, sizeof(text), call, fd, path);
	size = snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long)n, text);
	if (size > 0 && write(faults.log, line, (size_t)size) < 0)
		refuse("CST_FAULT_LOG", "a full disk");
}

bool sys_fault_skips(enum sys_call call, int fd)
{
	char text[2 * PATH_MAX + 32], patterns[1024], *pattern, *rest = patterns;

	if (faults.no_flush && call != SYS_CALL_SYNC_FILE_RANGE) {
		sync_file_range(fd, 0, 0,
		                SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
		                        SYNC_FILE_RANGE_WAIT_AFTER);
		return true;
	}
	if (!faults.skip_sync)
		return false;
	if (snprintf(patterns, sizeof(patterns), "%s", faults.skip_sync) >= (int)sizeof(patterns))
		refuse("CST_FAULT_SKIP_SYNC", faults.skip_sync);
	describe_call(text, sizeof(text), call, fd, NULL);
	while ((pattern = strsep(&rest, ",")))
		if (fnmatch(pattern, text, FNM_PATHNAME) == 0)
			return true;
	return false;
}

/* On a full disk, calls that remove something still work. */
static bool always_works(enum sys_call call)
{
	return (faults.number == ENOSPC || faults.number == EDQUOT) &&
	       (call == SYS_CALL_UNLINKAT || call == SYS_CALL_UMOUNT2 ||
	        call == SYS_CALL_SUBVOLUME_DESTROY);
}

static bool needs_room(enum sys_call call, int fd, const char *path)
{
	switch (call) {
	case SYS_CALL_MKDIRAT:
	case SYS_CALL_MKNODAT:
	case SYS_CALL_SYMLINKAT:
	case SYS_CALL_SUBVOLUME_CREATE:
	case SYS_CALL_SUBVOLUME_SNAPSHOT:
	case SYS_CALL_RESERVE: return true;
	case SYS_CALL_OPENAT: return faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	default: return false;
	}
}

int sys_fault(enum sys_call call, int fd, const char *path)
{
	int saved = errno;
	uint64_t n;

	pthread_once(&faults_once, read_environment);
	if (call == SYS_CALL_OPEN_READING && !faults.reads)
		return 0;
	if (faults.only && strcmp(faults.only, call_names[call]) != 0)
		return 0;
	n = atomic_fetch_add(faults.count, 1) + 1;
	if (faults.log >= 0)
		log_call(n, call, fd, path);
	if (n == faults.kill_at) {
		kill(faults.kill_group ? 0 : getpid(), SIGKILL);
		for (;;)
			pause();
	}
	if (n == faults.stop_at || faults.stop_every)
		kill(getpid(), SIGSTOP);
	errno = saved;
	if (n == faults.fail_at ||
	    (faults.fail_from && n >= faults.fail_from && !always_works(call)))
		return faults.number;
	if (faults.full && needs_room(call, fd, path))
		return ENOSPC;
	errno = saved;
	return 0;
}

bool sys_fault_refuses_rename(unsigned flags)
{
	pthread_once(&faults_once, read_environment);
	return faults.no_exchange && (flags & RENAME_EXCHANGE);
}

#endif
