/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are made. Normally that is at their name: nobody else can reach a layer that is being
 * built. A layer that is mounted is in use: a process inside may replace, open and rename what
 * appears there at any moment. So everything is made in a private directory, gets its content, owner,
 * mode and attributes there, and moves to its name by one rename. There is one such thing at a time.
 */
#include "archive/unpack/place.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include <errno.h>
#include <linux/fs.h>

#define NEW_NAME "new"
#ifndef AT_HANDLE_FID /* Linux 6.5 */
#define AT_HANDLE_FID 0x200
#endif

int making_begin(struct making *making, cst_error **error)
{
	struct directory root;

	if (!making->in_use)
		return 0;
	int r = fs_private_make(&making->private, making->root_fd, "/", error);
	if (r < 0)
		return r;
	/* A whiteout of everything in the root must leave it. */
	if (directory_at(making->own, making->root_fd, &root) < 0)
		return error_sys(error, errno, "stat /");
	return own_add(making->own, &root, making->private.name, 0, error);
}

int making_end(struct making *making, cst_error **error)
{
	return fs_private_remove(&making->private, error);
}

void making_free(struct making *making)
{
	fs_private_discard(&making->private);
	hash_set_free(&making->made);
}

struct place place_of(const struct making *making, int parent_fd, const char *name)
{
	return making->in_use ? (struct place){making->private.fd, NEW_NAME}
	                      : (struct place){parent_fd, name};
}

int place_settle(const struct making *making, int parent_fd, const char *name, enum place_way way)
{
	if (!making->in_use)
		return 0;
	int r = way == PLACE_NEW ? sys_renameat2(making->private.fd, NEW_NAME, parent_fd, name,
	                                         RENAME_NOREPLACE)
	                         : sys_renameat(making->private.fd, NEW_NAME, parent_fd, name);
	/* Two names of one file: rename() then leaves both. */
	int problem = errno;
	if (sys_unlinkat(making->private.fd, NEW_NAME, 0) < 0 && errno == EISDIR)
		(void)sys_unlinkat(making->private.fd, NEW_NAME, AT_REMOVEDIR);
	errno = problem;
	return r;
}

int place_hold(const struct place *place, mode_t type, const char *shown, struct stat *ret_stat,
               cst_error **error)
{
	_cleanup_close_ int fd = openat(place->fd, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, ret_stat) < 0)
		return error_sys(error, errno, "open /%s", shown);
	if ((ret_stat->st_mode & S_IFMT) != type)
		return error_set(error, CST_ECORRUPT,
		                 "/%s: somebody else replaced it while it was made", shown);
	return steal_fd(&fd);
}

/* ---- which files are ours ---- */

/* A number for the very file. An inode number alone is not enough: another process can remove the
 * file, and the next one gets the number; the file handle has the generation as well. False: the file
 * system has no handles. */
static bool identity(const struct making *making, int fd, uint64_t *ret)
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
	*ret = siphash24(space.handle.f_handle, space.handle.handle_bytes, making->own->hash_key);
	return true;
}

int place_note_made(struct making *making, int fd, cst_error **error)
{
	uint64_t number;

	if (!making->in_use || !identity(making, fd, &number))
		return 0;
	return hash_set_put(&making->made, number, 0) ? 0 : error_oom(error);
}

bool place_is_made(const struct making *making, int fd)
{
	uint64_t number;

	return identity(making, fd, &number) && hash_set_get(&making->made, number, NULL);
}
