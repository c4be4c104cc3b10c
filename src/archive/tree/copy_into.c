/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tree/copy_into.h"
#include "archive/pack/packer.h"
#include "archive/tree/copy_data.h"
#include "archive/tree/inode_map.h"
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include "base/types.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct copying {
	const struct copy_into_options *options;
	int from_fd, to_fd;
	struct stat from, to;
	struct tree_walk *walk; /* the source, and the target beside it */
	struct inode_map links; /* first path of each inode with several names */
	struct copy_ways ways;
	uint64_t bytes, entries;
};

static void copying_free(struct copying *copying)
{
	if (copying->walk)
		tree_walk_free(copying->walk);
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

/* ---- attributes ---- */

static int set_xattrs(const struct copying *copying, const struct xattrs *xattrs, int dirfd,
                      const char *name, const char *shown, cst_error **error)
{
	char path[XATTR_PATH_MAX];
	xattr_path(path, dirfd, name);
	for (size_t i = 0; i < xattrs->len; i++) {
		const struct tar_xattr *item = &xattrs->items[i];
		if (sys_lsetxattr(path, item->name, item->value, item->len, 0) == 0)
			continue;
		if (errno != EOPNOTSUPP && !(errno == EPERM && copying->options->skip_devices))
			return error_sys(error, errno, "lsetxattr %s of %s", item->name, shown);
		log_warning("attribute %s of %s is not copied: %s", item->name, shown,
		            errno_text(errno));
	}
	return 0;
}

/* The target may be a running container's: a symlink that appears meanwhile is not followed. */
static int set_mode(int dirfd, const char *name, mode_t mode, const char *shown, cst_error **error)
{
	char path[40];
	_cleanup_close_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || sys_fchmodat(AT_FDCWD, path, mode) < 0)
		return error_sys(error, errno, "chmod %s", shown);
	return 0;
}

/* Owner first, which clears set-id bits and capabilities; times last. */
static int set_attributes(const struct copying *copying, int dirfd, const char *name,
                          const struct stat *st, const struct xattrs *xattrs, const char *shown,
                          cst_error **error)
{
	uint32_t uid = st->st_uid, gid = st->st_gid;
	int r = copy_into_owner(copying->options, &uid, &gid, error);
	if (r < 0)
		return r;
	if (sys_fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "lchown %s", shown);
	if (!S_ISLNK(st->st_mode))
		r = set_mode(dirfd, name, st->st_mode & 07777, shown, error);
	if (r == 0)
		r = set_xattrs(copying, xattrs, dirfd, name, shown, error);
	if (r < 0)
		return r;
	const struct timespec times[2] = {st->st_mtim, st->st_mtim};
	if (sys_utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
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

/* A file is made under a name of its own if there is one to replace, so that whoever looks sees
 * the old or the new one, whole. */
struct spot {
	int dirfd;
	const char *name, *made; /* the final name, and the one to make */
	char temporary[32];
};

static int clear_spot(const struct copying *copying, int dirfd, const char *name, const char *shown,
                      struct spot *ret, cst_error **error)
{
	struct stat st;
	uint32_t number;
	*ret = (struct spot){.dirfd = dirfd, .name = name};
	ret->made = name;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "lstat %s", shown);
	if (S_ISDIR(st.st_mode))
		return holds_source(copying, &st) ? into_itself(shown, error)
		                                  : fs_remove_tree(dirfd, name, shown, error);
	int r = random_bytes(&number, sizeof(number), error);
	snprintf(ret->temporary, sizeof(ret->temporary), ".tmp-%08x", number);
	ret->made = ret->temporary;
	return r;
}

static int fill_spot(const struct spot *spot, const char *shown, int r, cst_error **error)
{
	if (r == 0 && spot->made != spot->name &&
	    sys_renameat(spot->dirfd, spot->made, spot->dirfd, spot->name) < 0)
		r = error_sys(error, errno, "rename %s", shown);
	if (r < 0)
		(void)sys_unlinkat(spot->dirfd, spot->made, 0); /* no half of a file */
	return r;
}

/* ---- files ---- */

static int make_regular(struct copying *copying, int from, off_t size, const struct spot *spot,
                        const char *shown, cst_error **error)
{
	_cleanup_close_ int to =
	        sys_openat(spot->dirfd, spot->made,
	                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return error_sys(error, errno, "open %s", shown);
	copying->ways.copied = note_copied;
	copying->ways.userdata = copying;
	int r = size > 0 ? copy_data(from, to, size, &copying->ways, shown, error) : 0;
	if (r < 0)
		return r;
	copying->bytes += (uint64_t)size;
	return sys_close_checked(steal_fd(&to)) < 0 ? error_sys(error, errno, "close %s", shown)
	                                            : 0;
}

/* `from_dir`/`from_name` is a symlink, device, FIFO: read without opening it. */
static int make_special(int from_dir, const char *from_name, const struct stat *st,
                        const struct spot *spot, const char *shown, cst_error **error)
{
	if (!S_ISLNK(st->st_mode))
		return sys_mknodat(spot->dirfd, spot->made, st->st_mode & (S_IFMT | 0600),
		                   st->st_rdev) < 0
		               ? error_sys(error, errno, "mknod %s", shown)
		               : 0;
	_cleanup_free_ char *target = fs_readlink(from_dir, from_name);
	if (!target)
		return error_sys(error, errno, "readlink %s", shown);
	return sys_symlinkat(target, spot->dirfd, spot->made) < 0
	               ? error_sys(error, errno, "symlink %s", shown)
	               : 0;
}

static bool is_left_out(const struct copying *copying, const struct stat *st, const char *shown)
{
	bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
	if (S_ISSOCK(st->st_mode))
		log_warning("skipping \"%s\" since it is a socket", shown);
	return S_ISSOCK(st->st_mode) || (device && copying->options->skip_devices);
}

/* ---- a tree ---- */

/* The first name of the inode was copied: this one becomes a link to it. *linked false: that cannot
 * be. */
static int make_link(const struct copying *copying, const char *first, const struct spot *spot,
                     const char *shown, bool *linked, cst_error **error)
{
	const char *base = path_base(first);
	_cleanup_free_ char *parent = strndup(first, base > first ? (size_t)(base - first) - 1 : 0);
	if (!parent)
		return error_oom(error);
	_cleanup_close_ int dir = tree_open_dir(copying->to_fd, parent, O_PATH);
	if (dir < 0)
		return error_sys(error, errno, "open %s", parent);
	*linked = sys_linkat(dir, base, spot->dirfd, spot->made, 0) == 0;
	if (!*linked && errno != EMLINK && errno != EXDEV)
		return error_sys(error, errno, "link %s %s", first, shown);
	return 0;
}

static int make_regular_entry(struct copying *copying, const struct tree_entry *entry,
                              struct stat *st, const struct spot *spot, cst_error **error)
{
	_cleanup_close_ int from =
	        openat(entry->dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (from < 0 || fstat(from, st) < 0)
		return error_sys(error, errno, "open %s", entry->path);
	if (!S_ISREG(st->st_mode))
		return error_set(error, CST_ECORRUPT, "copy %s: the file was replaced",
		                 entry->path);
	return make_regular(copying, from, st->st_size, spot, entry->path, error);
}

static int make_entry(struct copying *copying, const struct tree_entry *entry,
                      const struct spot *spot, cst_error **error)
{
	struct stat st = entry->stat;
	bool linked = false, several = st.st_nlink > 1;
	const char *first = several ? inode_map_get(&copying->links, st.st_dev, st.st_ino) : NULL;
	int r = first ? make_link(copying, first, spot, entry->path, &linked, error) : 0;
	if (r < 0 || linked)
		return r;
	_cleanup_xattrs_ struct xattrs xattrs = {0};
	r = S_ISREG(st.st_mode)
	            ? make_regular_entry(copying, entry, &st, spot, error)
	            : make_special(entry->dirfd, entry->name, &st, spot, entry->path, error);
	if (r == 0 && !S_ISREG(st.st_mode))
		copying->bytes += (uint64_t)st.st_size; /* as usage_tree() counts symlinks */
	if (r == 0)
		r = xattrs_read(entry->dirfd, entry->name, xattr_is_exported, &xattrs, entry->path,
		                error);
	if (r == 0)
		r = set_attributes(copying, spot->dirfd, spot->made, &st, &xattrs, entry->path,
		                   error);
	if (r == 0 && several && !inode_map_put(&copying->links, st.st_dev, st.st_ino, entry->path))
		r = error_oom(error);
	return r;
}

/* A directory whose owner nobody knows is left out, but what it holds may have one. */
static int set_plain_directory(const struct copying *copying, int dirfd, const char *name,
                               const char *shown, cst_error **error)
{
	uint32_t uid = 0, gid = 0;
	int r = copying->options->to_maps
	                ? idmaps_root(copying->options->to_maps, &uid, &gid, error)
	                : 0;
	if (r == 0 && sys_fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = error_sys(error, errno, "chown %s", shown);
	return r == 0 ? set_mode(dirfd, name, 0755, shown, error) : r;
}

static int enter_directory(struct copying *copying, const struct tree_entry *entry, int to_dir,
                           cst_error **error)
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
	if (sys_mkdirat(to_dir, entry->name, 0700) < 0)
		return error_sys(error, errno, "mkdir %s", shown);
	return owner_is_known(copying, &entry->stat, shown)
	               ? 0
	               : set_plain_directory(copying, to_dir, entry->name, shown, error);
}

/* All in it is there: attributes, and the times that will stay. */
static int leave_directory(const struct copying *copying, int from_fd, int to_dir,
                           const char *shown, cst_error **error)
{
	struct stat st;
	_cleanup_xattrs_ struct xattrs xattrs = {0};
	if (fstat(from_fd, &st) < 0)
		return error_sys(error, errno, "stat %s", shown);
	uint32_t uid = st.st_uid, gid = st.st_gid;
	if (to_container(copying->options, &uid, &gid, NULL) < 0)
		return 0;
	int r = xattrs_read(from_fd, ".", xattr_is_exported, &xattrs, shown, error);
	return r == 0 ? set_attributes(copying, to_dir, ".", &st, &xattrs, shown, error) : r;
}

static int copy_entry(struct copying *copying, const struct tree_entry *entry, int to_dir,
                      cst_error **error)
{
	struct spot spot;
	copying->entries++;
	if (S_ISDIR(entry->stat.st_mode)) {
		int r = enter_directory(copying, entry, to_dir, error);
		return r == 0 ? report_progress(copying, error) : r;
	}
	if (is_left_out(copying, &entry->stat, entry->path) ||
	    !owner_is_known(copying, &entry->stat, entry->path))
		return 0;
	int r = clear_spot(copying, to_dir, entry->name, entry->path, &spot, error);
	if (r < 0)
		return r;
	r = fill_spot(&spot, entry->path, make_entry(copying, entry, &spot, error), error);
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
	};
	int roots[] = {from_fd, to_fd};
	if (fstat(from_fd, &copying.from) < 0 || fstat(to_fd, &copying.to) < 0)
		return error_sys(error, errno, "stat");
	if (copying.from.st_dev == copying.to.st_dev && copying.from.st_ino == copying.to.st_ino)
		return 0; /* everything is there already */
	int r = tree_walk_new(roots, 2, false, &copying.walk, error);
	return r == 0 ? copy_all(&copying, error) : r;
}

/* ---- one file ---- */

static int make_file(struct copying *copying, const struct stat *st, const struct spot *spot,
                     cst_error **error)
{
	static const struct xattrs none = {0};
	char path[40];
	int r;
	if (S_ISREG(st->st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", copying->from_fd);
		_cleanup_close_ int from = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (from < 0)
			return error_sys(error, errno, "open the source of %s", spot->name);
		r = make_regular(copying, from, st->st_size, spot, spot->name, error);
	} else {
		r = make_special(copying->from_fd, "", st, spot, spot->name, error);
	}
	return r == 0 ? set_attributes(copying, spot->dirfd, spot->made, st, &none, spot->name,
	                               error)
	              : r;
}

int copy_file_into(int from_fd, int to_fd, const char *name, bool keep_directory,
                   const struct copy_into_options *options, cst_error **error)
{
	_cleanup_(copying_free) struct copying copying = {
	        .options = options,
	        .from_fd = from_fd,
	        .to_fd = to_fd,
	};
	struct stat existing;
	struct spot spot;
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
	r = clear_spot(&copying, to_fd, name, name, &spot, error);
	if (r < 0)
		return r;
	copying.entries = 1;
	r = fill_spot(&spot, name, make_file(&copying, &copying.from, &spot, error), error);
	return r == 0 ? report_progress(&copying, error) : r;
}
