/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner, mode, times, xattrs (docs/format/archive.md, "Metadata order" and "Xattrs"). The owner comes
 * first: a chown takes set-id bits and capabilities away. All of it goes through a descriptor of what
 * was made, never through a name: where the layer is mounted, a process inside can put another file
 * under the name at any moment.
 */
#include "archive/unpack/metadata.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/sys.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define OVERRIDE_XATTR "user.containers.override_stat"

/* ---- times ---- */

/* Go's range of nanoseconds since 1970; what lies outside becomes 1970. */
struct timespec metadata_clamp_time(struct timespec time)
{
	const struct timespec last = {.tv_sec = INT64_MAX / 1000000000,
	                              .tv_nsec = INT64_MAX % 1000000000};

	if (time.tv_sec < 0 || time.tv_sec > last.tv_sec ||
	    (time.tv_sec == last.tv_sec && time.tv_nsec > last.tv_nsec))
		return (struct timespec){0};
	return time;
}

/* Symlinks: 64 bits of nanoseconds, which wrap. */
static struct timespec wrap_time(struct timespec time)
{
	int64_t ns = (int64_t)((uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec);
	int64_t seconds = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		seconds--;
	}
	return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

static void entry_times(const struct entry *e, struct timespec ret[2])
{
	const struct tar_header *h = &e->header;
	bool later = h->has_atime &&
	             (h->atime.tv_sec > h->mtime.tv_sec ||
	              (h->atime.tv_sec == h->mtime.tv_sec && h->atime.tv_nsec > h->mtime.tv_nsec));

	ret[0] = metadata_clamp_time(later ? h->atime : h->mtime);
	ret[1] = metadata_clamp_time(h->mtime);
}

/* ---- owner ---- */

/* In a user's namespace id N is the Nth of the user's range. */
static int no_such_ids(const struct entry *e, cst_error **error)
{
	int r = error_sys(
	        error, EINVAL,
	        "/%s belongs to %u:%u, and this user namespace has no such ids: the ranges "
	        "in /etc/subuid and /etc/subgid must have %u ids at least; lchown /%s",
	        e->path, e->host_uid, e->host_gid, MAX(e->host_uid, e->host_gid), e->path);
	return error_go_words(
	        error, r, NULL,
	        "potentially insufficient UIDs or GIDs available in user namespace (requested "
	        "%u:%u for /%s): Check /etc/subuid and /etc/subgid if configured locally and run "
	        "\"podman system migrate\": lchown /%s: %s",
	        e->host_uid, e->host_gid, e->path, e->path, errno_text(EINVAL));
}

static int chown_failed(struct metadata *m, const struct entry *e, cst_error **error)
{
	int number = errno;

	if (m->options->ignore_chown_errors) {
		log_debug("ignoring that the owner of /%s cannot be set: %s", e->path,
		          errno_text(number));
		return 0;
	}
	if (number == EINVAL)
		return no_such_ids(e, error);
	if (number == EPERM && geteuid() != 0)
		return error_sys(
		        error, number,
		        "/%s belongs to %u:%u, and user %u may not give files away outside "
		        "of a user namespace (cstorage unshare PROGRAM): lchown /%s",
		        e->path, e->host_uid, e->host_gid, (unsigned)geteuid(), e->path);
	return error_sys(error, number, "lchown /%s", e->path);
}

/* An owner that is right already is not set again: a chown takes file capabilities and set-id bits
 * away, which another name of the same inode may have brought. */
static bool owner_is_right(const struct entry *e, const struct stat *st)
{
	return st->st_uid == e->host_uid && st->st_gid == e->host_gid;
}

static int set_owner(struct metadata *m, const struct entry *e, int fd, const struct stat *st,
                     cst_error **error)
{
	if (m->options->force_mask >= 0 || owner_is_right(e, st))
		return 0;
	return sys_fchown(fd, e->host_uid, e->host_gid) < 0 ? chown_failed(m, e, error) : 0;
}

/* ---- mode ---- */

mode_t metadata_mode(const struct metadata *m, const struct entry *e)
{
	return m->options->force_mask >= 0 ? (mode_t)m->options->force_mask : e->header.mode;
}

static int set_owner_and_mode(struct metadata *m, const struct entry *e, int fd,
                              const struct stat *st, cst_error **error)
{
	mode_t mode = metadata_mode(m, e);
	int r = set_owner(m, e, fd, st, error);

	if (r < 0)
		return r;
	/* Most files are created with their mode. A chown may have taken bits of it away. */
	if ((st->st_mode & 07777) == mode && owner_is_right(e, st))
		return 0;
	return sys_fchmod(fd, mode) < 0 ? error_sys(error, errno, "chmod /%s", e->path) : 0;
}

/* ---- xattrs ---- */

/* Overlay's own attributes must not come from a stranger: they redirect and hide what a mount
 * shows. */
static bool is_dropped(const struct metadata *m, const char *name)
{
	return streq(name, "security.selinux") || has_prefix(name, "trusted.overlay.") ||
	       has_prefix(name, "user.overlay.") ||
	       (m->options->force_mask >= 0 && streq(name, OVERRIDE_XATTR));
}

static int xattr_failed(struct metadata *m, const struct entry *e, cst_error **error)
{
	if (errno == EOPNOTSUPP) {
		atomic_store_explicit(&m->xattrs_ignored, true, memory_order_relaxed);
		return 0;
	}
	if (errno == EPERM && m->options->userns)
		return 0;
	return error_sys(error, errno, "lsetxattr /%s", e->path);
}

static int set_xattrs(struct metadata *m, const struct entry *e, int fd, cst_error **error)
{
	for (size_t i = 0; i < e->header.n_xattrs; i++) {
		const struct tar_xattr *x = &e->header.xattrs[i];
		if (is_dropped(m, x->name) || sys_fsetxattr(fd, x->name, x->value, x->len, 0) == 0)
			continue;
		int r = xattr_failed(m, e, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- force_mask: everything is a plain file or directory, the truth is in an xattr ---- */

static void override_type(const struct tar_header *h, char *ret, size_t size)
{
	switch (h->type) {
	case '3': snprintf(ret, size, "char-%u-%u", h->devmajor, h->devminor); break;
	case '4': snprintf(ret, size, "block-%u-%u", h->devmajor, h->devminor); break;
	case '5': snprintf(ret, size, "dir"); break;
	case '6': snprintf(ret, size, "pipe"); break;
	default: snprintf(ret, size, "file"); break;
	}
}

static int set_override(struct metadata *m, const struct entry *e, int fd, cst_error **error)
{
	char type[40], value[96];

	if (m->options->force_mask < 0)
		return 0;
	override_type(&e->header, type, sizeof(type));
	int n = snprintf(value, sizeof(value), "%u:%u:%04o:%s", e->host_uid, e->host_gid,
	                 (unsigned)e->header.mode, type);
	if (sys_fsetxattr(fd, OVERRIDE_XATTR, value, (size_t)n, 0) < 0)
		return error_sys(error, errno, "lsetxattr /%s", e->path);
	return 0;
}

/* Without an entry for the root it is a root-owned directory. */
int metadata_override_root(struct metadata *m, int root_fd, cst_error **error)
{
	static const char value[] = "0:0:0755:dir";

	if (m->options->force_mask < 0)
		return 0;
	_cleanup_close_ int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || sys_fsetxattr(fd, OVERRIDE_XATTR, value, sizeof(value) - 1, 0) < 0)
		return error_sys(error, errno, "lsetxattr /");
	return 0;
}

/* ---- a directory that the archive only implies ---- */

static bool any_xattr(const char *name)
{
	return true;
}

static int inherit_xattrs(struct metadata *m, int fd, int below, bool *overridden)
{
	_cleanup_xattrs_ struct xattrs xattrs = {0};
	_cleanup_error_ cst_error *error = NULL;

	*overridden = false;
	if (xattrs_read(below, ".", any_xattr, &xattrs, "/", &error) < 0) {
		errno = cst_error_errno(error) ? cst_error_errno(error) : ENOMEM;
		return -1;
	}
	for (size_t i = 0; i < xattrs.len; i++) {
		const struct tar_xattr *x = &xattrs.items[i];
		bool override = streq(x->name, OVERRIDE_XATTR);
		*overridden |= override;
		if ((!override && is_dropped(m, x->name)) ||
		    sys_fsetxattr(fd, x->name, x->value, x->len, 0) == 0)
			continue;
		if (errno != EOPNOTSUPP && !(errno == EPERM && m->options->userns))
			return -1;
	}
	return 0;
}

int metadata_inherit(struct metadata *m, int fd, int below)
{
	int mask = m->options->force_mask;
	bool overridden;
	struct stat st;

	if (fstat(below, &st) < 0)
		return -1;
	if (mask < 0 && sys_fchown(fd, st.st_uid, st.st_gid) < 0 &&
	    !m->options->ignore_chown_errors && !m->options->userns)
		return -1;
	if (inherit_xattrs(m, fd, below, &overridden) < 0)
		return -1;
	if (mask >= 0 && !overridden) {
		char value[96];
		int n = snprintf(value, sizeof(value), "%u:%u:%04o:dir", st.st_uid, st.st_gid,
		                 (unsigned)st.st_mode & 07777);
		if (sys_fsetxattr(fd, OVERRIDE_XATTR, value, (size_t)n, 0) < 0)
			return -1;
	}
	return sys_fchmod(fd, mask >= 0 ? (mode_t)mask : st.st_mode & 07777);
}

int metadata_default(struct metadata *m, int fd)
{
	uint32_t uid = 0, gid = 0;
	struct stat st;

	if (m->options->maps && idmaps_root(m->options->maps, &uid, &gid, NULL) < 0) {
		errno = EINVAL;
		return -1;
	}
	if (fstat(fd, &st) < 0)
		return -1;
	bool chown = m->options->force_mask < 0 && (st.st_uid != uid || st.st_gid != gid);
	if (chown && sys_fchown(fd, uid, gid) < 0 && !m->options->ignore_chown_errors &&
	    !m->options->userns)
		return -1;
	mode_t mode = m->options->force_mask >= 0 ? (mode_t)m->options->force_mask : 0755;
	return (st.st_mode & 07777) != mode ? sys_fchmod(fd, mode) : 0;
}

/* ---- all of it, by kind ---- */

int metadata_directory(struct metadata *m, const struct entry *e, int fd, const struct stat *st,
                       cst_error **error)
{
	int r = set_owner_and_mode(m, e, fd, st, error);

	if (r == 0)
		r = set_xattrs(m, e, fd, error);
	return r < 0 ? r : set_override(m, e, fd, error);
}

int metadata_file(struct metadata *m, const struct entry *e, int fd, cst_error **error)
{
	struct timespec times[2];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat /%s", e->path);
	int r = metadata_directory(m, e, fd, &st, error); /* the same, and then the times */
	if (r < 0)
		return r;
	entry_times(e, times);
	if (sys_futimens(fd, times) < 0)
		return error_sys(error, errno, "chtimes /%s", e->path);
	return 0;
}

/* The label is the policy's, not the archive's. */
static bool is_no_label(const char *name)
{
	return !streq(name, "security.selinux");
}

static bool xattrs_fit(const struct metadata *m, const struct entry *e, int fd)
{
	_cleanup_xattrs_ struct xattrs found = {0};
	size_t n = 0;

	if (xattrs_read(fd, NULL, is_no_label, &found, e->path, NULL) < 0)
		return false;
	for (size_t i = 0; i < e->header.n_xattrs; i++) {
		const struct tar_xattr *x = &e->header.xattrs[i];
		if (is_dropped(m, x->name))
			continue;
		bool same = false;
		for (size_t j = 0; j < found.len && !same; j++)
			same = streq(found.items[j].name, x->name) &&
			       found.items[j].len == x->len &&
			       memcmp(found.items[j].value, x->value, x->len) == 0;
		if (!same)
			return false;
		n++;
	}
	return n == found.len;
}

bool metadata_file_fits(const struct metadata *m, const struct entry *e, int fd)
{
	struct timespec times[2];
	struct stat st;

	if (m->options->force_mask >= 0 || fstat(fd, &st) < 0)
		return false;
	entry_times(e, times);
	return S_ISREG(st.st_mode) && owner_is_right(e, &st) &&
	       (st.st_mode & 07777) == e->header.mode && st.st_mtim.tv_sec == times[1].tv_sec &&
	       st.st_mtim.tv_nsec == times[1].tv_nsec && xattrs_fit(m, e, fd);
}

int metadata_node(struct metadata *m, const struct entry *e, int fd, const struct stat *st,
                  cst_error **error)
{
	struct timespec times[2];
	int r = set_owner_and_mode(m, e, fd, st, error);
	if (r < 0)
		return r;
	entry_times(e, times);
	if (sys_futimens(fd, times) < 0)
		return error_sys(error, errno, "chtimes /%s", e->path);
	return set_xattrs(m, e, fd, error);
}

int metadata_symlink(struct metadata *m, const struct entry *e, int fd, const struct stat *st,
                     cst_error **error)
{
	const struct tar_header *h = &e->header;
	int r = set_owner(m, e, fd, st, error);
	if (r < 0)
		return r;
	bool later = h->has_atime && h->atime.tv_sec > h->mtime.tv_sec;
	struct timespec times[2] = {wrap_time(later ? h->atime : h->mtime), wrap_time(h->mtime)};
	if (h->type == '2' && sys_futimens(fd, times) < 0)
		return error_sys(error, errno, "chtimes /%s", e->path);
	return set_xattrs(m, e, fd, error);
}

/* ---- overlay's marks ---- */

bool mark_is_whiteout(const struct unpack_options *options, const struct stat *st)
{
	return options->whiteouts == UNPACK_WHITEOUT_OVERLAY && S_ISCHR(st->st_mode) &&
	       st->st_rdev == makedev(0, 0);
}

bool mark_is_opaque(const struct unpack_options *options, int fd)
{
	return xattr_is_opaque(fd, ".", options->userns) ||
	       (options->whiteouts == UNPACK_WHITEOUT_KEEP && fs_exists(fd, ".wh..wh..opq"));
}

bool mark_hides(const struct unpack_options *options, int fd, const char *name)
{
	char mark[NAME_MAX + sizeof(".wh.")];
	if (options->whiteouts != UNPACK_WHITEOUT_KEEP || strlen(name) > NAME_MAX)
		return false;
	snprintf(mark, sizeof(mark), ".wh.%s", name);
	return fs_exists(fd, mark);
}

int mark_opaque(const struct unpack_options *options, int fd)
{
	const char *name = options->userns ? "user.overlay.opaque" : "trusted.overlay.opaque";
	if (options->whiteouts != UNPACK_WHITEOUT_OVERLAY)
		return 0;
	return sys_fsetxattr(fd, name, "y", 1, 0);
}
