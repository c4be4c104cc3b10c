/* SPDX-License-Identifier: Apache-2.0 */
/* Private directories, and making a directory where other users can write, so that no other user's
 * directory is taken for the one that this process made. */
#include "base/fs_private.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

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

int fs_private_make(struct fs_private *dir, int dirfd, const char *shown, cst_error **error)
{
	uint32_t number;
	struct fs_private made = FS_PRIVATE_INIT;
	int r = random_bytes(&number, sizeof(number), error);
	if (r < 0)
		return r;
	snprintf(made.name, sizeof(made.name), ".tmp-%08x", number);
	_cleanup_close_ int parent = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return error_sys(error, errno, "open %s", shown);
	made.fd = fs_make_dir(parent, made.name, 0700);
	if (made.fd < 0)
		return error_sys(error, errno, "mkdir %s/%s", shown, made.name);
	made.dirfd = steal_fd(&parent);
	*dir = made;
	return 0;
}

void fs_private_remove(struct fs_private *dir)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (dir->fd < 0)
		return;
	if (fs_empty_dir(dir->fd, dir->name, &problem) < 0)
		log_warning("%s", cst_error_message(problem));
	else if (sys_unlinkat(dir->dirfd, dir->name, AT_REMOVEDIR) < 0)
		log_warning("remove the temporary directory %s: %s", dir->name, errno_text(errno));
	closep(&dir->fd);
	closep(&dir->dirfd);
	*dir = (struct fs_private)FS_PRIVATE_INIT;
}
