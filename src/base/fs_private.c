/* SPDX-License-Identifier: Apache-2.0 */
/* Private directories, and making a directory where other users can write, so that no other user's
 * directory is taken for the one that this process made. */
#include "base/fs_private.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define PREFIX ".cstorage-tmp-"

enum { ATTEMPTS = 100 };

static bool is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		closep(&copy);
		return false;
	}
	bool empty = true;
	for (struct dirent *entry; empty && (entry = readdir(dir));)
		empty = streq(entry->d_name, ".") || streq(entry->d_name, "..");
	(void)closedir(dir);
	return empty;
}

/* Another user may put a directory under the name between mkdirat() and openat(). A directory there
 * is as good as the one made if it belongs to this process, nobody else can write to it, and it is
 * empty. Access control lists cannot let others write either, since the group bits of the mode
 * limit them. */
static bool is_as_made(int fd, mode_t mode)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & 0777 & ~mode) && is_empty(fd);
}

int fs_make_dir(int dirfd, const char *name, mode_t mode)
{
	if (sys_mkdirat(dirfd, name, mode) < 0)
		return -1;
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!is_as_made(fd, mode)) {
		errno = ESTALE;
		return -1;
	}
	return steal_fd(&fd);
}

/* ---- private directories ---- */

/* Whoever has the lock of a private directory owns it, until the process ends. Does the name still
 * stand for it? Another process may have removed it meanwhile. */
static bool is_locked_now(int dirfd, const char *name, int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0 && fs_names_file(dirfd, name, fd);
}

/* It looks like a private directory of this user, and nobody has its lock: its owner is dead. */
static void remove_if_left(int dirfd, const char *name)
{
	struct stat st;
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & 07777) == 0700 && is_locked_now(dirfd, name, fd) &&
	    fs_empty_dir(fd, name, NULL) == 0)
		(void)sys_unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* Best effort: what cannot be removed does no harm to the new one. */
static void remove_left(int dirfd)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return closep(&copy);
	for (struct dirent *entry; (entry = readdir(dir));)
		if (has_prefix(entry->d_name, PREFIX))
			remove_if_left(dirfd, entry->d_name);
	(void)closedir(dir);
}

/* The name cannot be guessed: an archive may name anything. Another process that looks for what the
 * dead left may take the new directory for such a one until it is locked: then again. */
static int make_locked(int dirfd, struct fs_private *made, const char *shown, cst_error **error)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		uint32_t number;
		int r = random_bytes(&number, sizeof(number), error);
		if (r < 0)
			return r;
		snprintf(made->name, sizeof(made->name), PREFIX "%08x", number);
		_cleanup_close_ int fd = fs_make_dir(dirfd, made->name, 0700);
		if (fd >= 0 && is_locked_now(dirfd, made->name, fd)) {
			made->fd = steal_fd(&fd);
			return 0;
		}
		if (fd < 0 && errno != EEXIST && errno != ENOENT)
			break;
	}
	return error_sys(error, errno, "mkdir %s/%s", shown, made->name);
}

int fs_private_make(struct fs_private *dir, int dirfd, const char *shown, cst_error **error)
{
	struct fs_private made = FS_PRIVATE_INIT;
	_cleanup_close_ int parent = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return error_sys(error, errno, "open %s", shown);
	remove_left(parent);
	int r = make_locked(parent, &made, shown, error);
	if (r < 0)
		return r;
	made.dirfd = steal_fd(&parent);
	*dir = made;
	return 0;
}

int fs_private_remove(struct fs_private *dir, cst_error **error)
{
	if (dir->fd < 0)
		return 0;
	int r = fs_empty_dir(dir->fd, dir->name, error);
	if (r == 0 && sys_unlinkat(dir->dirfd, dir->name, AT_REMOVEDIR) < 0)
		r = error_sys(error, errno, "rmdir %s", dir->name);
	closep(&dir->fd);
	closep(&dir->dirfd);
	*dir = (struct fs_private)FS_PRIVATE_INIT;
	return r;
}

void fs_private_discard(struct fs_private *dir)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (fs_private_remove(dir, &problem) < 0)
		log_warning("%s", cst_error_message(problem));
}
