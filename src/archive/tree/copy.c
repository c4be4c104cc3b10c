/* SPDX-License-Identifier: Apache-2.0 */
/* Copies a directory tree faithfully (copy.h). */
#include "archive/tree/copy.h"
#include "archive/pack/packer.h"
#include "archive/tree/copy_files.h"
#include "archive/tree/inode_map.h"
#include "archive/tree/owners.h"
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include "base/types.h"
#include <errno.h>
#include <unistd.h>

struct copy {
	int to_fd;
	const struct copy_options *options;
	struct tree_walk *walk; /* the source, and the copy beside it */
	struct inode_map links; /* first path of each inode with several names */
	struct new_owners owners;
	struct copy_files *files;
	uint64_t entries;
};

static void copy_free(struct copy *copy)
{
	if (copy->walk)
		tree_walk_free(copy->walk);
	copy_files_free(copy->files);
	inode_map_free(&copy->links);
}

static int report_progress(const struct copy *copy, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state),
	        .what = "copy",
	        .bytes_done = copy_files_bytes(copy->files),
	        .entries_done = copy->entries,
	};
	return progress_tell(copy->options->progress, &state, error);
}

/* Opens the file, makes the copy, and leaves it to others to fill that. */
static int copy_regular(struct copy *copy, const struct tree_entry *entry, int to_dir,
                        cst_error **error)
{
	_cleanup_copy_file_ struct copy_file file = {
	        .from = openat(entry->dirfd, entry->name,
	                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
	        .to = -1,
	        .path = strdup(entry->path)};
	if (file.from < 0 || fstat(file.from, &file.stat) < 0)
		return error_sys(error, errno, "open %s", entry->path);
	if (!file.path)
		return error_oom(error);
	if (!S_ISREG(file.stat.st_mode))
		return error_set(error, CST_ECORRUPT, "copy %s: the file was replaced",
		                 entry->path);
	int r = new_owners_of(&copy->owners, &file.stat, entry->path, &file.uid, &file.gid, error);
	if (r < 0)
		return r;
	file.to = sys_openat(to_dir, entry->name,
	                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file.to < 0)
		return error_sys(error, errno, "open %s", entry->path);
	return copy_files_add(copy->files, &file, error);
}

static int copy_symlink(const struct tree_entry *entry, int to_dir, cst_error **error)
{
	_cleanup_free_ char *target = fs_readlink(entry->dirfd, entry->name);
	if (!target)
		return error_sys(error, errno, "readlink %s", entry->path);
	if (sys_symlinkat(target, to_dir, entry->name) < 0)
		return error_sys(error, errno, "symlink %s", entry->path);
	return 0;
}

/* Of a symlink, device, FIFO or socket, which is held without being opened. */
static int copy_attributes(const struct copy *copy, const struct tree_entry *entry, int to_dir,
                           cst_error **error)
{
	const struct stat *st = &entry->stat;
	uint32_t uid, gid;
	_cleanup_close_ int to = openat(to_dir, entry->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return error_sys(error, errno, "open %s", entry->path);
	int r = new_owners_of(&copy->owners, st, entry->path, &uid, &gid, error);
	if (r < 0)
		return r;
	if (sys_fchown(to, uid, gid) < 0)
		return error_sys(error, errno, "lchown %s", entry->path);
	if (!S_ISLNK(st->st_mode) && sys_fchmod(to, st->st_mode & 07777) < 0)
		return error_sys(error, errno, "chmod %s", entry->path);
	r = copy_xattrs(entry->dirfd, to_dir, entry->name, to, entry->path, error);
	if (r < 0)
		return r;
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (sys_futimens(to, times) < 0)
		return error_sys(error, errno, "utimensat %s", entry->path);
	return 0;
}

/* Symlinks, devices, FIFOs and sockets: made, then given their attributes. *made false: left out.
 */
static int copy_special(struct copy *copy, const struct tree_entry *entry, int to_dir, bool *made,
                        cst_error **error)
{
	const struct stat *st = &entry->stat;
	bool device = (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) && !stat_is_whiteout(st);
	*made = !(device && copy->options->skip_devices);
	int r = 0;
	if (!*made)
		return 0;
	if (S_ISLNK(st->st_mode))
		r = copy_symlink(entry, to_dir, error);
	else if (sys_mknodat(to_dir, entry->name, st->st_mode, st->st_rdev) < 0)
		r = error_sys(error, errno, "mknod %s", entry->path);
	return r == 0 ? copy_attributes(copy, entry, to_dir, error) : r;
}

/* A further name of an inode copied before. *linked false: it must be copied again (EMLINK, EXDEV).
 */
static int copy_link(struct copy *copy, const struct tree_entry *entry, int to_dir,
                     const char *first, bool *linked, cst_error **error)
{
	const char *base = path_base(first);
	_cleanup_free_ char *parent = strndup(first, base > first ? (size_t)(base - first) - 1 : 0);
	if (!parent)
		return error_oom(error);
	_cleanup_close_ int dir = fs_open_dir_below(copy->to_fd, parent, O_PATH);
	if (dir < 0)
		return error_sys(error, errno, "open %s", parent);
	*linked = sys_linkat(dir, base, to_dir, entry->name, 0) == 0;
	if (!*linked && errno != EMLINK && errno != EXDEV)
		return error_sys(error, errno, "link %s %s", first, entry->path);
	return 0;
}

static int copy_file(struct copy *copy, const struct tree_entry *entry, int to_dir,
                     cst_error **error)
{
	const struct stat *st = &entry->stat;
	const char *first =
	        st->st_nlink > 1 ? inode_map_get(&copy->links, st->st_dev, st->st_ino) : NULL;
	bool done = false;
	int r = first ? copy_link(copy, entry, to_dir, first, &done, error) : 0;
	if (r < 0 || done)
		return r;
	done = true;
	r = S_ISREG(st->st_mode) ? copy_regular(copy, entry, to_dir, error)
	                         : copy_special(copy, entry, to_dir, &done, error);
	if (r < 0)
		return r;
	if (done && st->st_nlink > 1 &&
	    !inode_map_put(&copy->links, st->st_dev, st->st_ino, entry->path))
		return error_oom(error);
	return 0;
}

/* What vanishes meanwhile is left out, as by the walk. */
static int copy_file_if_there(struct copy *copy, const struct tree_entry *entry, int to_dir,
                              cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	struct stat st;
	int r = copy_file(copy, entry, to_dir, &problem);
	if (r == 0)
		return 0;
	bool vanished = cst_error_errno(problem) == ENOENT &&
	                fstatat(entry->dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	                errno == ENOENT;
	if (!vanished)
		return error_propagate(error, steal_ptr(&problem));
	(void)sys_unlinkat(to_dir, entry->name, 0); /* it may have come half-way */
	return 0;
}

/* Attributes of a directory, when all in it is there; `root`: of the root directory. */
static int finish_directory(const struct copy *copy, int from_fd, int to_fd, bool root,
                            const char *shown, cst_error **error)
{
	const struct new_owners *owners = &copy->owners;
	struct stat st;
	uint32_t uid = owners->root_uid, gid = owners->root_gid;
	if (fstat(from_fd, &st) < 0)
		return error_sys(error, errno, "stat %s", shown);
	int r = root && !owners->same ? 0 : new_owners_of(owners, &st, shown, &uid, &gid, error);
	if (r < 0)
		return r;
	if (sys_fchown(to_fd, uid, gid) < 0)
		return error_sys(error, errno, "chown %s", shown);
	r = copy_xattrs(from_fd, to_fd, ".", to_fd, shown, error);
	if (r < 0)
		return r;
	if (sys_fchmod(to_fd, st.st_mode & 07777) < 0)
		return error_sys(error, errno, "chmod %s", shown);
	const struct timespec times[2] = {st.st_atim, st.st_mtim};
	return sys_futimens(to_fd, times) < 0 ? error_sys(error, errno, "futimens %s", shown) : 0;
}

/* The copy of the directory the walk is in. */
static int copy_place(const struct copy *copy, const char *shown, cst_error **error)
{
	if (tree_walk_beside(copy->walk) == 1)
		return tree_walk_beside_fd(copy->walk, 0);
	error_set(error, CST_ECORRUPT, "copy %s: the directory was replaced", shown);
	return -1;
}

static int copy_entry(struct copy *copy, const struct tree_entry *entry, cst_error **error)
{
	int to_dir = copy_place(copy, entry->path, error);
	if (to_dir < 0)
		return CST_ECORRUPT;
	copy->entries++;
	int r = 0;
	if (!S_ISDIR(entry->stat.st_mode))
		r = copy_file_if_there(copy, entry, to_dir, error);
	else if (sys_mkdirat(to_dir, entry->name, 0700) < 0)
		r = error_sys(error, errno, "mkdir %s", entry->path);
	return r < 0 ? r : report_progress(copy, error);
}

static int copy_all(struct copy *copy, int from_fd, cst_error **error)
{
	for (;;) {
		enum tree_event event;
		struct tree_entry entry;
		int r = tree_walk_next(copy->walk, &event, &entry, error);
		if (r == 0 && event == TREE_ENTRY)
			r = copy_entry(copy, &entry, error);
		if (r == 0 && event == TREE_LEAVE) {
			int to_dir = copy_place(copy, entry.path, error);
			r = to_dir < 0 ? CST_ECORRUPT
			               : finish_directory(copy, entry.dirfd, to_dir, false,
			                                  entry.path, error);
		}
		if (r == 0 && event == TREE_END)
			return finish_directory(copy, from_fd, copy->to_fd, true, ".", error);
		if (r < 0)
			return r;
	}
}

int copy_tree(int from_fd, int to_fd, const struct copy_options *options, cst_error **error)
{
	_cleanup_(copy_free) struct copy copy = {.to_fd = to_fd, .options = options};
	int roots[] = {from_fd, to_fd};
	int r = new_owners_init(&copy.owners, options->from_maps, options->maps, error);
	if (r == 0)
		r = copy_files_new(options->sync, &copy.files, error);
	if (r == 0)
		r = tree_walk_new(roots, 2, false, &copy.walk, error);
	if (r == 0)
		r = copy_all(&copy, from_fd, error);
	if (r == 0)
		r = copy_files_wait(copy.files, error);
	/* The files' write-back was started as they were written: what is left is one wait. */
	if (r == 0 && options->sync && sys_syncfs(to_fd) < 0)
		r = error_sys(error, errno, "syncfs");
	return r;
}
