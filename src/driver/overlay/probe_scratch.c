/* SPDX-License-Identifier: Apache-2.0 */
/* Makes and removes the place where probes are tried, and the mount in it. */
#include "driver/overlay/probe_scratch.h"
#include "base/fs.h"
#include "driver/rootless.h"
#include <errno.h>
#include <sys/mount.h>

void probe_scratch_close(struct probe_scratch *s)
{
	closep(&s->upper_fd);
	closep(&s->work_fd);
	overlay_lowers_free(&s->lowers);
	overlay_dirs_close(&s->dirs);
	free(s->below_home);
	free(s->path);
	free(s->label);
	tempdir_free(s->temp);
}

int probe_scratch_mkdir(const struct probe_scratch *s, const char *name, int *ret_fd,
                        cst_error **error)
{
	if (sys_mkdirat(s->temp->fd, name, 0755) < 0)
		return error_sys(error, errno, "mkdir %s/%s", s->path, name);
	if (!ret_fd)
		return 0;
	*ret_fd = openat(s->temp->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? error_sys(error, errno, "open %s/%s", s->path, name) : 0;
}

int probe_scratch_open(const struct overlay *o, struct probe_scratch *s, cst_error **error)
{
	_cleanup_free_ char *root = overlay_staging_path(o, 0);

	if (!root)
		return error_oom(error);
	int r = tempdir_new(root, TEMPDIR_STAGING, &s->temp, error);
	if (r == 0)
		r = overlay_dirs_open(o, &s->dirs, error);
	if (r < 0)
		return r;
	s->below_home = path_join(OVERLAY_STAGING_DIR, s->temp->name);
	s->path = path_join(root, s->temp->name);
	if (!s->below_home || !s->path)
		return error_oom(error);
	r = probe_scratch_mkdir(s, "upper", &s->upper_fd, error);
	if (r == 0)
		r = probe_scratch_mkdir(s, "work", &s->work_fd, error);
	if (r == 0)
		r = probe_scratch_mkdir(s, "lower1", NULL, error);
	if (r == 0)
		r = probe_scratch_mkdir(s, "lower2", NULL, error);
	if (r == 0)
		r = overlay_lowers_add(&s->lowers, 0, s->below_home, "lower1", error);
	return r == 0 ? overlay_lowers_add(&s->lowers, 0, s->below_home, "lower2", error) : r;
}

int probe_scratch_options(const struct overlay *o, const char *list, struct mount_options *ret,
                          cst_error **error)
{
	int r = mount_options_add(ret, strempty(list), error);

	if (r == 0 && driver_is_rootless())
		r = mount_options_add(ret, "userxattr", error);
	ret->flags &= ~(unsigned long)MS_RDONLY; /* a probe writes, also if mountopt has "ro" */
	return r;
}

struct overlay_mount probe_scratch_overlay(const struct probe_scratch *s,
                                           const struct mount_options *options)
{
	return (struct overlay_mount){.dirs = &s->dirs,
	                              .lowers = &s->lowers,
	                              .upper_fd = s->upper_fd,
	                              .work_fd = s->work_fd,
	                              .upper = "upper",
	                              .work = "work",
	                              .label = s->label,
	                              .options = options};
}

int probe_scratch_mount(const struct overlay *o, const struct probe_scratch *s, const char *options,
                        struct overlay_detached *ret, cst_error **error)
{
	_cleanup_mount_options_ struct mount_options parsed = {0};
	struct overlay_mount mount;
	int r = probe_scratch_options(o, options, &parsed, error);
	if (r < 0)
		return r;
	mount = probe_scratch_overlay(s, &parsed);
	return overlay_mount_detached(o, &mount, ret, error);
}
