/* SPDX-License-Identifier: Apache-2.0 */
/* Writes one file after the other into a layer tar (packer.h). */
#include "archive/pack/packer.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/types.h"
#include <errno.h>
#include <inttypes.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PROGRESS_STEP ((uint64_t)4 << 20)

#define WHITEOUT_PREFIX ".wh."

bool stat_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

int packer_init(struct packer *packer, const struct pack_options *options, const cst_sink *sink,
                cst_error **error)
{
	*packer = (struct packer){.options = options};
	return sink_buffer_init(&packer->out, sink, error);
}

void packer_free(struct packer *packer)
{
	sink_buffer_free(&packer->out);
	inode_map_free(&packer->links);
	strbuf_free(&packer->name);
	strbuf_free(&packer->header);
}

static int report_progress(const struct packer *packer, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state),
	        .what = "diff",
	        .bytes_done = packer->out.total,
	        .entries_done = packer->entries,
	};
	return progress_tell(packer->options->progress, &state, error);
}

/* What makes one file disappear from the archive instead of failing it. */
static bool is_skippable(int problem)
{
	return problem == ENOENT || problem == EACCES || problem == EPERM || problem == ELOOP ||
	       problem == ENXIO;
}

static int put_header(struct packer *packer, const struct tar_header *header, cst_error **error)
{
	strbuf_reset(&packer->header);
	int r = tar_format_header(header, &packer->header, error);
	if (r < 0)
		return r;
	r = sink_buffer_write(&packer->out, packer->header.data, packer->header.len, error);
	if (r < 0)
		return r;
	packer->entries++;
	return report_progress(packer, error);
}

/* Owners as the container sees them. False, and a warning, if it cannot. */
static bool map_owner(const struct packer *packer, const struct stat *st, const char *path,
                      struct tar_header *header)
{
	const struct idmaps *maps = packer->options->maps;
	header->uid = st->st_uid;
	header->gid = st->st_gid;
	if (!maps)
		return true;
	bool uid_known = idmap_to_container(&maps->uids, st->st_uid, &header->uid);
	if (uid_known && idmap_to_container(&maps->gids, st->st_gid, &header->gid))
		return true;
	log_warning("Can't add file %s to tar: host ID %" PRIu32
	            " cannot be mapped to a container ID; "
	            "skipping",
	            path, uid_known ? (uint32_t)st->st_gid : (uint32_t)st->st_uid);
	return false;
}

/* Attributes whose name cannot stand in a PAX record are left out, not the file. */
static void drop_unencodable(struct xattrs *xattrs, const char *path)
{
	size_t kept = 0;
	for (size_t i = 0; i < xattrs->len; i++) {
		if (strchr(xattrs->items[i].name, '='))
			log_warning("leaving out attribute %s of %s: a tar cannot name it",
			            xattrs->items[i].name, path);
		else
			xattrs->items[kept++] = xattrs->items[i];
	}
	xattrs->len = kept;
}

static void fill_header(struct tar_header *header, const struct stat *st,
                        const struct xattrs *xattrs)
{
	header->mode = st->st_mode & 07777;
	header->mtime.tv_sec = st->st_mtim.tv_sec;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		header->devmajor = major(st->st_rdev);
		header->devminor = minor(st->st_rdev);
	}
	header->xattrs = xattrs->items;
	header->n_xattrs = xattrs->len;
}

/* The body: exactly `size` bytes, of a file that somebody may be writing to. */
static int put_body(struct packer *packer, int fd, uint64_t size, const char *path,
                    cst_error **error)
{
	uint64_t left = size, step = 0;
	while (left > 0) {
		void *room;
		size_t n;
		int r = sink_buffer_room(&packer->out, &room, &n, error);
		if (r < 0)
			return r;
		ssize_t got = read(fd, room, (size_t)MIN((uint64_t)n, left));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_sys(error, errno, "read %s", path);
		if (got == 0)
			return error_set(error, CST_EARCHIVE,
			                 "archive/tar: missed writing %" PRIu64 " bytes of %s",
			                 left, path);
		sink_buffer_commit(&packer->out, (size_t)got);
		left -= (uint64_t)got;
		step += (uint64_t)got;
		if (step >= PROGRESS_STEP && (r = report_progress(packer, error)) < 0)
			return r;
		step %= PROGRESS_STEP;
	}
	return sink_buffer_zeros(&packer->out, tar_padding(size), error);
}

/* Opens the content. *ret -1 and 0: leave the file out. */
static int open_body(int dirfd, const char *name, const char *path, struct stat *st, int *ret,
                     cst_error **error)
{
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && !is_skippable(errno))
		return error_sys(error, errno, "open %s", path);
	if (fd < 0) {
		log_warning("Can't add file %s to tar: open: %s", path, errno_text(errno));
		*ret = -1;
		return 0;
	}
	if (fstat(fd, st) < 0)
		return error_sys(error, errno, "stat %s", path);
	*ret = S_ISREG(st->st_mode) ? steal_fd(&fd) : -1;
	return 0;
}

/* The attributes. *ok false: leave the file out. */
static int read_attributes(int dirfd, const char *name, const char *path, struct xattrs *ret,
                           bool *ok, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = xattrs_read(dirfd, name, xattr_is_exported, ret, path, &problem);
	*ok = r == 0;
	if (r == CST_ESYS && is_skippable(cst_error_errno(problem))) {
		log_warning("Can't add file %s to tar: %s", path, cst_error_message(problem));
		return 0;
	}
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	drop_unencodable(ret, path);
	return 0;
}

/* A symlink's text, or for a further name of an inode its first one. *ok false: leave the file out.
 */
static int set_linkname(struct packer *packer, int dirfd, const char *name, const char *path,
                        const struct stat *st, struct tar_header *header, char **text, bool *ok,
                        cst_error **error)
{
	const char *first = NULL;
	*ok = true;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
		first = inode_map_get(&packer->links, st->st_dev, st->st_ino);
	if (first) {
		header->type = '1';
		header->linkname = first;
		return 0;
	}
	if (!S_ISLNK(st->st_mode))
		return 0;
	*text = fs_readlink(dirfd, name);
	if (!*text && !is_skippable(errno) && errno != EINVAL)
		return error_sys(error, errno, "readlink %s", path);
	*ok = *text != NULL;
	header->linkname = *text;
	return 0;
}

bool packer_leaves_out(const char *name, const char *path)
{
	if (!has_prefix(name, WHITEOUT_PREFIX))
		return false;
	log_warning("leaving out \"%s\": in a layer tar a name that begins with "
	            "\"" WHITEOUT_PREFIX "\" deletes another file; rename it to keep it",
	            path);
	return true;
}

static bool is_unsayable(const char *path)
{
	const char *base = path_base(path);
	for (const char *at = path; at < base; at = strchr(at, '/') + 1)
		if (has_prefix(at, WHITEOUT_PREFIX))
			return true; /* told of already */
	return packer_leaves_out(base, path);
}

int packer_add(struct packer *packer, int dirfd, const char *name, const char *path,
               const struct stat *st, bool *added, cst_error **error)
{
	struct tar_header header = {.type = tar_type_of(st->st_mode)};
	struct stat now = *st;
	bool ok;
	if (added)
		*added = false;
	if (!packer->options->with_whiteouts && is_unsayable(path))
		return 0;
	if (!header.type) {
		log_warning("archive: skipping \"%s\" since it is a socket", path);
		return 0;
	}
	if (!map_owner(packer, st, path, &header))
		return 0;
	_cleanup_xattrs_ struct xattrs xattrs = {0};
	int r = read_attributes(dirfd, name, path, &xattrs, &ok, error);
	if (r < 0 || !ok)
		return r;
	_cleanup_free_ char *text = NULL;
	r = set_linkname(packer, dirfd, name, path, st, &header, &text, &ok, error);
	if (r < 0 || !ok)
		return r;
	_cleanup_close_ int fd = -1;
	if (header.type == '0' && st->st_size > 0) {
		r = open_body(dirfd, name, path, &now, &fd, error);
		if (r < 0 || fd < 0)
			return r;
		header.size = (uint64_t)now.st_size;
	}
	fill_header(&header, &now, &xattrs);
	strbuf_reset(&packer->name);
	strbuf_adds(&packer->name, path);
	if (S_ISDIR(st->st_mode))
		strbuf_addc(&packer->name, '/');
	if (packer->name.failed)
		return error_oom(error);
	header.name = packer->name.data;
	if ((r = put_header(packer, &header, error)) < 0)
		return r;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && header.type != '1' &&
	    !inode_map_put(&packer->links, st->st_dev, st->st_ino, path))
		return error_oom(error);
	if (added)
		*added = true;
	return fd >= 0 ? put_body(packer, fd, header.size, path, error) : 0;
}

int packer_add_whiteout(struct packer *packer, const char *path, const struct stat *st,
                        cst_error **error)
{
	struct tar_header header = {.type = '0'};
	if (is_unsayable(path)) /* its whiteout could be read as that of a whole directory */
		return 0;
	if (!st)
		clock_gettime(CLOCK_REALTIME, &header.mtime);
	else if (!map_owner(packer, st, path, &header))
		header.uid = header.gid = 0; /* a deletion must not get lost */
	if (st)
		header.mtime.tv_sec = st->st_mtim.tv_sec;
	const char *base = path_base(path);
	strbuf_reset(&packer->name);
	strbuf_add(&packer->name, path, (size_t)(base - path));
	strbuf_adds(&packer->name, WHITEOUT_PREFIX);
	strbuf_adds(&packer->name, base);
	if (packer->name.failed)
		return error_oom(error);
	header.name = packer->name.data;
	return put_header(packer, &header, error);
}

int packer_add_opaque(struct packer *packer, const char *path, const struct stat *st,
                      cst_error **error)
{
	struct tar_header header = {.type = '0', .mode = st->st_mode & 0777};
	(void)map_owner(packer, st, path, &header);
	strbuf_reset(&packer->name);
	strbuf_adds(&packer->name, path);
	strbuf_adds(&packer->name, "/.wh..wh..opq");
	if (packer->name.failed)
		return error_oom(error);
	header.name = packer->name.data;
	return put_header(packer, &header, error);
}

int packer_finish(struct packer *packer, cst_error **error)
{
	int r = sink_buffer_zeros(&packer->out, (size_t)2 * TAR_BLOCK, error);
	return r < 0 ? r : sink_buffer_flush(&packer->out, error);
}
