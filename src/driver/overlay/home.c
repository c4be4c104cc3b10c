/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The homes of the driver, and places in them. The driver's own home is bind-mounted on itself and made private. All tools do
 * that: if one of them mounted a layer without it, the next one's bind mount would hide that layer (docs/format/drivers.md,
 * "Init order").
 */
#include "base/fs.h"
#include "base/log.h"
#include "driver/mountinfo.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

static bool lacks_links_dir(const struct overlay *o, size_t home)
{
	return o->homes[home].writable && !overlay_has_links_dir(o, home);
}

/* Makes `l` in each home that this process may write to. */
static int make_links_dirs(const struct overlay *o, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->n_homes; i++) {
		if (!lacks_links_dir(o, i))
			continue;
		r = dirs.fds ? 0 : overlay_dirs_open(o, &dirs, error);
		if (r == 0)
			r = overlay_make_links_dir(o, &dirs, i, error);
	}
	return r;
}

int overlay_make_home(struct overlay *o, bool *created, cst_error **error)
{
	*created = !fs_exists(AT_FDCWD, o->base.home);
	int r = fs_mkdir_p(o->base.home, 0755, error);
	for (size_t i = 0; r == 0 && i < o->n_homes; i++) {
		if (!o->homes[i].writable)
			continue;
		r = fs_mkdir_p(o->homes[i].path, 0700, error); /* the home in an image store */
	}
	if (r == 0)
		r = make_links_dirs(o, error);
	return r < 0 ? r : fs_mkdir_p(o->base.run_home, 0700, error);
}

static int make_private(const struct overlay *o, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = fs_open_dir(o->base.home, &fd, error);
	if (r < 0 || mountinfo_is_private(fd) == 1)
		return r;
	if (sys_mount("", o->base.home, NULL, MS_PRIVATE, NULL) < 0)
		return error_sys(error, errno, "making %s a private mount", o->base.home);
	return 0;
}

/* Is a layer mounted in the home? Mounts in the temporary directories do not count. A process makes them to try something out,
 * maybe without a lock while another one takes the mount of the home away. They are no reason to leave the home unmounted:
 * layers that are mounted then would be hidden by the mount that the next opener makes. */
static int any_layer_mounted(const struct overlay *o, bool *ret, cst_error **error)
{
	static const char *const tried[] = {OVERLAY_STAGING_DIR, OVERLAY_TEMP_DIR, NULL};

	return mountinfo_any_below(o->base.home, tried, ret, error);
}

int overlay_mount_home(struct overlay *o, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	bool below = false;

	if (o->options.skip_mount_home || o->read_only)
		return 0;
	int r = fs_open_dir(o->base.home, &fd, error);
	if (r < 0)
		return r;
	r = mountinfo_is_mount_point(fd, "");
	if (r < 0)
		return error_sys(error, errno, "statx %s", o->base.home);
	if (r > 0)
		return make_private(o, error);
	r = any_layer_mounted(o, &below, error);
	if (r < 0)
		return r;
	if (below) {
		log_warning("%s is in use by a program that does not mount it on itself "
		            "(skip_mount_home): leaving it as it is",
		            o->base.home);
		return 0;
	}
	if (sys_mount(o->base.home, o->base.home, "none", MS_BIND, NULL) < 0)
		return error_sys(error, errno, "mounting %s on itself", o->base.home);
	return make_private(o, error);
}

int overlay_unmount_home(struct overlay *o, cst_error **error)
{
	_cleanup_close_ int fd = -1, root_fd = -1;
	_cleanup_free_ char *root = path_join(o->base.home, "..");
	struct stat home_st, root_st;

	if (o->options.skip_mount_home || o->read_only)
		return 0;
	if (!root)
		return error_oom(error);
	int r = fs_open_dir(o->base.home, &fd, error);
	if (r == 0)
		r = fs_open_dir(root, &root_fd, error);
	if (r < 0)
		return r;
	/* If somebody mounted another filesystem there, it is not ours to unmount. */
	if (fstat(fd, &home_st) < 0 || fstat(root_fd, &root_st) < 0 ||
	    home_st.st_dev != root_st.st_dev)
		return 0;
	if (mountinfo_is_mount_point(fd, "") != 1)
		return 0;
	if (sys_umount2(o->base.home, MNT_DETACH) < 0 && errno != EINVAL)
		return error_sys(error, errno, "unmounting %s", o->base.home);
	return 0;
}

bool overlay_home_ready(const struct overlay *o)
{
	_cleanup_close_ int fd = open(o->base.home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool below = false;

	if (fd < 0)
		return false;
	for (size_t i = 0; i < o->n_homes; i++) {
		if (lacks_links_dir(o, i))
			return false;
	}
	if (o->options.skip_mount_home)
		return true;
	if (mountinfo_is_mount_point(fd, "") == 1)
		return mountinfo_is_private(fd) == 1;
	return any_layer_mounted(o, &below, NULL) == 0 && below;
}

int overlay_dirs_open(const struct overlay *o, struct overlay_dirs *ret, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {.fds = new0(int, o->n_homes)};

	if (!dirs.fds)
		return error_oom(error);
	for (; dirs.n < o->n_homes; dirs.n++) {
		int fd = open(o->homes[dirs.n].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 && errno != ENOENT)
			return error_sys(error, errno, "open %s", o->homes[dirs.n].path);
		dirs.fds[dirs.n] = fd;
	}
	*ret = dirs;
	dirs = (struct overlay_dirs){0};
	return 0;
}

void overlay_dirs_close(struct overlay_dirs *dirs)
{
	for (size_t i = 0; i < dirs->n; i++)
		closep(&dirs->fds[i]);
	free(steal_ptr(&dirs->fds));
	dirs->n = 0;
}

/* ---- places in the homes ---- */

const char *overlay_area_of(enum tempdir_layout layout)
{
	return layout == TEMPDIR_PAIR ? OVERLAY_TEMP_DIR : OVERLAY_STAGING_DIR;
}

char *overlay_staging_path(const struct overlay *o, size_t home)
{
	return path_join(o->homes[home].path, OVERLAY_STAGING_DIR);
}

char *overlay_merged_path(const struct overlay *o, size_t home, const char *id)
{
	return path_join3(home == 0 ? o->base.home : o->base.run_home, id, "merged");
}
