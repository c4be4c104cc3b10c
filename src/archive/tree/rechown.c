/* SPDX-License-Identifier: Apache-2.0 */
/* Gives a tree to the ids of another id map (rechown.h). */
#include "archive/tree/rechown.h"
#include "archive/tree/inode_map.h"
#include "archive/tree/owners.h"
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "base/sys.h"
#include <errno.h>
#include <sys/xattr.h>

#define CAPABILITY     "security.capability"
#define CAPABILITY_MAX 64 /* a struct vfs_ns_cap_data has 24 bytes */

struct rechown {
	struct new_owners owners;
	struct inode_map seen; /* with several names */
};

/* chown clears set-id bits and capabilities: they are set again. */
static int change_owner(int fd, const struct stat *st, uint32_t uid, uint32_t gid,
                        const char *shown, cst_error **error)
{
	char path[XATTR_PATH_MAX], capability[CAPABILITY_MAX];
	xattr_fd_path(path, fd);
	ssize_t n = S_ISREG(st->st_mode)
	                    ? getxattr(path, CAPABILITY, capability, sizeof(capability))
	                    : -1;
	if (S_ISREG(st->st_mode) && n < 0 && errno != ENODATA && errno != EOPNOTSUPP &&
	    errno != EOVERFLOW)
		return error_sys(error, errno, "lgetxattr %s of %s", CAPABILITY, shown);
	if (sys_fchown(fd, uid, gid) < 0)
		return error_sys(error, errno, "lchown %s", shown);
	if (!S_ISLNK(st->st_mode) && st->st_mode & (S_ISUID | S_ISGID) &&
	    sys_fchmod(fd, st->st_mode & 07777) < 0)
		return error_sys(error, errno, "chmod %s", shown);
	if (n >= 0 && sys_fsetxattr(fd, CAPABILITY, capability, (size_t)n, 0) < 0)
		return error_sys(error, errno, "lsetxattr %s of %s", CAPABILITY, shown);
	return 0;
}

/* The entry itself, held without opening it; it must still be what the walk saw. */
static int hold_entry(const struct tree_entry *entry, int *ret, cst_error **error)
{
	_cleanup_close_ int fd = openat(entry->dirfd, entry->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(error, errno, "open %s", entry->path);
	if (st.st_dev != entry->stat.st_dev || st.st_ino != entry->stat.st_ino)
		return error_set(error, CST_ECORRUPT, "%s: replaced while its owner was changed",
		                 entry->path);
	*ret = steal_fd(&fd);
	return 0;
}

static int rechown_entry(struct rechown *rechown, const struct tree_entry *entry, cst_error **error)
{
	const struct stat *st = &entry->stat;
	uint32_t uid, gid;
	bool failed = false;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 &&
	    !inode_map_add(&rechown->seen, st->st_dev, st->st_ino, &failed))
		return failed ? error_oom(error) : 0;
	int r = new_owners_of(&rechown->owners, st, entry->path, &uid, &gid, error);
	if (r < 0 || (uid == st->st_uid && gid == st->st_gid))
		return r;
	_cleanup_close_ int fd = -1;
	r = hold_entry(entry, &fd, error);
	return r == 0 ? change_owner(fd, st, uid, gid, entry->path, error) : r;
}

static void rechown_done(struct rechown *rechown)
{
	inode_map_free(&rechown->seen);
}

int rechown_tree(int dirfd, const struct idmaps *from, const struct idmaps *to, cst_error **error)
{
	_cleanup_(rechown_done) struct rechown rechown = {0};
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	enum tree_event event = TREE_ENTRY;
	struct tree_entry entry;
	int r = new_owners_init(&rechown.owners, from, to, error);
	if (r == 0)
		r = tree_walk_new(&dirfd, 1, false, &walk, error);
	while (r == 0 && event != TREE_END) {
		r = tree_walk_next(walk, &event, &entry, error);
		if (r == 0 && event == TREE_ENTRY)
			r = rechown_entry(&rechown, &entry, error);
	}
	if (r == 0 && sys_fchown(dirfd, rechown.owners.root_uid, rechown.owners.root_gid) < 0)
		r = error_sys(error, errno, "chown the root of the layer");
	return r;
}
