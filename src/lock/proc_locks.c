/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the processes that hold or wait for a lock. /proc/locks names the process of a POSIX
 * lock, but says -1 for an OFD lock, which belongs to an open file. Such a lock is in
 * /proc/PID/fdinfo/FD of every process that has the file open. A process that waits for one is in
 * neither, but /proc/PID/task/TID/syscall shows that a thread is in fcntl(fd, F_OFD_SETLKW). */
#include "lock/proc_locks.h"
#include "base/fs.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef F_OFD_SETLKW
#define F_OFD_SETLKW 38
#endif
#define PROC_FILE_MAX ((size_t)64 << 20)

struct claims {
	struct lock_claim *items;
	size_t len, capacity;
};

struct search {
	const struct lock_inode *files;
	size_t n_files;
	struct claims found, ownerless; /* ownerless: OFD locks of /proc/locks */
};

static bool add_claim(struct claims *claims, const struct lock_claim *claim)
{
	for (size_t i = 0; claim->pid && i < claims->len; i++) {
		const struct lock_claim *old = &claims->items[i];
		if (old->file == claim->file && old->pid == claim->pid &&
		    old->write == claim->write && old->waiting == claim->waiting)
			return true;
	}
	void *grown = grow_array(claims->items, &claims->capacity, claims->len + 1, sizeof(*claim));
	if (!grown)
		return false;
	claims->items = grown;
	claims->items[claims->len++] = *claim;
	return true;
}

bool lock_line_parse(const char *line, struct lock_line *ret)
{
	char kind[16], mode[16];
	int end = 0;
	struct lock_line parsed = {0};
	if (sscanf(line, " %*[0-9]: %n", &end) < 0 || end == 0)
		return false;
	line += end;
	parsed.waiting = strncmp(line, "-> ", 3) == 0;
	line += parsed.waiting ? 3 : 0;
	if (sscanf(line, "%15s %*15s %15s %ld %x:%x:%" SCNu64, kind, mode, &parsed.pid,
	           &parsed.major, &parsed.minor, &parsed.inode) != 6)
		return false;
	parsed.ofd = strcmp(kind, "OFDLCK") == 0;
	parsed.write = strcmp(mode, "WRITE") == 0;
	if (!parsed.ofd && strcmp(kind, "POSIX") != 0)
		return false;
	*ret = parsed;
	return true;
}

static bool same_file(const struct lock_inode *file, const struct lock_line *line)
{
	return file->inode == line->inode && file->major == line->major &&
	       file->minor == line->minor;
}

/* The index of the file that a line is about; n_files: none of them. */
static size_t file_of(const struct search *s, const struct lock_line *line)
{
	size_t i = 0;
	while (i < s->n_files && !same_file(&s->files[i], line))
		i++;
	return i;
}

static int read_table(struct search *s, cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r = fs_read_file(AT_FDCWD, "/proc/locks", PROC_FILE_MAX, &text, &size, error);
	for (char *next = text, *line; r == 0 && (line = strsep(&next, "\n"));) {
		struct lock_line parsed;
		if (!lock_line_parse(line, &parsed))
			continue;
		struct lock_claim claim = {.file = file_of(s, &parsed),
		                           .pid = parsed.pid > 0 ? (pid_t)parsed.pid : 0,
		                           .write = parsed.write,
		                           .waiting = parsed.waiting};
		if (claim.file < s->n_files &&
		    !add_claim(claim.pid ? &s->found : &s->ownerless, &claim))
			r = error_oom(error);
	}
	return r;
}

/* ---- owners of OFD locks ---- */

static bool read_small(int dirfd, const char *path, char *buffer, size_t size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fs_read_full(fd, buffer, size - 1);
	if (n < 0)
		return false;
	buffer[n] = '\0';
	return true;
}

/* Adds the locks held through one open file. */
static bool add_held(struct search *s, pid_t pid, char *fdinfo)
{
	for (char *next = fdinfo, *line; (line = strsep(&next, "\n"));) {
		struct lock_line parsed;
		if (strncmp(line, "lock:", 5) != 0 || !lock_line_parse(line + 5, &parsed) ||
		    !parsed.ofd)
			continue;
		struct lock_claim claim = {
		        .file = file_of(s, &parsed), .pid = pid, .write = parsed.write};
		if (claim.file < s->n_files && !add_claim(&s->found, &claim))
			return false;
	}
	return true;
}

/* The mode in which all waiters of a file wait. False: some wait for reading, some for writing;
 * then a waiting thread does not say which of the locks is its own. */
static bool waiting_mode(const struct search *s, size_t file, bool *write)
{
	bool any = false;
	for (size_t i = 0; i < s->ownerless.len; i++) {
		const struct lock_claim *claim = &s->ownerless.items[i];
		if (claim->file != file || !claim->waiting)
			continue;
		if (any && *write != claim->write)
			return false;
		*write = claim->write;
		any = true;
	}
	return any;
}

/* Adds a thread that waits for an OFD lock of one of the files. */
static bool add_waiter(struct search *s, int proc_fd, pid_t pid, const char *thread)
{
	char path[64], text[256];
	long number;
	unsigned long fd, command;
	struct stat st;
	snprintf(path, sizeof(path), "task/%s/syscall", thread);
	if (!read_small(proc_fd, path, text, sizeof(text)) ||
	    sscanf(text, "%ld %lx %lx", &number, &fd, &command) != 3 || number != SYS_fcntl ||
	    command != F_OFD_SETLKW)
		return true;
	snprintf(path, sizeof(path), "fd/%lu", fd);
	if (fstatat(proc_fd, path, &st, 0) < 0)
		return true;
	for (size_t i = 0; i < s->n_files; i++) {
		struct lock_claim claim = {.file = i, .pid = pid, .waiting = true};
		if (s->files[i].inode == st.st_ino && s->files[i].stat_dev == st.st_dev &&
		    waiting_mode(s, i, &claim.write))
			return add_claim(&s->found, &claim);
	}
	return true;
}

static bool is_number(const char *name)
{
	return isdigit((unsigned char)name[0]);
}

/* Calls `each` for the numbers in a directory of /proc. What cannot be read is skipped. */
static bool each_number(int dirfd, const char *name,
                        bool (*each)(int dirfd, const char *number, void *userdata), void *userdata)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool ok = true;
	if (!dir) {
		closep(&fd);
		return true;
	}
	for (struct dirent *entry; ok && (entry = readdir(dir));)
		if (is_number(entry->d_name))
			ok = each(fd, entry->d_name, userdata);
	closedir(dir);
	return ok;
}

struct process {
	struct search *search;
	int fd;
	pid_t pid;
};

static bool look_at_open_file(int dirfd, const char *number, void *userdata)
{
	struct process *process = userdata;
	char text[4096];
	return !read_small(dirfd, number, text, sizeof(text)) ||
	       add_held(process->search, process->pid, text);
}

static bool look_at_thread(int dirfd, const char *number, void *userdata)
{
	struct process *process = userdata;
	return add_waiter(process->search, process->fd, process->pid, number);
}

static bool look_at_process(int dirfd, const char *number, void *userdata)
{
	_cleanup_close_ int fd = openat(dirfd, number, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct process process = {
	        .search = userdata, .fd = fd, .pid = (pid_t)strtol(number, NULL, 10)};
	return fd < 0 || (each_number(fd, "fdinfo", look_at_open_file, &process) &&
	                  each_number(fd, "task", look_at_thread, &process));
}

static bool still_there(const struct claims *now, const struct lock_claim *lock)
{
	for (size_t i = 0; i < now->len; i++)
		if (now->items[i].file == lock->file && now->items[i].write == lock->write &&
		    now->items[i].waiting == lock->waiting)
			return true;
	return false;
}

/* Adds the locks of /proc/locks for which no process was found, with an unknown process. Locks that
 * went away during the search are left out, since most locks are short. */
static bool add_unexplained(struct search *s, const struct claims *now)
{
	for (size_t i = 0; i < s->ownerless.len; i++) {
		const struct lock_claim *lock = &s->ownerless.items[i];
		bool explained = false;
		for (size_t k = 0; k < s->found.len && !explained; k++)
			explained = s->found.items[k].pid && s->found.items[k].file == lock->file &&
			            s->found.items[k].write == lock->write &&
			            s->found.items[k].waiting == lock->waiting;
		if (!explained && still_there(now, lock) && !add_claim(&s->found, lock))
			return false;
	}
	return true;
}

static int find_owners(struct search *s, cst_error **error)
{
	struct search again = {.files = s->files, .n_files = s->n_files};
	int r = each_number(AT_FDCWD, "/proc", look_at_process, s) ? 0 : error_oom(error);
	if (r == 0)
		r = read_table(&again, error);
	if (r == 0 && !add_unexplained(s, &again.ownerless))
		r = error_oom(error);
	free(again.found.items);
	free(again.ownerless.items);
	return r;
}

int lock_claims(const struct lock_inode *files, size_t n_files, struct lock_claim **ret,
                size_t *ret_n, cst_error **error)
{
	struct search s = {.files = files, .n_files = n_files};
	int r = read_table(&s, error);
	if (r == 0 && s.ownerless.len > 0)
		r = find_owners(&s, error);
	free(s.ownerless.items);
	if (r < 0) {
		free(s.found.items);
		return r;
	}
	*ret = s.found.items;
	*ret_n = s.found.len;
	return 0;
}

/* ---- the two names of a file ---- */

static bool number_behind(const char *text, const char *key, unsigned long *ret)
{
	const char *at = strstr(text, key);
	return at && sscanf(at + strlen(key), " %lu", ret) == 1;
}

/* The device of the superblock: that of the mount in /proc/self/mountinfo. */
static bool mount_device(int fd, unsigned *major, unsigned *minor)
{
	_cleanup_free_ char *table = NULL;
	char path[64], info[4096];
	unsigned long mount_id, id;
	size_t size = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (!read_small(AT_FDCWD, path, info, sizeof(info)) ||
	    !number_behind(info, "mnt_id:", &mount_id) ||
	    fs_read_file(AT_FDCWD, "/proc/self/mountinfo", PROC_FILE_MAX, &table, &size, NULL) < 0)
		return false;
	for (char *next = table, *line; (line = strsep(&next, "\n"));)
		if (sscanf(line, "%lu %*u %u:%u", &id, major, minor) == 3 && id == mount_id)
			return true;
	return false;
}

int lock_inode_of(int dirfd, const char *name, struct lock_inode *ret)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct lock_inode file;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	file.inode = st.st_ino;
	file.stat_dev = st.st_dev;
	if (!mount_device(fd, &file.major, &file.minor)) {
		file.major = major(st.st_dev);
		file.minor = minor(st.st_dev);
	}
	*ret = file;
	return 0;
}
