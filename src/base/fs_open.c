/* SPDX-License-Identifier: Apache-2.0 */
/* Opening below a directory. The kernel does it with openat2. Where that is missing (before Linux
 * 5.6, or a seccomp filter refuses it) this file walks one component at a time. Either way no name
 * resolves to something outside of the directory. */
#include "base/fs.h"
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <unistd.h>

/* linux/openat2.h */
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS   0x04
#define RESOLVE_BENEATH       0x08
#define RESOLVE_IN_ROOT       0x10

#define MAX_SYMLINKS 40 /* as the kernel's own limit */

/* The open directories from the root down to where the walk is. ".." goes back to the one before
 * instead of asking the disk, which another process may be changing. */
struct walk {
	int *fds;
	size_t len, capacity;
	int root;
	/* Absolute links, and ".." above the root, stay at the root. Without it they fail. */
	bool in_root;
	unsigned symlinks, max_symlinks;
};

static int walk_top(const struct walk *w)
{
	return w->len ? w->fds[w->len - 1] : w->root;
}

static void walk_close(struct walk *w)
{
	while (w->len)
		close(w->fds[--w->len]);
	free(w->fds);
}

static bool walk_push(struct walk *w, int fd)
{
	int *grown = grow_array(w->fds, &w->capacity, w->len + 1, sizeof(int));
	if (!grown) {
		close(fd);
		errno = ENOMEM;
		return false;
	}
	w->fds = grown;
	w->fds[w->len++] = fd;
	return true;
}

static bool walk_up(struct walk *w)
{
	if (w->len) {
		close(w->fds[--w->len]);
		return true;
	}
	errno = EXDEV;
	return w->in_root;
}

static bool walk_to_root(struct walk *w)
{
	if (!w->in_root) {
		errno = EXDEV;
		return false;
	}
	while (w->len)
		close(w->fds[--w->len]);
	return true;
}

/* Puts the target of a symlink in front of what is left of the path. */
static bool walk_link(struct walk *w, const char *name, char **rest)
{
	if (++w->symlinks > w->max_symlinks) {
		errno = ELOOP;
		return false;
	}
	_cleanup_free_ char *target = fs_readlink(walk_top(w), name);
	if (!target)
		return false;
	char *joined = **rest ? str_printf("%s/%s", target, *rest) : strdup(target);
	if (!joined) {
		errno = ENOMEM;
		return false;
	}
	free(*rest);
	*rest = joined;
	return target[0] != '/' || walk_to_root(w);
}

/* Enters a component that is not the last one, or has a slash behind it. */
static bool walk_down(struct walk *w, const char *name, char **rest)
{
	int fd = openat(walk_top(w), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return walk_push(w, fd);
	struct stat st;
	if (errno != ENOTDIR || fstatat(walk_top(w), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (S_ISLNK(st.st_mode))
		return walk_link(w, name, rest);
	errno = ENOTDIR;
	return false;
}

/* 1: the last component is a symlink that is to be followed, and *rest now begins with its
 * target. */
static int walk_follow_last(struct walk *w, const char *name, int flags, char **rest)
{
	struct stat st;
	if (flags & O_NOFOLLOW || fstatat(walk_top(w), name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISLNK(st.st_mode))
		return 0;
	return walk_link(w, name, rest) ? 1 : -1;
}

static int walk_open(struct walk *w, const char *path, int flags)
{
	_cleanup_free_ char *rest = strdup(path);
	if (!rest)
		return -1;
	if (path[0] == '/' && !walk_to_root(w))
		return -1;
	for (;;) {
		size_t skip = strspn(rest, "/");
		memmove(rest, rest + skip, strlen(rest + skip) + 1);
		if (!*rest)
			return openat(walk_top(w), ".", flags);
		size_t n = strcspn(rest, "/");
		_cleanup_free_ char *name = strndup(rest, n);
		if (!name)
			return -1;
		bool last = rest[n] == '\0';
		memmove(rest, rest + n, strlen(rest + n) + 1);
		if (streq(name, "."))
			continue;
		if (streq(name, "..")) {
			if (!walk_up(w))
				return -1;
			continue;
		}
		if (!last) {
			if (!walk_down(w, name, &rest))
				return -1;
			continue;
		}
		int followed = walk_follow_last(w, name, flags, &rest);
		if (followed < 0)
			return -1;
		if (!followed)
			return openat(walk_top(w), name, flags | O_NOFOLLOW);
	}
}

static int open_walking(int dirfd, const char *path, int flags, uint64_t resolve)
{
	struct walk w = {
	        .root = dirfd,
	        .in_root = resolve & RESOLVE_IN_ROOT,
	        .max_symlinks = resolve & RESOLVE_NO_SYMLINKS ? 0 : MAX_SYMLINKS,
	};
	int fd = walk_open(&w, path, flags);
	int saved = errno;
	walk_close(&w);
	errno = saved;
	return fd;
}

static int open_confined(int dirfd, const char *path, int flags, uint64_t resolve)
{
	static atomic_bool missing;
	flags |= O_CLOEXEC;
	if (!*path) {
		errno = ENOENT;
		return -1;
	}
	if (!missing) {
		struct open_how_v0 how = {.flags = (uint64_t)flags,
		                          .resolve = resolve | RESOLVE_NO_MAGICLINKS};
		int fd;
		/* EAGAIN: something was renamed while the kernel resolved a "..". */
		do
			fd = sys_openat2(dirfd, path, &how);
		while (fd < 0 && (errno == EAGAIN || errno == EINTR));
		if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
			return fd;
		if (errno == ENOSYS)
			missing = true;
	}
	return open_walking(dirfd, path, flags, resolve);
}

int fs_open_beneath(int dirfd, const char *path, int flags)
{
	if (dirfd == AT_FDCWD)
		return openat(dirfd, path, flags | O_CLOEXEC);
	return open_confined(dirfd, path, flags, RESOLVE_BENEATH);
}

int fs_open_in_root(int dirfd, const char *path, int flags)
{
	return open_confined(dirfd, path, flags, RESOLVE_IN_ROOT);
}

/* As much of the path as one call takes, cut at a slash. */
static size_t chunk_length(const char *path)
{
	size_t n = strnlen(path, PATH_MAX - 1);
	const char *slash = path[n] ? memrchr(path, '/', n) : NULL;
	return slash ? (size_t)(slash - path) : n;
}

int fs_open_dir_below(int dirfd, const char *path, int flags)
{
	_cleanup_close_ int fd = -1;
	do {
		char chunk[PATH_MAX];
		size_t n = chunk_length(path);
		memcpy(chunk, path, n);
		chunk[n] = '\0';
		path += n + strspn(path + n, "/");
		int next = open_confined(fd < 0 ? dirfd : fd, n ? chunk : ".",
		                         (*path ? O_PATH : flags) | O_DIRECTORY | O_NOFOLLOW,
		                         RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		closep(&fd);
		fd = next;
	} while (fd >= 0 && *path);
	return steal_fd(&fd);
}

int fs_open_dir(const char *path, int *ret_fd, cst_error **error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s", path);
	*ret_fd = fd;
	return 0;
}
