/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a tree that other users may have filled and may still change. This process works by
 * descriptors only, follows no symlink, enters no mount, and reaches any depth. Before it changes
 * something in order to remove it (a mode, the immutable flag), it holds the file by a descriptor,
 * so that no other file can take its place. */
#include "base/fs_remove.h"
#include "base/fs_chain.h"
#include "base/subvolume.h"
#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdalign.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

/* A tree of fewer names is removed before other threads would have begun. */
#define MANY 1000

struct remover {
	struct fs_chain chain; /* from the directory that is emptied to where the removal is */
	struct strbuf path;    /* of the innermost, below the first */
	const char *shown;
	const struct fs_watch *watch; /* may be NULL */
	bool changed; /* something was removed since the first one was read from its start */
	size_t left;  /* so many names may be removed before this stops, with ECANCELED */
};

static void note_removed(const struct fs_watch *watch)
{
	if (watch)
		watch->removed(watch->userdata);
}

static void remover_free(struct remover *r)
{
	fs_chain_free(&r->chain);
	strbuf_free(&r->path);
}

/* Opens the very file or directory that an O_PATH descriptor holds. */
static int open_held(int fd, int flags)
{
	char path[32];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

/* A file that is marked immutable or append-only cannot be removed. Root may clear the mark. */
static bool clear_flags(int fd)
{
	int flags = 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
		return false;
	flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* Clears the marks of a file, and of its directory: in an immutable directory nothing can be
 * unlinked. Only files and directories are opened: opening a device can make it do something. */
static bool clear_flags_at(int dirfd, const char *name)
{
	bool cleared = clear_flags(dirfd);
	struct stat st;
	_cleanup_close_ int held = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (held < 0 || fstat(held, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return cleared;
	_cleanup_close_ int fd = open_held(held, O_RDONLY | O_NONBLOCK);
	return (fd >= 0 && clear_flags(fd)) || cleared;
}

/* Detaches what is mounted on a name. False: something is mounted there and cannot be detached. */
static bool detach_mount(int dirfd, const char *name)
{
	char path[64 + NAME_MAX];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	while (sys_umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	return errno == EINVAL; /* not a mount point any more */
}

/* 0: gone (or never there); 1: a directory that is not empty; -1: errno */
static int try_unlink(int dirfd, const char *name, bool directory)
{
	for (int attempt = 0; attempt < 3; attempt++) {
		if (sys_unlinkat(dirfd, name, directory ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
			return 0;
		switch (errno) {
		case EISDIR: directory = true; continue;
		case ENOTDIR:
			if (!directory)
				return -1;
			directory = false;
			continue;
		case ENOTEMPTY:
		case EEXIST: return subvolume_remove(dirfd, name) ? 0 : 1;
		case EBUSY:
			if (detach_mount(dirfd, name))
				continue;
			errno = EBUSY;
			return -1;
		case EPERM:
		case EACCES: {
			struct stat st;
			if (!directory && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			    S_ISDIR(st.st_mode)) {
				directory = true;
				continue;
			}
			if (!clear_flags_at(dirfd, name)) {
				errno = EPERM;
				return -1;
			}
			continue;
		}
		default: return -1;
		}
	}
	return -1;
}

int fs_open_same_mount(int dirfd, const char *name)
{
	static const uint64_t resolve_no_xdev = 0x01; /* linux/openat2.h */
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct open_how_v0 how = {.flags = (uint64_t)flags, .resolve = resolve_no_xdev};
	int fd = sys_openat2(dirfd, name, &how);
	if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
		return fd;
	struct stat above, here;
	fd = openat(dirfd, name, flags);
	if (fd < 0 || fstat(dirfd, &above) < 0 || fstat(fd, &here) < 0 ||
	    above.st_dev == here.st_dev)
		return fd;
	close(fd);
	errno = EXDEV;
	return -1;
}

/* A user cannot open a directory of the user's own whose mode forbids it: change the mode, then
 * open. */
static int open_forbidden(int dirfd, const char *name)
{
	_cleanup_close_ int held =
	        openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (held < 0 || sys_fchmod(held, 0700) < 0)
		return -1;
	return fs_open_same_mount(dirfd, name);
}

/* Opens a directory in order to empty it. What is mounted on it is detached first. */
static int open_level(int dirfd, const char *name)
{
	int fd = fs_open_same_mount(dirfd, name);
	if (fd < 0 && errno == EXDEV && detach_mount(dirfd, name))
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		fd = open_forbidden(dirfd, name);
	return fd;
}

/* -1: errno; ENOENT: another process removed it. */
static int go_down(struct remover *r, const char *name)
{
	int fd = open_level(fs_chain_fd(&r->chain), name);
	if (fd < 0)
		return -1;
	if (r->path.len > 0)
		strbuf_addc(&r->path, '/');
	strbuf_adds(&r->path, name);
	if (!r->path.failed)
		return fs_chain_push(&r->chain, fd, r->path.len);
	close(fd);
	errno = ENOMEM;
	return -1;
}

/* Removes one name, or goes down if that is a directory that is not empty; then reading goes on at
 * `next` when the way leads back. 1: removed; 0: went down; -1: errno. */
static int remove_name(struct remover *r, const char *name, bool directory, off_t next)
{
	int fd = fs_chain_fd(&r->chain);
	if (r->left-- == 0) {
		errno = ECANCELED;
		return -1;
	}
	int left = try_unlink(fd, name, directory);
	if (left == 0)
		note_removed(r->watch);
	if (left <= 0)
		return left < 0 ? -1 : 1;
	if (lseek(fd, next, SEEK_SET) < 0)
		return -1;
	return go_down(r, name) == 0 ? 0 : errno == ENOENT ? 1 : -1;
}

/* Goes on emptying the innermost directory. 1: its end is reached; 0: went down; -1: errno. */
static int empty_innermost(struct remover *r)
{
	alignas(struct dirent64) char entries[8192];
	int fd = fs_chain_fd(&r->chain);
	ssize_t n;
	while ((n = getdents64(fd, (void *)entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
			at += entry->d_reclen;
			if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
				continue;
			r->changed = true;
			int removed = remove_name(r, entry->d_name, entry->d_type == DT_DIR,
			                          entry->d_off);
			if (removed <= 0)
				return removed;
		}
	}
	return n < 0 ? -1 : 1;
}

/* The innermost directory is empty, but for what other processes put in meanwhile: removes it too. */
static int go_up(struct remover *r)
{
	if (fs_chain_pop(&r->chain, r->path.data) < 0)
		return -1;
	size_t len = r->chain.links[r->chain.len - 1].path_len;
	_cleanup_free_ char *name = strdup(r->path.data + len + (len > 0));
	r->path.len = len;
	r->path.data[len] = '\0'; /* the next name ends here */
	if (name)
		return remove_name(r, name, true, lseek(fs_chain_fd(&r->chain), 0, SEEK_CUR));
	errno = ENOMEM;
	return -1;
}

static int empty_all(struct remover *r)
{
	for (;;) {
		int end = empty_innermost(r);
		if (end > 0 && r->chain.len > 1)
			end = go_up(r);
		else if (end > 0 && !r->changed)
			return 0;
		else if (end > 0) {
			r->changed = false;
			end = lseek(fs_chain_fd(&r->chain), 0, SEEK_SET) < 0 ? -1 : 0;
		}
		if (end < 0)
			return -1;
	}
}

static int remove_below(int dirfd, const char *name, const char *shown,
                        const struct fs_watch *watch, size_t most, cst_error **error)
{
	_cleanup_(remover_free) struct remover r = {
	        .chain.limit = FS_CHAIN_OPEN, .shown = shown, .watch = watch, .left = most};
	_cleanup_close_ int top = open_level(dirfd, name);
	if (top < 0 || fs_chain_push(&r.chain, top, 0) < 0 || empty_all(&r) < 0)
		return error_sys(error, errno, "remove %s", shown);
	return 0;
}

int fs_empty_dir(int dirfd, const char *shown, cst_error **error)
{
	return remove_below(dirfd, ".", shown, NULL, SIZE_MAX, error);
}

static int remove_entry(int dirfd, const char *name, const char *shown,
                        const struct fs_watch *watch, size_t most, cst_error **error)
{
	/* Other processes may put something in meanwhile: try again. */
	for (int attempt = 0; attempt < 16; attempt++) {
		int left = try_unlink(dirfd, name, true);
		if (left == 0) {
			note_removed(watch);
			return 0;
		}
		if (left < 0)
			return error_sys(error, errno, "remove %s", shown);
		cst_error *problem = NULL;
		int r = remove_below(dirfd, name, shown, watch, most, &problem);
		int errnum = cst_error_errno(problem);
		/* ENOENT: another process removed it. */
		if (r < 0 && errnum != ENOENT && errnum != ECANCELED)
			return error_propagate(error, problem);
		cst_error_free(problem);
		if (r < 0 && errnum == ECANCELED)
			fs_remove_many(dirfd, name, watch);
		most = SIZE_MAX;
	}
	return error_sys(error, ENOTEMPTY, "remove %s", shown);
}

int fs_remove_alone(int dirfd, const char *name, const struct fs_watch *watch)
{
	return remove_entry(dirfd, name, name, watch, SIZE_MAX, NULL);
}

int fs_remove_tree(int dirfd, const char *name, const char *shown, cst_error **error)
{
	return fs_remove_tree_watched(dirfd, name, shown, NULL, error);
}

int fs_remove_tree_watched(int dirfd, const char *name, const char *shown,
                           const struct fs_watch *watch, cst_error **error)
{
	const char *base = path_base(name);
	if (!shown)
		shown = name;
	if (base == name)
		return remove_entry(dirfd, name, shown, watch, MANY, error);
	/* The path to the entry may cross mounts; only what is inside the entry may not. */
	_cleanup_free_ char *above = strndup(name, (size_t)(base - name));
	if (!above)
		return error_oom(error);
	_cleanup_close_ int parent = openat(dirfd, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "remove %s", shown);
	return remove_entry(parent, base, shown, watch, MANY, error);
}
