/* SPDX-License-Identifier: Apache-2.0 */
/* Deletion marks (docs/format/archive.md, "Whiteouts"). A whiteout never acts on what its own layer
 * brought. */
#include "archive/unpack/internal.h"
#include "base/fs.h"
#include <errno.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool whiteout_is_node(const struct unpacker *u, const struct stat *st)
{
	return u->options->whiteouts == UNPACK_WHITEOUT_OVERLAY && S_ISCHR(st->st_mode) &&
	       st->st_rdev == makedev(0, 0);
}

int whiteout_set_opaque(struct unpacker *u, int fd)
{
	const char *name = u->options->userns ? "user.overlay.opaque" : "trusted.overlay.opaque";
	return sys_fsetxattr(fd, name, "y", 1, 0);
}

/* The name that a whiteout deletes: base without ".wh." */
static const char *target_of(const struct entry *e)
{
	return e->base + strlen(".wh.");
}

/* ---- overlay: marks for the kernel ---- */

/* Something of this layer has the name already: only lower content is deleted. A file hides it
 * anyway, a directory must become opaque. */
static int mark_existing(struct unpacker *u, const struct entry *e, const struct directory *parent,
                         cst_error **error)
{
	struct directory directory;
	struct stat st;

	if (fstatat(parent->fd, target_of(e), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "lstat /%s", e->path);
	if (!S_ISDIR(st.st_mode))
		return 0;
	int r = directory_open_child(u, parent, target_of(e), &directory);
	_cleanup_close_ int fd = r < 0 ? -1 : directory.fd;
	if (fd < 0 || whiteout_set_opaque(u, fd) < 0)
		return error_sys(error, errno, "lsetxattr /%s", e->path);
	_cleanup_free_ char *path =
	        str_printf("%.*s%s", (int)(e->base - e->path), e->path, target_of(e));
	if (!path)
		return error_oom(error);
	return sync_list_add_directory(u, path, strlen(path), error);
}

static int set_whiteout_owner(struct unpacker *u, const struct entry *e, const struct place *place,
                              cst_error **error)
{
	if (u->options->force_mask >= 0 || (e->host_uid == 0 && e->host_gid == 0))
		return 0;
	int r = place_hold(place, S_IFCHR, e->path, error);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = r;
	if (sys_fchown(fd, e->host_uid, e->host_gid) < 0 && !u->options->ignore_chown_errors)
		return error_sys(error, errno, "lchown /%s", e->path);
	return 0;
}

static int mark_whiteout(struct unpacker *u, const struct entry *e, cst_error **error)
{
	const char *target = target_of(e);
	struct directory parent;

	if (directory_get_parent(u, e, DIRECTORY_CREATE_UNLESS_GONE, &parent) < 0)
		return errno == ENOTDIR ? 0 : error_sys(error, errno, "mknod /%s", e->path);
	struct place place = place_of(u, parent.fd, target);
	bool made = sys_mknodat(place.fd, place.name, S_IFCHR, makedev(0, 0)) == 0;
	if (!made && errno != EEXIST)
		return error_sys(error, errno, "mknod /%s", e->path);
	if (!made)
		return mark_existing(u, e, &parent, error);
	int r = set_whiteout_owner(u, e, &place, error);
	if (r < 0)
		return r;
	if (place_settle(u, parent.fd, target, PLACE_NEW) < 0)
		return errno == EEXIST ? mark_existing(u, e, &parent, error)
		                       : error_sys(error, errno, "mknod /%s", e->path);
	return sync_list_add_directory(u, e->path, entry_parent_len(e), error);
}

static int mark_opaque(struct unpacker *u, const struct entry *e, cst_error **error)
{
	struct directory parent;

	if (directory_get_parent(u, e, DIRECTORY_CREATE, &parent) < 0 ||
	    whiteout_set_opaque(u, parent.fd) < 0)
		return error_sys(error, errno, "lsetxattr /%s", e->path);
	return sync_list_add_directory(u, e->path, entry_parent_len(e), error);
}

/* ---- full root file systems: deletion ---- */

/* Removes what the archive did not bring. A directory goes when nothing of the archive is left in
 * it. */
static int remove_foreign(struct unpacker *u, const struct directory *directory, const char *name,
                          const struct stat *st, void *arg, cst_error **error)
{
	bool is_directory = S_ISDIR(st->st_mode);

	if (namespace_is_own(u, directory, name, NULL))
		return 0;
	if (is_directory || S_ISLNK(st->st_mode))
		directory_paths_changed(u);
	if (sys_unlinkat(directory->fd, name, is_directory ? AT_REMOVEDIR : 0) < 0) {
		bool holds_own = is_directory && (errno == ENOTEMPTY || errno == EEXIST);
		return holds_own || errno == ENOENT ? 0
		                                    : error_sys(error, errno, "unlinkat %s", name);
	}
	return 0;
}

static int delete_content(struct unpacker *u, const struct directory *directory, cst_error **error)
{
	return directory_walk(u, directory, remove_foreign, NULL, error);
}

static int delete_target(struct unpacker *u, const struct entry *e, cst_error **error)
{
	const char *target = target_of(e);
	struct directory parent, directory;
	struct stat st;

	if (directory_get_parent(u, e, DIRECTORY_MUST_EXIST, &parent) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "lstat /%s", e->path);
	if (fstatat(parent.fd, target, &st, AT_SYMLINK_NOFOLLOW) <
	    0) /* a name too long for a file is not there either */
		return errno == ENOENT || errno == ENAMETOOLONG
		               ? 0
		               : error_sys(error, errno, "lstat /%s", e->path);
	if (S_ISDIR(st.st_mode)) {
		if (directory_open_child(u, &parent, target, &directory) < 0)
			return error_sys(error, errno, "open /%s", e->path);
		int r = delete_content(u, &directory, error);
		close(directory.fd);
		if (r < 0)
			return r;
	}
	int r = remove_foreign(u, &parent, target, &st, NULL, error);
	return r < 0 ? r : sync_list_add_directory(u, e->path, entry_parent_len(e), error);
}

/* As upstream: the content of a directory that is reached through a symlink as its last step is
 * left alone. */
static bool is_symlink(struct unpacker *u, const char *path, size_t n)
{
	_cleanup_free_ char *copy = strndup(path, n);
	_cleanup_close_ int fd =
	        copy && n > 0 ? fs_open_in_root(u->root_fd, copy, O_PATH | O_NOFOLLOW) : -1;
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode);
}

static int delete_opaque(struct unpacker *u, const struct entry *e, cst_error **error)
{
	size_t n = entry_parent_len(e);
	struct directory directory;

	if (is_symlink(u, e->path, n))
		return 0;
	if (directory_get_parent(u, e, DIRECTORY_MUST_EXIST, &directory) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "open /%s", e->path);
	int r = delete_content(u, &directory, error);
	return r < 0 ? r : sync_list_add_directory(u, e->path, n, error);
}

int whiteout_apply(struct unpacker *u, const struct entry *e, cst_error **error)
{
	return u->options->whiteouts == UNPACK_WHITEOUT_APPLY ? delete_target(u, e, error)
	                                                      : mark_whiteout(u, e, error);
}

int whiteout_apply_opaque(struct unpacker *u, const struct entry *e, cst_error **error)
{
	return u->options->whiteouts == UNPACK_WHITEOUT_APPLY ? delete_opaque(u, e, error)
	                                                      : mark_opaque(u, e, error);
}
