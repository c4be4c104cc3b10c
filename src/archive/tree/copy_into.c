/* SPDX-License-Identifier: Apache-2.0 */
/* Copies into a directory that is in use (copy_into.h). */
#include "archive/tree/copy_into.h"
#include "archive/pack/packer.h"
#include "archive/tree/copy_data.h"
#include "archive/tree/inode_map.h"
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include "base/fs_private.h"
#include "base/log.h"
#include "base/types.h"
#include <errno.h>
#include <unistd.h>

struct copying {
	const struct copy_into_options *options;
	int from_fd, to_fd;
	struct stat from, to;
	struct tree_walk *walk; /* the source, and the target beside it */
	struct inode_map links; /* first path of each inode with several names */
	struct copy_ways ways;
	uint64_t bytes, entries;
	struct fs_private private; /* where files are made; made when it is needed */
	bool below;                /* it is not at the top of the target */
};

static void copying_free(struct copying *copying)
{
	if (copying->walk)
		tree_walk_free(copying->walk);
	fs_private_discard(&copying->private);
	inode_map_free(&copying->links);
}

/* `part`: bytes of the file at hand. */
static int report_part(const struct copying *copying, uint64_t part, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state),
	        .what = "copy",
	        .bytes_done = copying->bytes + part,
	        .bytes_total = copying->options->total,
	        .entries_done = copying->entries,
	};
	return progress_tell(copying->options->progress, &state, error);
}

static int report_progress(const struct copying *copying, cst_error **error)
{
	return report_part(copying, 0, error);
}

static int note_copied(void *userdata, uint64_t bytes, cst_error **error)
{
	return report_part(userdata, bytes, error);
}

/* ---- owners ---- */

static int to_container(const struct copy_into_options *options, uint32_t *uid, uint32_t *gid,
                        cst_error **error)
{
	uint32_t host = *uid;
	if (options->chown) {
		*uid = options->uid;
		*gid = options->gid;
		return 0;
	}
	if (!options->from_maps)
		return 0;
	if (idmap_to_container(&options->from_maps->uids, *uid, uid)) {
		host = *gid;
		if (idmap_to_container(&options->from_maps->gids, *gid, gid))
			return 0;
	}
	return error_set(error, CST_EINVAL, "host ID %u cannot be mapped to a container ID", host);
}

int copy_into_owner(const struct copy_into_options *options, uint32_t *uid, uint32_t *gid,
                    cst_error **error)
{
	uint32_t new_uid = *uid, new_gid = *gid;
	int r = to_container(options, &new_uid, &new_gid, error);
	if (r == 0 && options->to_maps)
		r = idmaps_to_host(options->to_maps, new_uid, new_gid, &new_uid, &new_gid, error);
	if (r < 0)
		return r;
	*uid = new_uid;
	*gid = new_gid;
	return 0;
}

/* Does the source's owner exist for its container? If not, the file is left out. */
static bool owner_is_known(const struct copying *copying, const struct stat *st, const char *shown)
{
	uint32_t uid = st->st_uid, gid = st->st_gid;
	_cleanup_error_ cst_error *problem = NULL;
	if (to_container(copying->options, &uid, &gid, &problem) == 0)
		return true;
	log_warning("Can't copy file %s: %s; skipping", shown, cst_error_message(problem));
	return false;
}

/* ---- attributes: by the descriptor of what was made, never by its name ---- */

static int set_xattrs(const struct copying *copying, const struct xattrs *xattrs, int fd,
                      const char *shown, cst_error **error)
{
	for (size_t i = 0; i < xattrs->len; i++) {
		const struct tar_xattr *item = &xattrs->items[i];
		if (sys_fsetxattr(fd, item->name, item->value, item->len, 0) == 0)
			continue;
		if (errno != EOPNOTSUPP && !(errno == EPERM && copying->options->skip_devices))
			return error_sys(error, errno, "lsetxattr %s of %s", item->name, shown);
		log_warning("attribute %s of %s is not copied: %s", item->name, shown,
		            errno_text(errno));
	}
	return 0;
}

/* Owner first, which clears set-id bits and capabilities; times last. */
static int set_attributes(const struct copying *copying, int fd, const struct stat *st,
                          const struct xattrs *xattrs, const char *shown, cst_error **error)
{
	uint32_t uid = st->st_uid, gid = st->st_gid;
	int r = copy_into_owner(copying->options, &uid, &gid, error);
	if (r < 0)
		return r;
	if (sys_fchown(fd, uid, gid) < 0)
		return error_sys(error, errno, "lchown %s", shown);
	if (!S_ISLNK(st->st_mode) && sys_fchmod(fd, st->st_mode & 07777) < 0)
		return error_sys(error, errno, "chmod %s", shown);
	if ((r = set_xattrs(copying, xattrs, fd, shown, error)) < 0)
		return r;
	const struct timespec times[2] = {st->st_mtim, st->st_mtim};
	if (sys_futimens(fd, times) < 0)
		return error_sys(error, errno, "chtimes %s", shown);
	return 0;
}

/* ---- what stands in the way ---- */

/* Is the directory the source itself, or one that holds it? Then removing it removes what is to be
 * copied. */
static bool holds_source(const struct copying *copying, const struct stat *directory)
{
	_cleanup_close_ int fd = openat(copying->from_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat here, last = {0};
	while (fd >= 0 && fstat(fd, &here) == 0 &&
	       !(here.st_dev == last.st_dev && here.st_ino == last.st_ino)) {
		if (here.st_dev == directory->st_dev && here.st_ino == directory->st_ino)
			return true;
		last = here;
		int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		closep(&fd);
		fd = up;
	}
	return false;
}

static int into_itself(const char *shown, cst_error **error)
{
	return error_set(error, CST_EINVAL, "cannot copy a directory into itself: \"%s\"", shown);
}

/* ---- how a file gets its place ---- */

/* The name of what is being made, in the private directory. */
#define NEW_NAME "new"

/* Where something will be. It is made in the private directory, and gets its content, owner, mode
 * and attributes there: a process that works in the target can neither open nor replace it
 * meanwhile, and whoever looks at the final name sees the old file or the new one, whole. */
struct spot {
	int dirfd;
	const char *name, *shown;
	const struct tree_entry *entry; /* the source; NULL: the one file */
};

static int clear_spot(const struct copying *copying, const struct spot *spot, cst_error **error)
{
	struct stat st;
	if (fstatat(spot->dirfd, spot->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "lstat %s", spot->shown);
	if (!S_ISDIR(st.st_mode))
		return 0;
	return holds_source(copying, &st)
	               ? into_itself(spot->shown, error)
	               : fs_remove_tree(spot->dirfd, spot->name, spot->shown, error);
}

static void discard_new(const struct copying *copying)
{
	int dir = copying->private.fd;
	if (dir >= 0 && sys_unlinkat(dir, NEW_NAME, 0) < 0 && (errno == EISDIR || errno == EPERM))
		(void)sys_unlinkat(dir, NEW_NAME, AT_REMOVEDIR);
}

typedef int (*make_new)(struct copying *copying, const struct spot *spot, cst_error **error);

/* Makes something and moves it to its place. Nothing can be renamed to another mount: a place on one
 * gets a private directory there, and the work is done again. */
static int make_at(struct copying *copying, const struct spot *spot, make_new make,
                   cst_error **error)
{
	uint64_t bytes = copying->bytes;
	int where = copying->to_fd;
	for (;;) {
		copying->bytes = bytes;
		int r = copying->private.fd < 0
		                ? fs_private_make(&copying->private, where, spot->shown, error)
		                : 0;
		if (r == 0)
			r = make(copying, spot, error);
		if (r == 0 &&
		    sys_renameat(copying->private.fd, NEW_NAME, spot->dirfd, spot->name) == 0)
			return 0;
		int problem = errno;
		discard_new(copying);
		if (r < 0)
			return r;
		if (problem != EXDEV || where == spot->dirfd)
			return error_sys(error, problem, "rename %s", spot->shown);
		r = fs_private_remove(&copying->private, error);
		if (r < 0)
			return r;
		where = spot->dirfd;
		copying->below = true;
	}
}

/* ---- files ---- */

/* Content. The new file stays open for its attributes. */
static int make_regular(struct copying *copying, int from, off_t size, const char *shown, int *ret,
                        cst_error **error)
{
	_cleanup_close_ int to =
	        sys_openat(copying->private.fd, NEW_NAME,
	                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return error_sys(error, errno, "open %s", shown);
	copying->ways.copied = note_copied;
	copying->ways.userdata = copying;
	int r = size > 0 ? copy_data(from, to, size, &copying->ways, shown, error) : 0;
	if (r < 0)
		return r;
	copying->bytes += (uint64_t)size;
	*ret = steal_fd(&to);
	return 0;
}

static int make_node(const struct copying *copying, int from_dir, const char *from_name,
                     const struct stat *st, const char *shown, cst_error **error)
{
	int dir = copying->private.fd;
	if (!S_ISLNK(st->st_mode))
		return sys_mknodat(dir, NEW_NAME, st->st_mode & (S_IFMT | 0600), st->st_rdev) < 0
		               ? error_sys(error, errno, "mknod %s", shown)
		               : 0;
	_cleanup_free_ char *target = fs_readlink(from_dir, from_name);
	if (!target)
		return error_sys(error, errno, "readlink %s", shown);
	return sys_symlinkat(target, dir, NEW_NAME) < 0
	               ? error_sys(error, errno, "symlink %s", shown)
	               : 0;
}

/* `from_dir`/`from_name` is a symlink, device, FIFO: neither it nor its copy is opened. */
static int make_special(const struct copying *copying, int from_dir, const char *from_name,
                        const struct stat *st, const char *shown, int *ret, cst_error **error)
{
	int r = make_node(copying, from_dir, from_name, st, shown, error);
	if (r < 0)
		return r;
	int fd = openat(copying->private.fd, NEW_NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s", shown);
	*ret = fd;
	return 0;
}

/* Closes a complete file: some file systems say only now that it could not be written. */
static int close_made(int *fd, const char *shown, cst_error **error)
{
	return sys_close_checked(steal_fd(fd)) < 0 ? error_sys(error, errno, "close %s", shown) : 0;
}

static bool is_left_out(const struct copying *copying, const struct stat *st, const char *shown)
{
	bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
	if (S_ISSOCK(st->st_mode))
		log_warning("skipping \"%s\" since it is a socket", shown);
	return S_ISSOCK(st->st_mode) || (device && copying->options->skip_devices);
}

/* ---- a tree ---- */

/* The copy of an inode that has several names, if it still is where it was put. */
static int open_copy(const struct copying *copying, const char *path, ino_t made, int *ret,
                     cst_error **error)
{
	const char *base = path_base(path);
	_cleanup_free_ char *parent = strndup(path, base > path ? (size_t)(base - path) - 1 : 0);
	if (!parent)
		return error_oom(error);
	_cleanup_close_ int dir = fs_open_dir_below(copying->to_fd, parent, O_PATH);
	if (dir < 0)
		return error_sys(error, errno, "open %s", parent);
	_cleanup_close_ int fd = openat(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == made)
		*ret = steal_fd(&fd);
	return 0;
}

/* The first name of the inode was copied: this one becomes a link to that copy. *linked false: that
 * cannot be, and the file must be copied again. */
static int make_link(const struct copying *copying, const char *first, ino_t made,
                     const char *shown, bool *linked, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = open_copy(copying, first, made, &fd, error);
	*linked = r == 0 && fd >= 0 && sys_flink(fd, copying->private.fd, NEW_NAME) == 0;
	if (r == 0 && fd >= 0 && !*linked && errno != EMLINK && errno != EXDEV)
		return error_sys(error, errno, "link %s %s", first, shown);
	return r;
}

static int make_regular_entry(struct copying *copying, const struct tree_entry *entry,
                              struct stat *st, int *ret, cst_error **error)
{
	_cleanup_close_ int from =
	        openat(entry->dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (from < 0 || fstat(from, st) < 0)
		return error_sys(error, errno, "open %s", entry->path);
	if (!S_ISREG(st->st_mode))
		return error_set(error, CST_ECORRUPT, "copy %s: the file was replaced",
		                 entry->path);
	return make_regular(copying, from, st->st_size, entry->path, ret, error);
}

/* Later names of the inode become links to this copy of it. */
static int note_copy(struct copying *copying, const struct tree_entry *entry, const struct stat *st,
                     int fd, cst_error **error)
{
	struct stat made;
	if (st->st_nlink <= 1)
		return 0;
	if (fstat(fd, &made) < 0)
		return error_sys(error, errno, "stat %s", entry->path);
	return inode_map_put_copy(&copying->links, st->st_dev, st->st_ino, entry->path, made.st_ino)
	               ? 0
	               : error_oom(error);
}

static int make_copy(struct copying *copying, const struct tree_entry *entry, cst_error **error)
{
	struct stat st = entry->stat;
	_cleanup_xattrs_ struct xattrs xattrs = {0};
	_cleanup_close_ int fd = -1;
	int r = S_ISREG(st.st_mode) ? make_regular_entry(copying, entry, &st, &fd, error)
	                            : make_special(copying, entry->dirfd, entry->name, &st,
	                                           entry->path, &fd, error);
	if (r == 0 && !S_ISREG(st.st_mode))
		copying->bytes += (uint64_t)st.st_size; /* as usage_tree() counts symlinks */
	if (r == 0)
		r = xattrs_read(entry->dirfd, entry->name, xattr_is_exported, &xattrs, entry->path,
		                error);
	if (r == 0)
		r = set_attributes(copying, fd, &st, &xattrs, entry->path, error);
	if (r == 0)
		r = note_copy(copying, entry, &st, fd, error);
	return r == 0 ? close_made(&fd, entry->path, error) : r;
}

static int make_entry(struct copying *copying, const struct spot *spot, cst_error **error)
{
	const struct tree_entry *entry = spot->entry;
	const struct stat *st = &entry->stat;
	bool linked = false;
	ino_t made = 0;
	const char *first = st->st_nlink > 1 ? inode_map_get_copy(&copying->links, st->st_dev,
	                                                          st->st_ino, &made)
	                                     : NULL;
	int r = first ? make_link(copying, first, made, entry->path, &linked, error) : 0;
	return r < 0 || linked ? r : make_copy(copying, entry, error);
}

/* The owner of a directory whose own owner nobody knows: it is made all the same, since what it holds
 * may have one. */
static int set_plain_owner(const struct copying *copying, int fd, const char *shown,
                           cst_error **error)
{
	uint32_t uid = 0, gid = 0;
	int r = copying->options->to_maps
	                ? idmaps_root(copying->options->to_maps, &uid, &gid, error)
	                : 0;
	if (r == 0 && sys_fchown(fd, uid, gid) < 0)
		r = error_sys(error, errno, "chown %s", shown);
	if (r == 0 && sys_fchmod(fd, 0755) < 0)
		r = error_sys(error, errno, "chmod %s", shown);
	return r;
}

/* A directory is made at its place: overlayfs marks one as opaque that is moved. Until it gets its
 * attributes nobody else can enter it. */
static int make_directory(const struct copying *copying, const struct tree_entry *entry, int to_dir,
                          cst_error **error)
{
	_cleanup_close_ int fd = fs_make_dir(to_dir, entry->name, 0700);
	if (fd < 0)
		return error_sys(error, errno, "mkdir %s", entry->path);
	return owner_is_known(copying, &entry->stat, entry->path)
	               ? 0
	               : set_plain_owner(copying, fd, entry->path, error);
}

static int enter_directory(const struct copying *copying, const struct tree_entry *entry,
                           int to_dir, cst_error **error)
{
	const char *shown = entry->path;
	struct stat st;
	if (entry->stat.st_dev == copying->to.st_dev && entry->stat.st_ino == copying->to.st_ino)
		return into_itself(shown, error);
	bool exists = fstatat(to_dir, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (exists && S_ISDIR(st.st_mode))
		return 0;
	if (exists && sys_unlinkat(to_dir, entry->name, 0) < 0)
		return error_sys(error, errno, "unlink %s", shown);
	return make_directory(copying, entry, to_dir, error);
}

/* All in it is there: attributes, and the times that will stay. */
static int leave_directory(struct copying *copying, int from_fd, int to_dir, const char *shown,
                           cst_error **error)
{
	struct stat st;
	_cleanup_xattrs_ struct xattrs xattrs = {0};
	if (fstat(from_fd, &st) < 0)
		return error_sys(error, errno, "stat %s", shown);
	uint32_t uid = st.st_uid, gid = st.st_gid;
	if (to_container(copying->options, &uid, &gid, NULL) < 0)
		return 0;
	/* Its removal would change the times. */
	int r = copying->below ? fs_private_remove(&copying->private, error) : 0;
	if (r == 0)
		r = xattrs_read(from_fd, ".", xattr_is_exported, &xattrs, shown, error);
	return r == 0 ? set_attributes(copying, to_dir, &st, &xattrs, shown, error) : r;
}

static int copy_entry(struct copying *copying, const struct tree_entry *entry, int to_dir,
                      cst_error **error)
{
	const struct spot spot = {to_dir, entry->name, entry->path, entry};
	int r = 0;
	copying->entries++;
	if (S_ISDIR(entry->stat.st_mode)) {
		r = enter_directory(copying, entry, to_dir, error);
		return r == 0 ? report_progress(copying, error) : r;
	}
	if (is_left_out(copying, &entry->stat, entry->path) ||
	    !owner_is_known(copying, &entry->stat, entry->path))
		return 0;
	r = clear_spot(copying, &spot, error);
	if (r == 0)
		r = make_at(copying, &spot, make_entry, error);
	return r == 0 ? report_progress(copying, error) : r;
}

static int copy_all(struct copying *copying, cst_error **error)
{
	for (;;) {
		enum tree_event event;
		struct tree_entry entry;
		int r = tree_walk_next(copying->walk, &event, &entry, error);
		if (r < 0 || event == TREE_END)
			return r;
		if (tree_walk_beside(copying->walk) != 1)
			return error_set(error, CST_ECORRUPT,
			                 "copy %s: the target directory was replaced", entry.path);
		int to_dir = tree_walk_beside_fd(copying->walk, 0);
		r = event == TREE_ENTRY
		            ? copy_entry(copying, &entry, to_dir, error)
		            : leave_directory(copying, entry.dirfd, to_dir, entry.path, error);
		if (r < 0)
			return r;
	}
}

int copy_into(int from_fd, int to_fd, const struct copy_into_options *options, cst_error **error)
{
	_cleanup_(copying_free) struct copying copying = {
	        .options = options,
	        .from_fd = from_fd,
	        .to_fd = to_fd,
	        .private = FS_PRIVATE_INIT,
	};
	int roots[] = {from_fd, to_fd};
	if (fstat(from_fd, &copying.from) < 0 || fstat(to_fd, &copying.to) < 0)
		return error_sys(error, errno, "stat");
	if (copying.from.st_dev == copying.to.st_dev && copying.from.st_ino == copying.to.st_ino)
		return 0; /* everything is there already */
	int r = tree_walk_new(roots, 2, false, &copying.walk, error);
	if (r == 0)
		r = copy_all(&copying, error);
	return r == 0 ? fs_private_remove(&copying.private, error) : r;
}

/* ---- one file ---- */

static int make_file(struct copying *copying, const struct spot *spot, cst_error **error)
{
	const struct stat *st = &copying->from;
	const char *shown = spot->shown;
	static const struct xattrs none = {0};
	_cleanup_close_ int fd = -1;
	char path[XATTR_PATH_MAX];
	int r;
	if (S_ISREG(st->st_mode)) {
		xattr_fd_path(path, copying->from_fd);
		_cleanup_close_ int from = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (from < 0)
			return error_sys(error, errno, "open the source of %s", shown);
		r = make_regular(copying, from, st->st_size, shown, &fd, error);
	} else {
		r = make_special(copying, copying->from_fd, "", st, shown, &fd, error);
	}
	if (r == 0)
		r = set_attributes(copying, fd, st, &none, shown, error);
	return r == 0 ? close_made(&fd, shown, error) : r;
}

int copy_file_into(int from_fd, int to_fd, const char *name, bool keep_directory,
                   const struct copy_into_options *options, cst_error **error)
{
	_cleanup_(copying_free) struct copying copying = {
	        .options = options,
	        .from_fd = from_fd,
	        .to_fd = to_fd,
	        .private = FS_PRIVATE_INIT,
	};
	const struct spot spot = {to_fd, name, name, NULL};
	struct stat existing;
	if (fstat(from_fd, &copying.from) < 0)
		return error_sys(error, errno, "stat the source of %s", name);
	if (is_left_out(&copying, &copying.from, name))
		return 0;
	uint32_t uid = copying.from.st_uid, gid = copying.from.st_gid;
	int r = copy_into_owner(options, &uid, &gid, error); /* before anything is replaced */
	if (r < 0)
		return r;
	if (keep_directory && fstatat(to_fd, name, &existing, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(existing.st_mode))
		return error_set(error, CST_EINVAL,
		                 "cannot overwrite directory \"/%s\" with non-directory \"/\"",
		                 streq(name, ".") ? "" : name);
	r = clear_spot(&copying, &spot, error);
	copying.entries = 1;
	if (r == 0)
		r = make_at(&copying, &spot, make_file, error);
	if (r == 0)
		r = fs_private_remove(&copying.private, error);
	return r == 0 ? report_progress(&copying, error) : r;
}
