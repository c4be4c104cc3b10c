/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a composefs image of a staged layer (docs/format/drivers.md, "composefs"): `diff` gets objects in the place of files, each
 * once, and composefs-data/composefs.blob has the names and attributes. No file is kept in the image itself, however small it is:
 * the Go tools would not find it when they give the layer back.
 */
#include "archive/tree/inode_map.h"
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "driver/overlay/staged.h"
#include "driver/rootless.h"
#include "erofs/writer.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define READ_SIZE ((size_t)128 << 10)
#define OBJECTS   "objects"

struct imaging {
	const struct driver_staged *staged;
	struct erofs_writer *writer;
	struct inode_map links; /* of files that have several names: the first */
	struct strv objects;    /* the directories of objects that were made */
	int objects_fd;
	char *buffer;
};

static void imaging_close(struct imaging *imaging)
{
	erofs_writer_free(imaging->writer);
	inode_map_free(&imaging->links);
	strv_free(&imaging->objects);
	closep(&imaging->objects_fd);
	free(imaging->buffer);
}

/* ---- objects ---- */

static int digest_file(struct imaging *imaging, int fd, const char *shown,
                       char ret[DIGEST_TEXT_MAX], cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	int r = digester_new(DIGEST_SHA256, &digester, error);
	ssize_t n = 1;
	while (r == 0 && (n = fs_read_full(fd, imaging->buffer, READ_SIZE)) > 0)
		digester_update(digester, imaging->buffer, (size_t)n);
	if (r == 0 && n < 0)
		return error_sys(error, errno, "read %s", shown);
	return r == 0 ? digester_finish(digester, ret, error) : r;
}

/* Gives the file the name of its content, "ab/cdef...", among the objects, where another with this content may be. */
static int link_object(struct imaging *imaging, const struct tree_entry *entry, const char *name,
                       cst_error **error)
{
	char dir[3] = {name[0], name[1], '\0'};
	if (sys_mkdirat(imaging->objects_fd, dir, 0755) == 0) {
		if (!strv_add(&imaging->objects, dir))
			return error_oom(error);
	} else if (errno != EEXIST) {
		return error_sys(error, errno, "mkdir %s/" OBJECTS "/%s", imaging->staged->path,
		                 dir);
	}
	if (sys_linkat(entry->dirfd, entry->name, imaging->objects_fd, name, 0) == 0 ||
	    errno == EEXIST)
		return 0;
	return error_sys(error, errno, "link %s to %s/" OBJECTS "/%s", entry->path,
	                 imaging->staged->path, name);
}

/* *enabled: the file has fs-verity, and this is its digest. */
static int enable_verity(const struct imaging *imaging, int fd, uint8_t digest[COMPOSEFS_DIGEST],
                         bool *enabled, cst_error **error)
{
	enum overlay_verity verity = imaging->staged->overlay->options.verity;
	*enabled = verity != OVERLAY_VERITY_OFF && sys_enable_verity(fd) == 0 &&
	           sys_measure_verity(fd, digest, COMPOSEFS_DIGEST) == 0;
	return *enabled || verity != OVERLAY_VERITY_REQUIRE
	               ? 0
	               : error_sys(error, errno,
	                           "enabling fs-verity, which overlay.fs_verity=require asks for, "
	                           "in %s",
	                           imaging->staged->path);
}

struct file_data {
	char payload[DIGEST_TEXT_MAX];
	uint8_t digest[COMPOSEFS_DIGEST];
};

static int add_data(struct imaging *imaging, const struct tree_entry *file,
                    struct erofs_entry *entry, struct file_data *data, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	_cleanup_close_ int fd =
	        openat(file->dirfd, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s", file->path);
	int r = digest_file(imaging, fd, file->path, digest, error);
	if (r < 0)
		return r;
	const char *hex = digest_hex(digest);
	snprintf(data->payload, sizeof(data->payload), "%.2s/%s", hex, hex + 2);
	entry->payload = data->payload;
	bool enabled;
	r = enable_verity(imaging, fd, data->digest, &enabled, error);
	if (r < 0)
		return r;
	entry->digest = enabled ? data->digest : NULL;
	return link_object(imaging, file, data->payload, error);
}

/* ---- entries ---- */

static int add_attributes(const struct tree_entry *file, struct xattrs *xattrs,
                          struct erofs_xattr **ret, struct erofs_entry *entry, cst_error **error)
{
	int r = xattrs_read(file->dirfd, file->name, xattr_is_exported, xattrs, file->path, error);
	*ret = r == 0 ? new0(struct erofs_xattr, xattrs->len + 1) : NULL;
	if (r == 0 && !*ret)
		r = error_oom(error);
	for (size_t i = 0; r == 0 && i < xattrs->len; i++)
		(*ret)[i] = (struct erofs_xattr){xattrs->items[i].name, xattrs->items[i].value,
		                                 xattrs->items[i].len};
	entry->xattrs = *ret;
	entry->n_xattrs = r == 0 ? xattrs->len : 0;
	entry->opaque = S_ISDIR(entry->mode) && xattr_is_opaque(file->dirfd, file->name, false);
	return r;
}

/* `path` is that in the image. */
static int add_file(struct imaging *imaging, const struct tree_entry *file, const char *path,
                    cst_error **error)
{
	const struct stat *st = &file->stat;
	struct erofs_entry entry = {.path = path,
	                            .mode = st->st_mode,
	                            .nlink = (uint32_t)st->st_nlink,
	                            .uid = st->st_uid,
	                            .gid = st->st_gid,
	                            .rdev = (uint32_t)st->st_rdev,
	                            .size = (uint64_t)st->st_size,
	                            .mtime = st->st_mtim,
	                            .hides = S_ISCHR(st->st_mode) && st->st_rdev == 0};
	_cleanup_xattrs_ struct xattrs xattrs = {0};
	_cleanup_free_ struct erofs_xattr *items = NULL;
	_cleanup_free_ char *target = NULL;
	struct file_data data;
	int r = 0;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		entry.link = inode_map_get(&imaging->links, st->st_dev, st->st_ino);
		if (!entry.link && !inode_map_put(&imaging->links, st->st_dev, st->st_ino, path))
			return error_oom(error);
	}
	if (entry.link || entry.hides)
		return erofs_writer_add(imaging->writer, &entry, error);
	if (S_ISLNK(st->st_mode) && !(target = fs_readlink(file->dirfd, file->name)))
		return error_sys(error, errno, "readlink %s", file->path);
	entry.payload = target;
	r = add_attributes(file, &xattrs, &items, &entry, error);
	if (r == 0 && S_ISREG(st->st_mode) && st->st_size > 0)
		r = add_data(imaging, file, &entry, &data, error);
	return r == 0 ? erofs_writer_add(imaging->writer, &entry, error) : r;
}

static int add_root(struct imaging *imaging, cst_error **error)
{
	struct tree_entry root = {.path = ".", .name = ".", .dirfd = imaging->staged->diff_fd};
	if (fstat(root.dirfd, &root.stat) < 0)
		return error_sys(error, errno, "stat %s/diff", imaging->staged->path);
	return add_file(imaging, &root, "/", error);
}

static int add_all(struct imaging *imaging, cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	enum tree_event event = TREE_ENTRY;
	struct tree_entry entry;
	int r = add_root(imaging, error);
	if (r == 0)
		r = tree_walk_new(&imaging->staged->diff_fd, 1, false, &walk, error);
	while (r == 0 && (r = tree_walk_next(walk, &event, &entry, error)) == 0 &&
	       event != TREE_END) {
		if (event != TREE_ENTRY)
			continue;
		_cleanup_free_ char *path = str_join("/", entry.path);
		r = path ? add_file(imaging, &entry, path, error) : error_oom(error);
	}
	return r;
}

/* ---- into place ---- */

static int write_blob(struct imaging *imaging, cst_error **error)
{
	const struct driver_staged *s = imaging->staged;
	uint8_t digest[COMPOSEFS_DIGEST];
	if (sys_mkdirat(s->dir_fd, "composefs-data", 0700) < 0)
		return error_sys(error, errno, "mkdir %s/composefs-data", s->path);
	_cleanup_close_ int fd =
	        sys_openat(s->dir_fd, OVERLAY_BLOB, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_sys(error, errno, "open %s/" OVERLAY_BLOB, s->path);
	cst_sink sink = cst_sink_fd(fd);
	int r = erofs_writer_finish(imaging->writer, &sink, error);
	closep(&fd); /* fs-verity wants that nobody writes */
	fd = -1;
	if (r < 0)
		return r;
	_cleanup_close_ int read_fd =
	        openat(s->dir_fd, OVERLAY_BLOB, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (read_fd < 0)
		return error_sys(error, errno, "open %s/" OVERLAY_BLOB, s->path);
	bool enabled;
	return enable_verity(imaging, read_fd, digest, &enabled, error);
}

/* Attributes are in the image: nobody is to find others by the way of the objects. */
static int strip_objects(struct imaging *imaging, const char *dir, cst_error **error)
{
	const char *shown = imaging->staged->path;
	_cleanup_strv_ struct strv names = {0};
	_cleanup_close_ int dir_fd =
	        openat(imaging->objects_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir_fd < 0 ? error_sys(error, errno, "open %s/" OBJECTS "/%s", shown, dir)
	                   : fs_list_dir(dir_fd, ".", &names, shown, error);
	for (size_t i = 0; r == 0 && i < names.len; i++) {
		_cleanup_close_ int fd =
		        openat(dir_fd, names.items[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || sys_fchown(fd, 0, 0) < 0 || sys_fchmod(fd, 0) < 0)
			r = error_sys(error, errno, "chown %s/" OBJECTS "/%s/%s", shown, dir,
			              names.items[i]);
	}
	return r;
}

/* The directory of objects becomes `diff`, with its owner and mode, which layers above take theirs from. */
static int put_objects(struct imaging *imaging, struct driver_staged *s, cst_error **error)
{
	struct stat st;
	if (fstat(s->diff_fd, &st) < 0)
		return error_sys(error, errno, "stat %s/diff", s->path);
	if (sys_fchown(imaging->objects_fd, st.st_uid, st.st_gid) < 0 ||
	    sys_fchmod(imaging->objects_fd, st.st_mode & 07777) < 0)
		return error_sys(error, errno, "chown %s/" OBJECTS, s->path);
	if (sys_renameat(s->dir_fd, "diff", s->dir_fd, "tree") < 0 ||
	    sys_renameat(s->dir_fd, OBJECTS, s->dir_fd, "diff") < 0)
		return error_sys(error, errno, "rename %s/diff", s->path);
	closep(&s->diff_fd);
	s->diff_fd = steal_fd(&imaging->objects_fd);
	int r = fs_remove_tree(s->dir_fd, "tree", s->path, error);
	if (r == 0 && s->overlay->base.sync_content && sys_syncfs(s->dir_fd) < 0)
		r = error_sys(error, errno, "syncfs %s", s->path);
	return r;
}

static int make_image(struct driver_staged *s, cst_error **error)
{
	_cleanup_(imaging_close) struct imaging imaging = {
	        .staged = s, .objects_fd = -1, .buffer = malloc(READ_SIZE)};
	if (!imaging.buffer)
		return error_oom(error);
	if (sys_mkdirat(s->dir_fd, OBJECTS, 0700) < 0)
		return error_sys(error, errno, "mkdir %s/" OBJECTS, s->path);
	imaging.objects_fd =
	        openat(s->dir_fd, OBJECTS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (imaging.objects_fd < 0)
		return error_sys(error, errno, "open %s/" OBJECTS, s->path);
	int r = erofs_writer_new(true, &imaging.writer, error);
	if (r == 0)
		r = add_all(&imaging, error);
	if (r == 0)
		r = write_blob(&imaging, error);
	for (size_t i = 0; r == 0 && i < imaging.objects.len; i++)
		r = strip_objects(&imaging, imaging.objects.items[i], error);
	return r == 0 ? put_objects(&imaging, s, error) : r;
}

/* A staged layer can outlive the process that made an image of it. *done: it is one. What is half an image has lost attributes of
 * its files by then. */
static int look_back(struct driver_staged *s, bool *done, cst_error **error)
{
	bool image = fs_exists(s->dir_fd, "composefs-data");
	*done = image && !fs_exists(s->dir_fd, OBJECTS) && !fs_exists(s->dir_fd, "tree");
	if (image && !*done)
		return error_set(
		        error, CST_ENOTSUP,
		        "the staged layer %s was left while it became an image: it can only "
		        "be removed",
		        s->path);
	return image ? 0 : fs_remove_tree(s->dir_fd, OBJECTS, s->path, error);
}

static bool is_image_layer(const struct driver_staged *s, const char *id)
{
	_cleanup_free_ char *path = path_join3(s->overlay->homes[s->home].path, id, OVERLAY_BLOB);
	if (!path)
		return false;
	*strrchr(path, '/') = '\0';
	return fs_exists(AT_FDCWD, path);
}

/* A layer that an image cannot hold stays a directory. */
int overlay_stage_as_image(struct driver_staged *s, const char *of, bool *is_image,
                           cst_error **error)
{
	const struct overlay *o = s->overlay;
	_cleanup_error_ cst_error *problem = NULL;
	*is_image = false;
	bool wanted = of ? is_image_layer(s, of) : *s->link && o->options.use_composefs;
	if (!wanted || o->program || driver_is_rootless() || !s->temp || s->of_image ||
	    o->options.force_mask >= 0)
		return 0;
	int r = look_back(s, is_image, error);
	if (r < 0 || *is_image)
		return r;
	r = make_image(s, &problem);
	*is_image = r == 0;
	if (r != CST_EINVAL)
		return r == 0 ? 0 : error_propagate(error, steal_ptr(&problem));
	log_warning("a layer is kept without a composefs image: %s", cst_error_message(problem));
	r = fs_remove_tree(s->dir_fd, OBJECTS, s->path, error);
	return r == 0 ? fs_remove_tree(s->dir_fd, "composefs-data", s->path, error) : r;
}
