/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are made. Normally that is at their name: nobody else can reach a layer that is being
 * built. A layer that is mounted is in use: a process inside may replace, open and rename what
 * appears there at any moment. So everything is made in a private directory, gets its content, owner,
 * mode and attributes there, and moves to its name by one rename. There is one such thing at a time.
 */
#include "archive/unpack/internal.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include <errno.h>
#include <linux/fs.h>

#define NEW_NAME "new"
#ifndef AT_HANDLE_FID /* Linux 6.5 */
#define AT_HANDLE_FID 0x200
#endif

int place_begin(struct unpacker *u, cst_error **error)
{
	struct stat st;

	if (!u->options->in_use)
		return 0;
	int r = fs_private_make(&u->private, u->root_fd, "/", error);
	if (r < 0)
		return r;
	/* A whiteout of everything in the root must leave it. */
	struct directory root = {.fd = u->root_fd};
	if (fstat(u->root_fd, &st) < 0)
		return error_sys(error, errno, "stat /");
	root.key = directory_inode_key(u, &st);
	return hash_set_put(&u->own, directory_child_key(u, &root, u->private.name), 0)
	               ? 0
	               : error_oom(error);
}

void place_end(struct unpacker *u)
{
	fs_private_remove(&u->private);
}

struct place place_of(const struct unpacker *u, int parent_fd, const char *name)
{
	return u->options->in_use ? (struct place){u->private.fd, NEW_NAME}
	                          : (struct place){parent_fd, name};
}

int place_settle(const struct unpacker *u, int parent_fd, const char *name, enum place_way way)
{
	if (!u->options->in_use)
		return 0;
	int r = way == PLACE_NEW
	                ? sys_renameat2(u->private.fd, NEW_NAME, parent_fd, name, RENAME_NOREPLACE)
	                : sys_renameat(u->private.fd, NEW_NAME, parent_fd, name);
	/* Two names of one file: rename() then leaves both. */
	int problem = errno;
	if (sys_unlinkat(u->private.fd, NEW_NAME, 0) < 0 && errno == EISDIR)
		(void)sys_unlinkat(u->private.fd, NEW_NAME, AT_REMOVEDIR);
	errno = problem;
	return r;
}

int place_hold(const struct place *place, mode_t type, const char *shown, cst_error **error)
{
	_cleanup_close_ int fd = openat(place->fd, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(error, errno, "open /%s", shown);
	if ((st.st_mode & S_IFMT) != type)
		return error_set(error, CST_ECORRUPT,
		                 "/%s: somebody else replaced it while it was made", shown);
	return steal_fd(&fd);
}

/* ---- which files are ours ---- */

/* A number for the very file. An inode number alone is not enough: another process can remove the
 * file, and the next one gets the number; the file handle has the generation as well. False: the file
 * system has no handles. */
static bool identity(const struct unpacker *u, int fd, uint64_t *ret)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} space = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount;

	if (name_to_handle_at(fd, "", &space.handle, &mount, AT_EMPTY_PATH) < 0) {
		space.handle.handle_bytes = MAX_HANDLE_SZ;
		if (name_to_handle_at(fd, "", &space.handle, &mount,
		                      AT_EMPTY_PATH | AT_HANDLE_FID) < 0)
			return false;
	}
	*ret = siphash24(space.handle.f_handle, space.handle.handle_bytes, u->hash_key);
	return true;
}

int place_note_made(struct unpacker *u, int fd, cst_error **error)
{
	uint64_t number;

	if (!u->options->in_use || !identity(u, fd, &number))
		return 0;
	return hash_set_put(&u->made, number, 0) ? 0 : error_oom(error);
}

bool place_is_made(const struct unpacker *u, int fd)
{
	uint64_t number;

	return identity(u, fd, &number) && hash_set_get(&u->made, number, NULL);
}
