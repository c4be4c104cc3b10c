/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers whose names and attributes are in an EROFS image, and whose data are in a directory of objects (docs/format/drivers.md,
 * "composefs"). The image is mounted for the moment in which an overlay mount is made, which holds it from then on; the objects
 * are data-only lowers of that mount.
 */
#include "base/fs.h"
#include "driver/mount_api.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include "erofs/reader.h"
#include <errno.h>
#include <linux/loop.h>
#include <stdio.h>

enum { ATTRIBUTE_RDONLY = 0x1, ATTRIBUTE_IDMAP = 0x00100000 };
#define MOVE_EMPTY   (0x4 | 0x40) /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */
#define LOOP_RETRIES 64           /* others take loop devices, too */

bool overlay_has_images(const struct overlay_lowers *lowers)
{
	for (size_t i = 0; i < lowers->len; i++)
		if (lowers->items[i].kind == DRIVER_CONTENT_IMAGE)
			return true;
	return false;
}

/* Where the image of a lower is, whose objects are in <id>/diff. */
static char *blob_of(const struct overlay_lower *lower)
{
	return str_printf("%.*s/" OVERLAY_BLOB, (int)strcspn(lower->path, "/"), lower->path);
}

/* ---- one image ---- */

/* Makes a detached mount. -1 and errno. */
static int mount_source(const char *source, bool has_acl)
{
	_cleanup_close_ int fs_fd = sys_fsopen("erofs", FSOPEN_CLOEXEC);
	if (fs_fd < 0 || sys_fsconfig(fs_fd, CONFIG_STRING, "source", source, 0) < 0 ||
	    sys_fsconfig(fs_fd, CONFIG_FLAG, "ro", NULL, 0) < 0 ||
	    (!has_acl && sys_fsconfig(fs_fd, CONFIG_FLAG, "noacl", NULL, 0) < 0) ||
	    sys_fsconfig(fs_fd, CONFIG_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return sys_fsmount(fs_fd, FSMOUNT_CLOEXEC, ATTRIBUTE_RDONLY);
}

/* The device goes when the mount goes, or with the descriptor. -1 and errno. */
static int attach_loop(int fd, char name[32])
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;
	for (int i = 0; i < LOOP_RETRIES; i++) {
		int number = sys_new_loop(control);
		if (number < 0)
			return -1;
		snprintf(name, 32, "/dev/loop%d", number);
		_cleanup_close_ int loop = open(name, O_RDONLY | O_CLOEXEC);
		if (loop < 0)
			return -1;
		if (sys_attach_loop(loop, fd, LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR) == 0)
			return steal_fd(&loop);
		if (errno != EBUSY)
			return -1;
	}
	return -1;
}

int overlay_image_mount(int fd, bool has_acl, bool by_loop)
{
	char source[32];
	if (!by_loop) {
		snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
		int mount_fd = mount_source(source, has_acl);
		/* Linux before 6.12 mounts EROFS from block devices only. */
		if (mount_fd >= 0 || errno != ENOTBLK)
			return mount_fd;
	}
	_cleanup_close_ int loop = attach_loop(fd, source);
	return loop < 0 ? -1 : mount_source(source, has_acl);
}

/* Will the kernel hold the data against digests? The image has them, and so have its objects; those of one layer are all alike. */
static int has_verity(struct erofs_image *image, int objects_fd, bool *ret, cst_error **error)
{
	_cleanup_erofs_walk_ struct erofs_walk *walk = NULL;
	struct erofs_walked walked;
	struct statx stx;
	*ret = false;
	int r = erofs_walk_new(image, "", false, &walk, error);
	while (r == 0 && (r = erofs_walk_next(walk, &walked, error)) == 0 && walked.path) {
		_cleanup_arena_ struct arena arena = {0};
		struct erofs_entry entry;
		if (!S_ISREG(walked.inode.mode))
			continue;
		r = erofs_image_entry(image, &walked.inode, &arena, &entry, error);
		if (r < 0 || !entry.payload || entry.content)
			continue;
		*ret = entry.digest &&
		       statx(objects_fd, entry.payload, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &stx) ==
		               0 &&
		       stx.stx_attributes & STATX_ATTR_VERITY;
		return 0;
	}
	return r;
}

/* Mounts the image of a lower, attached nowhere. */
static int mount_lower(const struct overlay *o, const struct overlay_mount *m,
                       const struct overlay_lower *lower, int *ret_fd, bool *verity,
                       cst_error **error)
{
	_cleanup_erofs_image_ struct erofs_image *image = NULL;
	_cleanup_free_ char *path = blob_of(lower);
	_cleanup_free_ char *shown = path ? path_join(o->homes[lower->home].path, path) : NULL;
	if (!shown)
		return error_oom(error);
	_cleanup_close_ int fd = openat(m->dirs->fds[lower->home], path,
	                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_close_ int objects_fd = openat(m->dirs->fds[lower->home], lower->path,
	                                        O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || objects_fd < 0)
		return error_sys(error, errno, "open %s", shown);
	int r = erofs_image_open(fd, shown, &image, error);
	if (r == 0)
		r = has_verity(image, objects_fd, verity, error);
	if (r < 0)
		return r;
	_cleanup_close_ int mount_fd = overlay_image_mount(fd, erofs_image_has_acl(image), false);
	if (mount_fd < 0)
		return error_sys(error, errno, "mounting %s", shown);
	struct mount_attr_v0 map = {.attr_set = ATTRIBUTE_IDMAP,
	                            .propagation = MS_PRIVATE,
	                            .userns_fd = (uint64_t)m->userns_fd};
	if (m->mapped && sys_mount_setattr(mount_fd, "", AT_EMPTY_PATH, &map) < 0)
		return error_sys(error, errno, "mapping the ids of %s", shown);
	*ret_fd = steal_fd(&mount_fd);
	return 0;
}

/* ---- those of a mount ---- */

struct images {
	int *fds; /* by lower; -1: it is no image */
	size_t n;
	struct tempdir *temp; /* where they are attached */
	char *path;           /* of that */
};

static void images_close(struct images *images)
{
	for (size_t i = 0; i < images->n; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%zu", i);
		if (images->temp && images->fds[i] >= 0)
			(void)overlay_unmount(images->temp->fd, name, images->path, NULL);
		closep(&images->fds[i]);
	}
	free(images->fds);
	free(images->path);
	tempdir_free(images->temp);
}

/* Which of the kernel's modes: "on" holds data against the digests that are there, "require" refuses data without. */
static int choose_verity(const struct overlay *o, struct overlay_mount *m, size_t n_images,
                         size_t n_verity, cst_error **error)
{
	bool alone = 2 * n_verity == m->lowers->len && m->upper_fd < 0;
	if (o->options.verity == OVERLAY_VERITY_REQUIRE && n_verity < n_images)
		return error_set(error, CST_ENOTSUP,
		                 "a composefs layer in %s has no fs-verity digests, which "
		                 "overlay.fs_verity=require asks for",
		                 o->base.home);
	if (o->options.verity == OVERLAY_VERITY_REQUIRE)
		m->verity = "require";
	else if (o->options.verity == OVERLAY_VERITY_TRY && n_verity > 0)
		m->verity = alone ? "require" : "on";
	return 0;
}

static int images_mount(const struct overlay *o, struct overlay_mount *m, struct images *images,
                        cst_error **error)
{
	size_t n_verity = 0, n_images = 0;
	images->fds = new0(int, m->lowers->len);
	if (!images->fds)
		return error_oom(error);
	int r = 0;
	for (; r == 0 && images->n < m->lowers->len; images->n++) {
		const struct overlay_lower *lower = &m->lowers->items[images->n];
		bool verity = false;
		images->fds[images->n] = -1;
		if (lower->kind == DRIVER_CONTENT_IMAGE)
			r = mount_lower(o, m, lower, &images->fds[images->n], &verity, error);
		n_verity += verity;
		n_images += lower->kind == DRIVER_CONTENT_IMAGE;
	}
	m->image_fds = images->fds;
	return r == 0 ? choose_verity(o, m, n_images, n_verity, error) : r;
}

/* Linux before 6.15 refuses lowers that are attached nowhere: they are attached in the staging area while the mount is made. */
static int images_attach(const struct overlay *o, struct images *images, cst_error **error)
{
	_cleanup_free_ char *root = overlay_staging_path(o, 0);
	int r = root ? tempdir_new(root, TEMPDIR_STAGING, &images->temp, error) : error_oom(error);
	if (r < 0)
		return r;
	images->path = path_join(root, images->temp->name);
	if (!images->path)
		return error_oom(error);
	for (size_t i = 0; i < images->n; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%zu", i);
		if (images->fds[i] < 0)
			continue;
		if (sys_mkdirat(images->temp->fd, name, 0700) < 0)
			return error_sys(error, errno, "mkdir %s/%s", images->path, name);
		_cleanup_close_ int fd = openat(images->temp->fd, name,
		                                O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || sys_move_mount(images->fds[i], "", fd, "", MOVE_EMPTY) < 0)
			return error_sys(error, errno, "mounting %s/%s", images->path, name);
	}
	return 0;
}

int overlay_with_images(const struct overlay *o, const struct overlay_mount *mount,
                        overlay_make_mount make, void *userdata, cst_error **error)
{
	_cleanup_(images_close) struct images images = {0};
	_cleanup_error_ cst_error *problem = NULL;
	struct overlay_mount with = *mount;
	if (!overlay_has_images(mount->lowers))
		return make(o, mount, userdata, error);
	if (o->program || driver_is_rootless())
		return error_set(
		        error, CST_ENOTSUP,
		        "layers of %s are composefs images, which only root's kernel can mount",
		        o->base.home);
	int r = images_mount(o, &with, &images, error);
	if (r == 0)
		r = make(o, &with, userdata, &problem);
	else
		return r;
	if (r == 0 || cst_error_errno(problem) != EINVAL || o->read_only)
		return r == 0 ? 0 : error_propagate(error, steal_ptr(&problem));
	r = images_attach(o, &images, error);
	return r == 0 ? make(o, &with, userdata, error) : r;
}

/* ---- one layer ---- */

struct own_content {
	struct overlay_dirs dirs;
	struct overlay_lowers lowers;
	int layer_fd;
};

static void own_content_close(struct own_content *own)
{
	closep(&own->layer_fd);
	overlay_lowers_free(&own->lowers);
	overlay_dirs_close(&own->dirs);
}

static int own_content(const struct overlay *o, const char *id, struct own_content *own,
                       cst_error **error)
{
	const struct strv no_parents = {0};
	size_t home;
	int r = overlay_dirs_open(o, &own->dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &own->dirs, id, &home, &own->layer_fd, error);
	return r == 0 ? overlay_lowers(o, &own->dirs, home, id, &no_parents, true, &own->lowers,
	                               error)
	              : r;
}

int overlay_names_open(struct driver *d, const char *id, int *ret_fd, cst_error **error)
{
	_cleanup_(own_content_close) struct own_content own = {.layer_fd = -1};
	_cleanup_close_ int mount_fd = -1;
	const struct overlay *o = overlay_of(d);
	bool verity;
	int r = own_content(o, id, &own, error);
	if (r < 0)
		return r;
	const struct overlay_mount mount = {.dirs = &own.dirs, .lowers = &own.lowers};
	if (!overlay_has_images(&own.lowers))
		return overlay_lower_open(o, &own.dirs, own.lowers.items, O_RDONLY, ret_fd, error);
	r = mount_lower(o, &mount, own.lowers.items, &mount_fd, &verity, error);
	if (r < 0)
		return r;
	*ret_fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? error_sys(error, errno, "open the image of layer \"%s\"", id) : 0;
}

int overlay_objects_open(struct driver *d, const char *id, int *ret_fd, cst_error **error)
{
	_cleanup_(own_content_close) struct own_content own = {.layer_fd = -1};
	int r = own_content(overlay_of(d), id, &own, error);
	if (r == 0 && !overlay_has_images(&own.lowers))
		return error_set(error, CST_ENOTSUP, "layer \"%s\" is no image", id);
	if (r < 0)
		return r;
	*ret_fd = openat(own.layer_fd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? error_sys(error, errno, "open the objects of layer \"%s\"", id) : 0;
}

/* An image counts as a file beside its objects. */
int overlay_usage(struct driver *d, const char *id, struct driver_usage *ret, cst_error **error)
{
	_cleanup_(own_content_close) struct own_content own = {.layer_fd = -1};
	_cleanup_close_ int objects_fd = -1;
	struct driver_usage usage = {0};
	struct stat st;
	int r = own_content(overlay_of(d), id, &own, error);
	if (r < 0)
		return r;
	if (!overlay_has_images(&own.lowers))
		return naive_usage(d, id, ret, error);
	objects_fd = openat(own.layer_fd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (objects_fd < 0 || fstatat(own.layer_fd, OVERLAY_BLOB, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "measuring layer \"%s\"", id);
	r = usage_tree(objects_fd, &usage.bytes, &usage.inodes, error);
	usage.bytes += st.st_size;
	usage.inodes++;
	if (r == 0)
		*ret = usage;
	return r;
}
