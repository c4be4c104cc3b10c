/* SPDX-License-Identifier: Apache-2.0 */
/* Staged layers that outlive their process: the temporary directory is kept (lock/tempdir.h), and another process goes on with
 * what is in it. */
#include "base/fs.h"
#include "driver/naive.h"
#include "driver/overlay/staged.h"
#include <errno.h>
#include <fcntl.h>

static const enum tempdir_layout layouts[] = {TEMPDIR_STAGING, TEMPDIR_PAIR};

int overlay_stage_keep(struct driver_staged *staged, tempdir_write write, void *userdata,
                       cst_error **error)
{
	return tempdir_keep(staged->temp, write, userdata, error);
}

int overlay_stage_unkeep(struct driver_staged *staged, cst_error **error)
{
	return tempdir_unkeep(staged->temp, error);
}

int overlay_stage_list(struct driver *d, struct strv *ids, cst_error **error)
{
	const struct overlay *o = overlay_of(d);
	int r = 0;
	for (size_t i = 0; r == 0 && i <= o->read_only_home; i++) {
		for (size_t k = 0; r == 0 && k < ARRAY_SIZE(layouts); k++) {
			_cleanup_free_ char *root =
			        path_join(o->homes[i].path, overlay_area_of(layouts[k]));
			r = root ? tempdir_list_kept(root, layouts[k], ids, error)
			         : error_oom(error);
		}
	}
	return r;
}

/* Finds the temporary directory in the homes. */
static int find(const struct overlay *o, const char *id, struct driver_staged *s, int *ret_fd,
                cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && !s->temp && i <= o->read_only_home; i++) {
		for (size_t k = 0; r == 0 && !s->temp && k < ARRAY_SIZE(layouts); k++) {
			_cleanup_free_ char *root =
			        path_join(o->homes[i].path, overlay_area_of(layouts[k]));
			s->home = i;
			r = root ? naive_adopt(root, layouts[k], id, &s->temp, ret_fd, error)
			         : error_oom(error);
		}
	}
	return r == 0 && !s->temp ? naive_not_staged(id, error) : r;
}

static int open_part(const struct driver_staged *s, int dirfd, const char *name, int *ret_fd,
                     cst_error **error)
{
	*ret_fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd >= 0 ? 0 : error_sys(error, errno, "open %s/%s", s->path, name);
}

/* What the directory was made with: its link, and whether there are files about lowers. */
static int read_parts(struct driver_staged *s, cst_error **error)
{
	_cleanup_free_ char *link = NULL;
	struct stat st;
	size_t len = 0, lower_len = 0;
	int r = open_part(s, s->temp->fd, s->name, &s->dir_fd, error);
	if (r == 0)
		r = open_part(s, s->dir_fd, "diff", &s->diff_fd, error);
	if (r == 0)
		r = fs_read_file(s->dir_fd, "link", OVERLAY_LINK_LEN, &link, &len, error);
	if (r == 0 && len != OVERLAY_LINK_LEN)
		r = error_set(error, CST_ECORRUPT, "%s/link has %zu bytes", s->path, len);
	if (r == 0 && fs_exists(s->dir_fd, "lower"))
		r = fs_read_file(s->dir_fd, "lower", SIZE_MAX / 4, &s->lower, &lower_len, error);
	if (r == 0 && fstat(s->dir_fd, &st) < 0)
		r = error_sys(error, errno, "stat %s", s->path);
	if (r < 0)
		return r;
	memcpy(s->link, link, OVERLAY_LINK_LEN + 1);
	s->inode = st.st_ino;
	return 0;
}

int overlay_stage_adopt(struct driver *d, const char *id, struct driver_staged **ret, int *ret_fd,
                        cst_error **error)
{
	struct overlay *o = overlay_of(d);
	_cleanup_close_ int fd = -1;
	struct driver_staged *s = new0(struct driver_staged, 1);
	if (!s)
		return error_oom(error);
	*s = (struct driver_staged){.overlay = o, .name = STAGED_DIR, .dir_fd = -1, .diff_fd = -1};
	int r = find(o, id, s, &fd, error);
	if (r == 0 && !(s->path = path_join3(s->temp->shown, s->temp->name, s->name)))
		r = error_oom(error);
	if (r == 0)
		r = read_parts(s, error);
	if (r < 0) {
		overlay_stage_free(s);
		return r;
	}
	*ret = s;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* ---- recovery ---- */

/* The layer goes back to its place in the temporary directory `dir`, and nobody finds it by its link any more. */
static int give_back(const struct overlay *o, size_t home, enum tempdir_layout layout,
                     const char *dir, const char *id, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_free_ char *to = str_printf("%s/%s/" STAGED_DIR, overlay_area_of(layout), dir);
	char link[OVERLAY_LINK_LEN + 1] = "";
	int r = to ? overlay_dirs_open(o, &dirs, error) : error_oom(error);
	if (r < 0 || fs_exists(dirs.fds[home], to) || !fs_exists(dirs.fds[home], id))
		return r;
	r = overlay_read_link(o, &dirs, home, id, link, error);
	if (r == 0)
		r = overlay_unlink(o, &dirs, home, link, id, error);
	if (r == 0 && sys_renameat(dirs.fds[home], id, dirs.fds[home], to) < 0)
		r = error_sys(error, errno, "rename %s/%s %s", o->homes[home].path, id, to);
	return r == 0 ? overlay_sync_home(o, &dirs, home, NULL, error) : r;
}

static int resolve_in(const struct overlay *o, size_t home, enum tempdir_layout layout,
                      const char *staged_id, const char *id, cst_error **error)
{
	_cleanup_free_ char *root = path_join(o->homes[home].path, overlay_area_of(layout));
	_cleanup_free_ char *dir = NULL;
	int r = root ? tempdir_find_kept(root, layout, staged_id, &dir, error) : error_oom(error);
	if (r < 0 || !dir)
		return r;
	return id ? give_back(o, home, layout, dir, id, error)
	          : tempdir_forget(root, layout, staged_id, error);
}

int overlay_stage_resolve(struct driver *d, const char *staged_id, const char *id,
                          cst_error **error)
{
	const struct overlay *o = overlay_of(d);
	int r = 0;
	for (size_t i = 0; r == 0 && i <= o->read_only_home; i++) {
		for (size_t k = 0; r == 0 && k < ARRAY_SIZE(layouts); k++)
			r = resolve_in(o, i, layouts[k], staged_id, id, error);
	}
	return r;
}
