/* SPDX-License-Identifier: Apache-2.0 */
/* Replacing a file as a whole, also where the disk is full. */
#include "base/fs.h"
#include "base/id.h"
#include <errno.h>
#include <unistd.h>

struct replacement {
	int dirfd;
	const char *name;
	const struct fs_content *content;
	mode_t mode;
	unsigned flags;
	const char *shown;
};

static int write_content(const struct replacement *new, int fd, cst_error **error)
{
	const struct fs_content *content = new->content;
	if (content->write)
		return content->write(fd, content->userdata, error);
	if (sys_write_all(fd, content->data, content->size) < 0)
		return error_sys(error, errno, "write %s", new->shown);
	return 0;
}

/* Writes content and mode, and syncs if durable: then the file is complete, and is renamed. */
static int fill_and_rename(const struct replacement *new, int *fd, const char *from,
                           cst_error **error)
{
	int r = write_content(new, *fd, error);
	if (r < 0)
		return r;
	if (new->flags & FS_RESERVED &&sys_ftruncate(*fd, (off_t) new->content->size) < 0)
		return error_sys(error, errno, "truncate %s", new->shown);
	if (sys_fchmod(*fd, new->mode) < 0)
		return error_sys(error, errno, "chmod %s", new->shown);
	if (new->flags & FS_DURABLE &&sys_fdatasync(*fd) < 0)
		return error_sys(error, errno, "fdatasync %s", new->shown);
	if (sys_close_checked(steal_fd(fd)) < 0)
		return error_sys(error, errno, "close %s", new->shown);
	if (sys_renameat(new->dirfd, from, new->dirfd, new->name) < 0)
		return error_sys(error, errno, "rename %s %s", from, new->shown);
	return 0;
}

/* ---- by a temporary file ---- */

static char *temporary_name(const char *name, uint32_t number)
{
	return str_printf(".tmp-%s%u", name, number);
}

/* The temporary name that every FS_LOCKED writer of this file uses. */
static char *locked_temporary_name(const char *name)
{
	return str_join(".tmp-", name, "0");
}

static int replace_by_temporary(struct replacement new, cst_error **error)
{
	uint32_t number = 0;
	int r = new.flags &FS_LOCKED ? 0 : random_bytes(&number, sizeof(number), error);
	if (r < 0)
		return r;
	_cleanup_free_ char *temporary = new.flags &FS_LOCKED ? locked_temporary_name(new.name)
	                                                      : temporary_name(new.name, number);
	if (!temporary)
		return error_oom(error);
	int exclusive = new.flags &FS_LOCKED ? O_TRUNC | O_NOFOLLOW : O_EXCL;
	_cleanup_close_ int fd =
	        sys_openat(new.dirfd, temporary, O_RDWR | O_CREAT | O_CLOEXEC | exclusive, 0600);
	if (fd < 0)
		return error_sys(error, errno, "open %s for writing", new.shown);
	new.flags &= ~(unsigned)FS_RESERVED;
	r = fill_and_rename(&new, &fd, temporary, error);
	if (r < 0)
		(void)sys_unlinkat(new.dirfd, temporary, 0);
	return r;
}

bool fs_has_temporary(const char *dir, const char *name)
{
	_cleanup_free_ char *temporary = locked_temporary_name(name);
	_cleanup_free_ char *path = temporary ? path_join(dir, temporary) : NULL;
	return path && fs_exists(AT_FDCWD, path);
}

void fs_sweep_temporary(int dirfd, const char *name)
{
	_cleanup_free_ char *temporary = locked_temporary_name(name);
	if (temporary)
		(void)sys_unlinkat(dirfd, temporary, 0);
}

/* ---- by the reserve ---- */

#define RESERVE_UNIT 16384

static char *reserve_name(const char *name)
{
	return str_join(".reserve-", name);
}

static off_t room_of(const struct stat *st)
{
	return (off_t)st->st_blocks * 512;
}

/* What takes more room than the file that it replaces may not use the reserve: what the old file frees
 * would not do for the next one. */
static bool may_use_reserve(const struct replacement *new)
{
	struct stat st;
	return fstatat(new->dirfd, new->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (off_t) new->content->size <= MAX(st.st_size, room_of(&st));
}

/* A reserve is never read, so a writer that dies while it fills one does no harm. */
static int replace_by_reserve(const struct replacement *new, cst_error **error)
{
	_cleanup_free_ char *reserve = reserve_name(new->name);
	if (!reserve)
		return error_oom(error);
	_cleanup_close_ int fd =
	        openat(new->dirfd, reserve, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return error_sys(error, errno, "open %s", reserve);
	int r = fs_must_be_regular(fd, reserve, error);
	return r < 0 ? r : fill_and_rename(new, &fd, reserve, error);
}

/* More than is needed, if it can be had: a growing file asks seldom then, and where the Go tools made it
 * grow it may still be enough. */
bool fs_keep_room(int fd, size_t n)
{
	struct stat st;
	size_t room = (n + n / 4 + RESERVE_UNIT - 1) / RESERVE_UNIT * RESERVE_UNIT;
	return fstat(fd, &st) == 0 &&
	       (room_of(&st) >= (off_t)n || sys_reserve(fd, (off_t)room) == 0 ||
	        sys_reserve(fd, (off_t)n) == 0);
}

bool fs_keep_reserve(int dirfd, const char *name, size_t n)
{
	_cleanup_free_ char *reserve = reserve_name(name);
	struct stat st;
	if (!reserve)
		return false;
	if (fstatat(dirfd, reserve, &st, AT_SYMLINK_NOFOLLOW) == 0 && room_of(&st) >= (off_t)n)
		return true;
	_cleanup_close_ int fd = sys_openat(
	        dirfd, reserve, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	return fd >= 0 && fs_keep_room(fd, n);
}

/* ---- either way ---- */

int fs_replace_file_by(int dirfd, const char *name, const struct fs_content *content, mode_t mode,
                       unsigned flags, const char *shown, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	const struct replacement new = {.dirfd = dirfd,
	                                .name = name,
	                                .content = content,
	                                .mode = mode,
	                                .flags = flags,
	                                .shown = shown ? shown : name};
	int r = replace_by_temporary(new, &problem);
	if (r < 0 && flags & FS_RESERVED && error_is_full(problem) && may_use_reserve(&new))
		r = replace_by_reserve(&new, NULL);
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	return flags & FS_DURABLE ? fs_fsync_dir(dirfd, new.shown, error) : 0;
}

int fs_replace_file(int dirfd, const char *name, const void *data, size_t n, mode_t mode,
                    unsigned flags, const char *shown, cst_error **error)
{
	const struct fs_content content = {.data = data, .size = n};
	return fs_replace_file_by(dirfd, name, &content, mode, flags, shown, error);
}
