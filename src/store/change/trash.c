/* SPDX-License-Identifier: Apache-2.0 */
/* Moves files and content out of sight under the locks, and deletes them after the locks. */
#include "store/change/trash.h"
#include "driver/naive.h"
#include "store/core/store.h"
#include <errno.h>

/* ---- the trash ---- */

struct emptying {
	const cst_progress *progress;
	uint64_t done, total;
	bool stopped;
};

static int tell(const struct emptying *emptying, cst_error **error)
{
	const cst_progress_state state = {.size = sizeof(state),
	                                  .what = "delete",
	                                  .entries_done = emptying->done,
	                                  .entries_total = emptying->total};
	return progress_tell(emptying->progress, &state, error);
}

int trash_announce(const struct trash *trash, cst_error **error)
{
	struct emptying emptying = {.progress = trash->progress};
	return tell(&emptying, error);
}

static void note_removed(void *userdata)
{
	struct emptying *emptying = userdata;
	emptying->done++;
	if (!emptying->stopped)
		emptying->stopped = tell(emptying, NULL) < 0;
}

static void empty_with_progress(const struct trash *trash)
{
	struct emptying emptying = {.progress = trash->progress};
	const struct fs_watch watch = {.removed = note_removed, .userdata = &emptying};
	const struct driver_ops *ops = trash->driver ? trash->driver->ops : NULL;
	if (ops)
		emptying.total += ops->trash_count(trash->driver);
	if (trash->metadata)
		emptying.total += naive_tempdir_count(trash->metadata);
	if (ops)
		ops->trash_empty(trash->driver, &watch);
	if (trash->metadata)
		naive_tempdir_empty(trash->metadata, &watch);
}

void trash_free(struct trash *trash)
{
	if (trash->progress && trash->progress->callback)
		empty_with_progress(trash);
	if (trash->driver)
		trash->driver->ops->trash_free(trash->driver);
	tempdir_free(trash->metadata);
	fs_later_free(&trash->left);
	*trash = (struct trash){0};
}

/* ---- what goes into it ---- */

int metadata_stage(cst_store *store, struct tempdir **stage, cst_error **error)
{
	if (*stage)
		return 0;
	int r = layers_need(store, error); /* <drv>-layers, where the staging place is */
	return r < 0 ? r : tempdir_new(store->tmp_dir, TEMPDIR_PAIR, stage, error);
}

/* Moves <dirfd>/<name> into the trash, if it is there. */
static int discard(cst_store *store, int dirfd, const char *name, struct trash *trash,
                   cst_error **error)
{
	if (!fs_exists(dirfd, name))
		return 0;
	int r = layers_need(store, error); /* <drv>-layers, where the trash is */
	if (r == 0 && !trash->metadata)
		r = tempdir_new_for_trash(store->tmp_dir, TEMPDIR_PAIR, &trash->metadata, error);
	if (r == 0)
		r = tempdir_take(trash->metadata, dirfd, name, error);
	return r == 0 ? fs_fsync_later(&trash->left, dirfd, name, error) : r;
}

int layer_remove_metadata(cst_store *store, const char *id, struct trash *trash, cst_error **error)
{
	const struct set *layers = &store->sets.layers;
	_cleanup_free_ char *tarsplit = str_join(id, ".tar-split.gz");
	if (!tarsplit)
		return error_oom(error);
	int r = discard(store, layers->fd, tarsplit, trash, error);
	return r == 0 ? discard(store, layers->fd, id, trash, error) : r;
}

/* Something else has the name of a directory, or of one above it: there is nothing of ours in it, and it must not keep an item
 * from being deleted, or the store from being recovered. */
static int remove_in_place_of_directory(const char *path, cst_error **error)
{
	if (sys_unlinkat(AT_FDCWD, path, 0) < 0 && errno != ENOENT && errno != ENOTDIR)
		return error_sys(error, errno, "remove %s", path);
	return 0;
}

/* <root>/<drv>-images/<id>/userdata; its directory stays if something else is in it: in a split
 * store, the data of an image from before. */
int image_remove_userdata(cst_store *store, const char *root, const char *id, cst_error **error)
{
	_cleanup_free_ char *path =
	        str_printf("%s/%s-images/%s", root, store->driver->ops->name, id);
	if (!path)
		return error_oom(error);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return remove_in_place_of_directory(path, error);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "open %s", path);
	int r = fs_remove_tree(fd, USERDATA, NULL, error);
	if (r == 0 && sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR) < 0 && errno != ENOENT &&
	    errno != ENOTEMPTY && errno != EEXIST)
		r = error_sys(error, errno, "rmdir %s", path);
	return r;
}

/* The private directories are below the roots. Those of containers are in directories that the set
 * has open anyway. That in the run directory is on another file system: it is small and goes at
 * once. */
static int remove_private_directories(cst_store *store, const struct set *set, const char *id,
                                      cst_error **error)
{
	if (set->run_fd >= 0)
		return fs_remove_tree(set->run_fd, id, NULL, error);
	int r = 0;
	if (!isempty(store->image_store))
		r = image_remove_userdata(store, store->graph_root, id, error);
	return r == 0 ? image_remove_userdata(store, store->run_root, id, error) : r;
}

int item_remove_files(cst_store *store, enum cst_kind kind, const char *id, const char *note,
                      struct trash *trash, cst_error **error)
{
	const struct set *set = set_of(store, kind);
	if (set->kind->in_driver) {
		int r = store->driver->ops->remove(store->driver, id, isempty(note) ? NULL : note,
		                                   &trash->driver, &trash->left, error);
		return r == 0 ? layer_remove_metadata(store, id, trash, error) : r;
	}
	int r = discard(store, set->fd, id, trash, error);
	return r == 0 ? remove_private_directories(store, set, id, error) : r;
}
