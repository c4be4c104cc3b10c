/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a tree that other users may have filled and may still change. This process works by
 * descriptors only, follows no symlink, enters no mount, and reaches any depth. Before it changes
 * something in order to remove it (a mode, the immutable flag), it holds the file by a descriptor,
 * so that no other file can take its place. The way down is a list of open directories. When more
 * than MAX_OPEN are open, the upper ones are closed. They are opened again through "..", which must
 * be the same device and inode. */
#include "base/fs.h"
#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define MAX_OPEN 64

struct level {
	DIR *dir; /* NULL: closed to save descriptors */
	dev_t dev;
	ino_t ino;
	char *name; /* in the directory above */
};

struct remover {
	struct level *levels;
	size_t len, capacity;
	size_t open_from; /* levels[open_from..len) are open */
	const char *shown;
	const struct fs_watch *watch; /* may be NULL */
};

static void note_removed(const struct fs_watch *watch)
{
	if (watch)
		watch->removed(watch->userdata);
}

static void level_close(struct level *level)
{
	if (level->dir)
		closedir(level->dir);
	level->dir = NULL;
}

static void remover_close(struct remover *r)
{
	while (r->len) {
		level_close(&r->levels[--r->len]);
		free(r->levels[r->len].name);
	}
	free(r->levels);
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
		case EEXIST: return 1;
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

/* Opens a directory that is on the same mount as dirfd. -1 and EXDEV if something is mounted on it,
 * also a bind mount of the same file system. Kernels without openat2 notice other file systems
 * only. */
static int open_same_mount(int dirfd, const char *name)
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
	return open_same_mount(dirfd, name);
}

/* Opens a directory in order to empty it. What is mounted on it is detached first. */
static int open_level(int dirfd, const char *name, struct level *ret)
{
	_cleanup_close_ int fd = open_same_mount(dirfd, name);
	if (fd < 0 && errno == EXDEV && detach_mount(dirfd, name))
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		fd = open_forbidden(dirfd, name);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	DIR *dir = fdopendir(fd);
	if (!dir)
		return -1;
	(void)steal_fd(&fd);
	*ret = (struct level){.dir = dir, .dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

static int remover_push(struct remover *r, int dirfd, const char *name)
{
	struct level *grown = grow_array(r->levels, &r->capacity, r->len + 1, sizeof(*grown));
	if (!grown) {
		errno = ENOMEM;
		return -1;
	}
	r->levels = grown;
	_cleanup_free_ char *copy = strdup(name);
	struct level level;
	if (!copy || open_level(dirfd, name, &level) < 0)
		return -1;
	level.name = steal_ptr(&copy);
	r->levels[r->len++] = level;
	if (r->len - r->open_from > MAX_OPEN)
		level_close(&r->levels[r->open_from++]);
	return 0;
}

/* Goes back to the directory above, and opens it again if it was closed. The one below is still
 * open. */
static int reopen_parent(struct remover *r)
{
	struct level *below = &r->levels[r->len - 1], *parent = &r->levels[r->len - 2];
	if (parent->dir)
		return 0;
	_cleanup_close_ int fd =
	        openat(dirfd(below->dir), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (st.st_dev != parent->dev || st.st_ino != parent->ino) {
		/* Another process moved a directory meanwhile: do not go on somewhere else. */
		errno = EXDEV;
		return -1;
	}
	parent->dir = fdopendir(fd);
	if (!parent->dir)
		return -1;
	(void)steal_fd(&fd);
	r->open_from = r->len - 2;
	return 0;
}

/* Empties the directory on top, or goes down into one below that is not empty. 1: it is empty; 0:
 * went down; -1: errno. */
static int empty_top(struct remover *r)
{
	struct level *top = &r->levels[r->len - 1];
	int fd = dirfd(top->dir);
	rewinddir(top->dir);
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(top->dir);
		if (!entry)
			return errno ? -1 : 1;
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		int left = try_unlink(fd, entry->d_name, entry->d_type == DT_DIR);
		if (left < 0)
			return -1;
		if (left == 0)
			note_removed(r->watch);
		if (left > 0 && remover_push(r, fd, entry->d_name) == 0)
			return 0;
		/* ENOENT: another process removed it. */
		if (left > 0 && errno != ENOENT)
			return -1;
	}
}

/* Removes what is below levels[0]. */
static int empty_all(struct remover *r)
{
	while (r->len) {
		int emptied = empty_top(r);
		if (emptied < 0)
			return -1;
		if (!emptied)
			continue;
		if (r->len == 1)
			return 0;
		if (reopen_parent(r) < 0)
			return -1;
		struct level *done = &r->levels[--r->len];
		level_close(done);
		int left = try_unlink(dirfd(r->levels[r->len - 1].dir), done->name, true);
		free(done->name);
		if (left < 0)
			return -1;
		note_removed(r->watch);
	}
	return 0;
}

static int remove_below(int dirfd, const char *name, const char *shown,
                        const struct fs_watch *watch, cst_error **error)
{
	struct remover r = {.shown = shown, .watch = watch};
	int result = remover_push(&r, dirfd, name);
	if (result == 0)
		result = empty_all(&r);
	int saved = errno;
	remover_close(&r);
	return result < 0 ? error_sys(error, saved, "remove %s", shown) : 0;
}

int fs_empty_dir(int dirfd, const char *shown, cst_error **error)
{
	return remove_below(dirfd, ".", shown, NULL, error);
}

static int remove_entry(int dirfd, const char *name, const char *shown,
                        const struct fs_watch *watch, cst_error **error)
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
		int r = remove_below(dirfd, name, shown, watch, &problem);
		/* ENOENT: another process removed it. */
		if (r < 0 && cst_error_errno(problem) != ENOENT)
			return error_propagate(error, problem);
		cst_error_free(problem);
	}
	return error_sys(error, ENOTEMPTY, "remove %s", shown);
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
		return remove_entry(dirfd, name, shown, watch, error);
	/* The path to the entry may cross mounts; only what is inside the entry may not. */
	_cleanup_free_ char *above = strndup(name, (size_t)(base - name));
	if (!above)
		return error_oom(error);
	_cleanup_close_ int parent = openat(dirfd, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "remove %s", shown);
	return remove_entry(parent, base, shown, watch, error);
}
