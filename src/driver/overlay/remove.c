/* SPDX-License-Identifier: Apache-2.0 */
/* Takes layers away: renames move them out of sight, under the store's lock. Their files are removed later, without it
 * (tempdir_free()). */
#include "base/fs.h"
#include "base/log.h"
#include "driver/backing.h"
#include "driver/overlay/overlay.h"
#include "driver/quota.h"
#include <errno.h>
#include <unistd.h>

int overlay_trash_take(int home_fd, int dirfd, const char *name, struct tempdir *trash,
                       cst_error **error)
{
	if (!trash)
		return fs_remove_tree(dirfd, name, NULL, error);
	_cleanup_free_ char *to = str_printf("%s/%s/%u-%s", overlay_area_of(trash->layout),
	                                     trash->name, trash->counter, name);

	if (!to)
		return error_oom(error);
	if (sys_renameat(dirfd, name, home_fd, to) == 0) {
		trash->counter++;
		return 0;
	}
	if (errno_is_full(errno))
		return fs_remove_tree(dirfd, name, NULL, error);
	return errno == ENOENT && !fs_exists(dirfd, name)
	               ? 0
	               : error_sys(error, errno, "rename %s %s", name, to);
}

static int unmount_below(int layer_fd, const char *layer_path, const char *dir, cst_error **error)
{
	_cleanup_close_ int fd =
	        openat(layer_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_strv_ struct strv names = {0};

	if (fd < 0)
		return 0;
	int r = fs_list_dir(fd, ".", &names, layer_path, error);
	for (size_t i = 0; r == 0 && i < names.len; i++) {
		_cleanup_free_ char *path = str_printf("%s/%s/%s", layer_path, dir, names.items[i]);

		r = path ? overlay_unmount(fd, names.items[i], path, error) : error_oom(error);
	}
	return r;
}

/* Unmounts `merged`, and what the Go tools mount for a moment. A layer of another home has its mount point in the run home. */
static int unmount_layer(const struct overlay *o, size_t home, const char *id, int layer_fd,
                         cst_error **error)
{
	_cleanup_free_ char *path = path_join(o->homes[home].path, id),
	                    *merged = overlay_merged_path(o, home, id);

	if (!path || !merged)
		return error_oom(error);
	int r = home == 0 ? overlay_unmount(layer_fd, "merged", merged, error)
	                  : overlay_unmount(AT_FDCWD, merged, merged, error);
	if (r == 0)
		r = unmount_below(layer_fd, path, "mapped", error);
	if (r == 0)
		r = unmount_below(layer_fd, path, "composefs-layers", error);
	if (r == 0 && home != 0) {
		(void)sys_unlinkat(AT_FDCWD, merged, AT_REMOVEDIR);
		merged[strlen(merged) - strlen("/merged")] = '\0';
		(void)sys_unlinkat(AT_FDCWD, merged, AT_REMOVEDIR);
	}
	return r;
}

static void release_quota(const struct overlay *o, size_t home, int layer_fd)
{
	if (home != 0 || (o->magic != BACKING_XFS && o->magic != BACKING_EXT4))
		return;
	_cleanup_close_ int fd = openat(layer_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		quota_release(o->base.home, fd);
}

/* The link goes first. If this process dies then, making the link again makes the layer whole; a link without its directory
 * would belong to nothing. */
int overlay_discard(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, struct tempdir *trash, cst_error **error)
{
	_cleanup_close_ int fd =
	        openat(dirs->fds[home], id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char link[OVERLAY_LINK_LEN + 1] = "";
	int r = 0;

	if (fd >= 0) {
		r = unmount_layer(o, home, id, fd, error);
		if (r == 0)
			release_quota(o, home, fd);
		if (r == 0 && overlay_read_link(o, dirs, home, id, link, NULL) < 0)
			link[0] = '\0';
	} else if (errno == ENOENT) {
		return 0;
	}
	if (r == 0 && *link)
		r = overlay_unlink(o, dirs, home, link, id, error);
	if (r < 0)
		return r;
	r = overlay_trash_take(dirs->fds[home], dirs->fds[home], id, trash, error);
	if (r < 0 && *link && overlay_make_link(o, dirs, home, link, id, NULL) < 0)
		log_warning("the link l/%s of layer \"%s\" is lost", link, id);
	return r;
}

/* Moves the file that names a directory of an additional layer store into the trash, where it says that the store is to be told.
 * *ret: where it is; NULL: there is no room for it. */
static int take_pointer(const struct overlay_dirs *dirs, size_t home, const char *id,
                        struct tempdir *area, char **ret, cst_error **error)
{
	_cleanup_close_ int fd =
	        openat(dirs->fds[home], id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_free_ char *to =
	        area ? str_printf("%u-" OVERLAY_POINTER, area->counter) : strdup("");
	if (!to)
		return error_oom(error);
	if (!area || fd < 0)
		return 0;
	if (sys_renameat(fd, OVERLAY_POINTER, area->fd, to) == 0) {
		area->counter++;
		*ret = steal_ptr(&to);
		return 0;
	}
	return errno_is_full(errno) ? 0 : error_sys(error, errno, "rename %s/" OVERLAY_POINTER, id);
}

static void give_pointer_back(const struct overlay_dirs *dirs, size_t home, const char *id,
                              const struct tempdir *area, const char *name)
{
	_cleanup_free_ char *to = path_join(id, OVERLAY_POINTER);
	if (!to || sys_renameat(area->fd, name, dirs->fds[home], to) < 0)
		log_warning("the file " OVERLAY_POINTER " of layer \"%s\" is lost", id);
}

static int remove_from(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                       const char *id, struct driver_trash **trash, cst_error **error)
{
	_cleanup_free_ char *root = overlay_staging_path(o, home);
	struct tempdir *area = NULL;
	if (!root)
		return error_oom(error);
	int r = naive_trash_in(o->base.ops, root, TEMPDIR_STAGING, trash, &area, error);
	_cleanup_free_ char *foreign = NULL, *pointer = NULL;
	if (r == 0) /* what cannot be read is not told of */
		(void)overlay_foreign_path(o, dirs, home, id, &foreign, NULL);
	if (r == 0 && foreign)
		r = take_pointer(dirs, home, id, area, &pointer, error);
	if (r == 0)
		r = overlay_discard(o, dirs, home, id, area, error);
	if (r < 0 && pointer)
		give_pointer_back(dirs, home, id, area, pointer);
	if (r == 0 && foreign && !pointer &&
	    !strv_take(naive_trash_notes(*trash), steal_ptr(&foreign)))
		r = error_oom(error);
	return r;
}

/* The additional layer stores are told before anything is removed, which may take long. The notes are of layers that were removed
 * at once, since the disk was full. */
static void tell_stores(struct driver_trash *trash)
{
	struct strv *notes = naive_trash_notes(trash);
	bool hangs = false;
	strv_foreach (path, notes)
		overlay_foreign_release(path, &hangs);
	strv_free(notes);
	naive_trash_visit(trash, overlay_foreign_settle, &hangs);
}

void overlay_trash_empty(struct driver_trash *trash, const struct fs_watch *watch)
{
	tell_stores(trash);
	naive_trash_empty(trash, watch);
}

void overlay_trash_free(struct driver_trash *trash)
{
	if (trash)
		tell_stores(trash);
	naive_trash_free(trash);
}

int overlay_remove(struct driver *d, const char *id, const char *note, struct driver_trash **trash,
                   struct fs_later *later, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	struct overlay *o = overlay_of(d);

	if (!overlay_id_ok(id))
		return 0; /* no layer of ours has such an ID */
	int r = overlay_dirs_open(o, &dirs, error);
	for (size_t home = 0; r == 0 && home <= o->read_only_home; home++) {
		bool changed = false;

		if (dirs.fds[home] < 0)
			continue;
		if (!isempty(note)) {
			r = overlay_unlink(o, &dirs, home, note, id, error);
			changed = true;
		}
		if (r == 0 && fs_exists(dirs.fds[home], id)) {
			r = remove_from(o, &dirs, home, id, trash, error);
			changed = true;
		}
		if (r == 0 && changed)
			r = overlay_sync_home(o, &dirs, home, later, error);
	}
	return r;
}
