/* SPDX-License-Identifier: Apache-2.0 */
/* Turns a staged layer into one that is there. It is made durable first; then one rename makes it visible, or one exchange puts
 * its content in the place of an existing layer's. */
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

	/* A staged copy of content alone (overlay_stage_copy) has no link and none of these files. */
	for (size_t i = 0; *s->link && i < (s->lower ? 3 : 1); i++) {
		fds[i] = openat(s->dir_fd, names[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fds[i] < 0)
			return error_sys(error, errno, "open %s/%s", s->path, names[i]);
		/* Writing is started for all before this process waits for one, so that the filesystem commits its journal once. */
		(void)sys_sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	return 0;
}

static int sync_parts(const struct driver_staged *staged, cst_error **error)
{
	int fds[3] = {-1, -1, -1};
	int r = open_small_files(staged, fds, error);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (r == 0 && fds[i] >= 0 && sys_fsync(fds[i]) < 0)
			r = error_sys(error, errno, "fsync the files of %s", staged->path);
		closep(&fds[i]);
	}
	if (r == 0 && staged->foreign)
		r = fs_fsync_path(staged->dir_fd, OVERLAY_POINTER, staged->path, error);
	else if (r == 0)
		r = fs_fsync_dir(staged->diff_fd, staged->path, error);
	return r < 0 || staged->dir_fd < 0 ? r : fs_fsync_dir(staged->dir_fd, staged->path, error);
}

int overlay_stage_sync(struct driver_staged *staged, cst_error **error)
{
	bool later = staged->of_image && staged->overlay->base.sync_content;
	int r = later ? 0 : sync_parts(staged, error);
	if (staged->of_image) {
		closep(&staged->diff_fd);
		closep(&staged->dir_fd);
		staged->diff_fd = staged->dir_fd = -1;
	}
	return r;
}

/* ---- committing ---- */

/* The path of a name in the staging directory, from the home on. */
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
	_cleanup_free_ char *lock = staged_lock(s), *dir = staged_name(s, s->name);
	_cleanup_free_ char *holder = lock ? path_join(lock, KEPT_HOLDER) : NULL;
	struct stat dir_now;

	if (!holder || !dir)
		return error_oom(error);
	if ((fs_names_file(home_fd, lock, s->temp->lock_fd) ||
	     fs_names_file(home_fd, holder, s->temp->lock_fd)) &&
	    fstatat(home_fd, dir, &dir_now, AT_SYMLINK_NOFOLLOW) == 0 && s->inode == dir_now.st_ino)
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
	_cleanup_free_ char *from = staged_name(s, s->name);
	int home_fd = dirs->fds[s->home], r;

	if (!from)
		return error_oom(error);
	if (sys_renameat2(home_fd, from, home_fd, id, RENAME_NOREPLACE) < 0 &&
	    (errno != EINVAL || sys_renameat(home_fd, from, home_fd, id) < 0))
		return error_sys(error, errno, "rename %s %s/%s", s->path, o->homes[s->home].path,
		                 id);
	r = overlay_make_link(o, dirs, s->home, s->link, id, error);
	if (r == 0 && durable)
		r = overlay_sync_home(o, dirs, s->home, NULL, error);
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
	int r = check_id(id, error);
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
	if (r == 0)
		r = overlay_stage_foreign_commit(staged, error);
	if (r == 0)
		r = appear(staged, &dirs, id, durable, error);
	staged->has_project = staged->has_project && r < 0;
	if (r == 0 || fs_exists(dirs.fds[staged->home], id)) /* the layer is the user of it now */
		free(steal_ptr(&staged->foreign));
	return r;
}

/* ---- replacing content ---- */

/*
 * A filesystem that cannot exchange two names needs four renames. From the first to the last, both contents are in the layer's
 * directory; so if this process dies between two of them, their names tell the next process how far it came:
 *
 *     diff, NEW          the new content has arrived: it is taken away again
 *     OLD, NEW           the layer has no content: the old one goes back
 *     OLD, diff          the new content is in place: the old one is taken away
 */
#define NEW_CONTENT "replace-new"
#define OLD_CONTENT "replace-old"

static int move(int from_fd, const char *from, int to_fd, const char *to, const char *shown,
                cst_error **error)
{
	if (sys_renameat(from_fd, from, to_fd, to) == 0)
		return 0;
	return error_sys(error, errno, "rename %s %s in %s", from, to, shown);
}

static int swap_by_steps(const struct driver_staged *s, int home_fd, const char *staged,
                         int layer_fd, cst_error **error)
{
	int r = move(home_fd, staged, layer_fd, NEW_CONTENT, s->path, error);
	if (r == 0 && fs_exists(layer_fd, "diff"))
		r = move(layer_fd, "diff", layer_fd, OLD_CONTENT, s->path, error);
	if (r == 0)
		r = move(layer_fd, NEW_CONTENT, layer_fd, "diff", s->path, error);
	return r == 0 ? overlay_trash_take(home_fd, layer_fd, OLD_CONTENT, s->temp, error) : r;
}

/* Exchanges the old content and the new one, in one step if the filesystem can do that. */
static int swap(const struct driver_staged *s, int home_fd, const char *staged, int layer_fd,
                cst_error **error)
{
	if (sys_renameat2(home_fd, staged, layer_fd, "diff", RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != ENOENT)
		return error_sys(error, errno, "rename %s diff", staged);
	return swap_by_steps(s, home_fd, staged, layer_fd, error);
}

/* Undoes or finishes the four renames, as the table above says. */
static int settle_swap(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                       int layer_fd, struct driver_trash **trash, cst_error **error)
{
	_cleanup_free_ char *root = overlay_staging_path(o, home);
	const char *shown = o->homes[home].path;
	bool has_new = fs_exists(layer_fd, NEW_CONTENT), has_old = fs_exists(layer_fd, OLD_CONTENT);
	struct tempdir *area = NULL;
	int r = 0;

	if (!root)
		return error_oom(error);
	if (!has_new && !has_old)
		return 0;
	if (has_old && !fs_exists(layer_fd, "diff"))
		r = move(layer_fd, OLD_CONTENT, layer_fd, "diff", shown, error);
	if (r == 0)
		r = naive_trash_in(o->base.ops, root, TEMPDIR_STAGING, trash, &area, error);
	if (r == 0)
		r = overlay_trash_take(dirs->fds[home], layer_fd, NEW_CONTENT, area, error);
	return r == 0 ? overlay_trash_take(dirs->fds[home], layer_fd, OLD_CONTENT, area, error) : r;
}

int overlay_replace_recover(struct driver *d, const char *id, struct driver_trash **trash,
                            cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_close_ int layer_fd = -1;
	const struct overlay *o = overlay_of(d);
	ssize_t home = -1;
	size_t at = 0;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_find(o, &dirs, id, &home, error);
	if (r < 0 || home < 0)
		return r;
	r = overlay_layer_open(o, &dirs, id, &at, &layer_fd, error);
	if (r == 0)
		r = settle_swap(o, &dirs, at, layer_fd, trash, error);
	return r == 0 ? fs_fsync_path(dirs.fds[at], id, id, error) : r;
}

/* Gives the new directory the owner and the mode of the old one. */
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

/* The new image of a layer that is one takes the place of the old, before the objects do: it needs none that were not there, so a
 * process that dies in between leaves a layer that is no worse than it was. */
static int replace_image(const struct driver_staged *s, int layer_fd, const char *id,
                         cst_error **error)
{
	if (sys_renameat(s->dir_fd, OVERLAY_BLOB, layer_fd, OVERLAY_BLOB) < 0)
		return error_sys(error, errno, "rename %s/" OVERLAY_BLOB, s->path);
	return fs_fsync_path(layer_fd, "composefs-data", id, error);
}

int overlay_stage_replace(struct driver_staged *staged, const char *id, bool durable,
                          cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_free_ char *diff = staged_name(staged, STAGED_DIR "/diff");
	_cleanup_close_ int layer_fd = -1;
	struct overlay *o = staged->overlay;
	size_t home;

	if (!diff)
		return error_oom(error);
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &home, &layer_fd, error);
	if (r < 0)
		return r;
	if (home != staged->home)
		return error_sys(error, EXDEV, "replacing the content of %s/%s",
		                 o->homes[home].path, id);
	bool image =
	        fs_exists(staged->dir_fd, OVERLAY_BLOB) && fs_exists(layer_fd, "composefs-data");
	if (!image) /* what a layer holds as a directory cannot take the place of both in one step */
		r = overlay_must_be_directory(o, &dirs, home, id, error);
	if (r == 0)
		r = check_untouched(staged, dirs.fds[home], error);
	if (r == 0 &&
	    !*staged->link) /* a copy of what the layer has; else the directory was made as for a new layer */
		r = copy_attributes(staged, layer_fd, error);
	if (r == 0 && image)
		r = replace_image(staged, layer_fd, id, error);
	if (r == 0)
		r = swap(staged, dirs.fds[home], diff, layer_fd, error);
	if (r == 0 && durable)
		r = fs_fsync_path(dirs.fds[home], id, id, error);
	return r == 0 ? 0 : error_prefix(error, r, "replacing the content of layer \"%s\"", id);
}
