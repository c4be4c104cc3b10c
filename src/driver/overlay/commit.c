/* SPDX-License-Identifier: Apache-2.0 */
/* From a staged layer to one that is there: durable, then visible by one rename, or by one exchange with the old content. */
#include "base/fs.h"
#include "base/log.h"
#include "driver/overlay/staged.h"
#include <errno.h>
#include <linux/fs.h>
#include <unistd.h>

/* ---- making it durable ---- */

static int open_small_files(const struct driver_staged *s, int fds[3], cst_error **error)
{
	static const char *const names[] = {"link", "lower", "lower-layers"};

	/* A copy of content alone (overlay_stage_copy) has none, nor a link. */
	for (size_t i = 0; *s->link && i < (s->has_parent ? 3 : 1); i++) {
		fds[i] = openat(s->dir_fd, names[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fds[i] < 0)
			return error_sys(error, errno, "open %s/%s", s->path, names[i]);
		/* Started for all before one is waited for: then a single journal commit serves
		 * them. */
		(void)sys_sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	return 0;
}

int overlay_stage_sync(struct driver_staged *staged, cst_error **error)
{
	int fds[3] = {-1, -1, -1};
	int r;

	r = open_small_files(staged, fds, error);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (r == 0 && fds[i] >= 0 && sys_fsync(fds[i]) < 0)
			r = error_sys(error, errno, "fsync the files of %s", staged->path);
		closep(&fds[i]);
	}
	if (r == 0)
		r = fs_fsync_dir(staged->diff_fd, staged->path, error);
	return r < 0 || staged->dir_fd < 0 ? r : fs_fsync_dir(staged->dir_fd, staged->path, error);
}

/* ---- committing ---- */

/* As seen from the home as it is mounted now. */
static char *staged_name(const struct driver_staged *s, const char *name)
{
	return str_printf("%s/%s/%s", overlay_area_of(s->temp->layout), s->temp->name, name);
}

static char *staged_lock(const struct driver_staged *s)
{
	return s->temp->layout == TEMPDIR_PAIR ? path_join(OVERLAY_TEMP_DIR, s->temp->lock_name)
	                                       : staged_name(s, STAGING_LOCK);
}

static int check_untouched(const struct driver_staged *s, int home_fd, cst_error **error)
{
	_cleanup_free_ char *lock = staged_lock(s), *dir = staged_name(s, STAGED_DIR);
	struct stat held, now, dir_held, dir_now;

	if (!lock || !dir)
		return error_oom(error);
	if (fstat(s->temp->lock_fd, &held) == 0 &&
	    fstatat(home_fd, lock, &now, AT_SYMLINK_NOFOLLOW) == 0 && held.st_dev == now.st_dev &&
	    held.st_ino == now.st_ino && fstat(s->dir_fd, &dir_held) == 0 &&
	    fstatat(home_fd, dir, &dir_now, AT_SYMLINK_NOFOLLOW) == 0 &&
	    dir_held.st_ino == dir_now.st_ino)
		return 0;
	return error_sys(error, ENOENT,
	                 "%s was removed by another program while the layer was made", s->path);
}

static int check_id(const char *id, cst_error **error)
{
	if (overlay_id_ok(id))
		return 0;
	return error_set(error, CST_EINVAL, "\"%s\" cannot be the ID of a layer", id);
}

static int appear(struct driver_staged *s, const struct overlay_dirs *dirs, const char *id,
                  bool durable, cst_error **error)
{
	const struct overlay *o = s->overlay;
	_cleanup_free_ char *from = staged_name(s, STAGED_DIR);
	int home_fd = dirs->fds[s->home], r;

	if (!from)
		return error_oom(error);
	if (sys_renameat2(home_fd, from, home_fd, id, RENAME_NOREPLACE) < 0 &&
	    (errno != EINVAL || sys_renameat(home_fd, from, home_fd, id) < 0))
		return error_sys(error, errno, "rename %s %s/%s", s->path, o->homes[s->home].path,
		                 id);
	r = overlay_make_link(o, dirs, s->home, s->link, id, error);
	if (r == 0 && durable)
		r = overlay_sync_home(o, dirs, s->home, error);
	if (r == 0)
		return 0;
	if (overlay_unlink(o, dirs, s->home, s->link, id, NULL) < 0 ||
	    sys_renameat(home_fd, id, home_fd, from) < 0)
		log_warning("%s/%s could not be taken back", o->homes[s->home].path, id);
	return r;
}

int overlay_stage_commit(struct driver_staged *staged, const char *id, bool durable,
                         cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	struct overlay *o = staged->overlay;
	int r;

	r = check_id(id, error);
	if (r == 0)
		r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = check_untouched(staged, dirs.fds[staged->home], error);
	if (r < 0)
		return r;
	if (fs_exists(dirs.fds[staged->home], id)) {
		log_warning("layer \"%s\" is made while the directory \"%s/%s\" already exists; "
		            "removing it first",
		            id, o->homes[staged->home].path, id);
		r = overlay_discard(o, &dirs, staged->home, id, staged->temp, error);
	}
	return r < 0 ? r : appear(staged, &dirs, id, durable, error);
}

/* ---- replacing content ---- */

/* Old and new change places, at once where the filesystem can do that. */
static int swap(int home_fd, const char *staged, int layer_fd, struct tempdir *temp,
                cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int errnum, r;

	if (sys_renameat2(home_fd, staged, layer_fd, "diff", RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != ENOENT)
		return error_sys(error, errno, "rename %s diff", staged);
	if (sys_mkdirat(temp->fd, "old", 0700) < 0 && errno != EEXIST)
		return error_sys(error, errno, "mkdir old");
	_cleanup_free_ char *old =
	        str_printf("%s/%s/old/diff", overlay_area_of(temp->layout), temp->name);
	if (!old)
		return error_oom(error);
	r = sys_renameat(layer_fd, "diff", home_fd, old);
	if (r < 0 && errno != ENOENT)
		return error_sys(error, errno, "rename diff %s", old);
	if (sys_renameat(home_fd, staged, layer_fd, "diff") == 0)
		return 0;
	errnum = errno;
	if (r == 0 && sys_renameat(home_fd, old, layer_fd, "diff") < 0)
		log_error("the content of a layer stays in %s", old);
	return error_sys(error, errnum, "rename %s diff", staged);
}

/* The new directory becomes what the old one was. */
static int copy_attributes(const struct driver_staged *s, int layer_fd, cst_error **error)
{
	struct stat st;

	if (fstatat(layer_fd, "diff", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "stat diff");
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (sys_fchown(s->diff_fd, st.st_uid, st.st_gid) < 0 ||
	    sys_fchmod(s->diff_fd, st.st_mode & 07777) < 0)
		return error_sys(error, errno, "chown %s/diff", s->path);
	return 0;
}

int overlay_stage_replace(struct driver_staged *staged, const char *id, bool durable,
                          cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_free_ char *diff = staged_name(staged, STAGED_DIR "/diff");
	_cleanup_close_ int layer_fd = -1;
	struct overlay *o = staged->overlay;
	size_t home;
	int r;

	if (!diff)
		return error_oom(error);
	r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &home, &layer_fd, error);
	if (r < 0)
		return r;
	if (home != staged->home)
		return error_sys(error, EXDEV, "replacing the content of %s/%s",
		                 o->homes[home].path, id);
	r = check_untouched(staged, dirs.fds[home], error);
	if (r == 0)
		r = copy_attributes(staged, layer_fd, error);
	if (r == 0)
		r = swap(dirs.fds[home], diff, layer_fd, staged->temp, error);
	return r == 0 && durable ? fs_fsync_path(dirs.fds[home], id, id, error) : r;
}
