/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a layer. Natively: its own directory holds exactly what it changes. Otherwise both layers
 * are mounted, read-only and nowhere attached, and compared. All is opened at once, under the
 * store's lock; what follows needs none (docs/format/drivers.md, "Whiteouts, Diff, Changes").
 */
#include "base/fs.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

#define MAX_LOWER_FDS 16 /* more lowers are held as one mount, to spare descriptors */

struct driver_view {
	struct overlay *overlay;
	bool native;
	struct idmaps maps, from_maps; /* borrowed ranges copied: the caller's may go */
	int diff_fd;
	int *lowers; /* of the layer, top first; or one: their mount */
	size_t n_lowers;
	struct overlay_detached merged, parent, below; /* the layer, `from`, the lowers */
};

void overlay_view_close(struct driver_view *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n_lowers; i++)
		closep(&v->lowers[i]);
	free(v->lowers);
	closep(&v->diff_fd);
	overlay_detached_close(&v->merged);
	overlay_detached_close(&v->parent);
	overlay_detached_close(&v->below);
	idmaps_free(&v->maps);
	idmaps_free(&v->from_maps);
	free(v);
}
DEFINE_CLEANUP(struct driver_view *, overlay_view_close)

static int open_lower_at(const struct overlay *o, const struct overlay_dirs *dirs,
                         const struct overlay_lower *lower, int *ret_fd, cst_error **error)
{
	_cleanup_free_ char *shown = NULL;

	*ret_fd = openat(dirs->fds[lower->home], lower->path,
	                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	int errnum = errno;
	shown = overlay_lower_shown(o, lower);
	return error_sys(error, errnum, "open %s", strempty(shown));
}

/* A read-only mount of these, which are at least one. */
static int mount_lowers(const struct overlay *o, const struct overlay_dirs *dirs,
                        const struct overlay_lowers *lowers, struct overlay_detached *ret,
                        cst_error **error)
{
	_cleanup_mount_options_ struct overlay_mount_options options = {.flags = MS_RDONLY};
	const struct overlay_mount mount = {
	        .dirs = dirs, .lowers = lowers, .upper_fd = -1, .work_fd = -1, .options = &options};
	int r = driver_is_rootless() ? overlay_mount_options_add(&options, "userxattr", error) : 0;

	if (r == 0 && lowers->len > OVERLAY_MAX_LOWERS)
		r = error_set(error, CST_EINVAL, "max depth exceeded");
	return r < 0 ? r : overlay_mount_detached(o, &mount, ret, error);
}

/* One directory alone is no overlay: it comes with its `empty`. */
int overlay_mount_whole(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                        struct overlay_detached *ret, cst_error **error)
{
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	_cleanup_strv_ struct strv parents = {0};
	_cleanup_close_ int layer_fd = -1;
	size_t home;
	int r;

	r = overlay_layer_open(o, dirs, id, &home, &layer_fd, error);
	if (r == 0)
		r = overlay_parents(o, dirs, home, id, &parents, error);
	if (r == 0)
		r = overlay_lowers(o, dirs, home, id, &parents, true, &lowers, error);
	if (r < 0)
		return r;
	if (lowers.len == 1) {
		if (!fs_exists(layer_fd, "empty") && sys_mkdirat(layer_fd, "empty", 0700) < 0)
			return error_sys(error, errno, "mkdir %s/%s/empty", o->homes[home].path,
			                 id);
		r = overlay_lowers_add(&lowers, home, id, "empty", error);
	}
	return r < 0 ? r : mount_lowers(o, dirs, &lowers, ret, error);
}

static int open_lowers(struct driver_view *v, const struct overlay_dirs *dirs,
                       const struct overlay_lowers *lowers, cst_error **error)
{
	int r = 0;

	v->lowers = new0(int, MAX_LOWER_FDS);
	if (!v->lowers)
		return error_oom(error);
	if (lowers->len > MAX_LOWER_FDS) {
		r = mount_lowers(v->overlay, dirs, lowers, &v->below, error);
		if (r == 0)
			v->lowers[v->n_lowers++] = steal_fd(&v->below.root_fd);
		return r;
	}
	for (size_t i = 0; r == 0 && i < lowers->len; i++) {
		r = open_lower_at(v->overlay, dirs, &lowers->items[i], &v->lowers[i], error);
		if (r == 0)
			v->n_lowers++;
	}
	return r;
}

static int open_view(struct driver_view *v, const char *id, const char *from, cst_error **error)
{
	const struct overlay *o = v->overlay;
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	_cleanup_strv_ struct strv parents = {0};
	struct overlay_lower own = {0};
	_cleanup_close_ int layer_fd = -1;
	_cleanup_free_ char *diff = path_join(id, "diff");
	bool is_parent;
	int r;

	if (!diff)
		return error_oom(error);
	r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &own.home, &layer_fd, error);
	if (r == 0)
		r = overlay_parents(o, &dirs, own.home, id, &parents, error);
	if (r == 0)
		r = overlay_lowers(o, &dirs, own.home, id, &parents, false, &lowers, error);
	own.path = diff;
	if (r == 0)
		r = open_lower_at(o, &dirs, &own, &v->diff_fd, error);
	if (r == 0)
		r = open_lowers(v, &dirs, &lowers, error);
	if (r < 0)
		return r;
	is_parent = parents.len ? !isempty(from) && streq(from, parents.items[0]) : isempty(from);
	/* With older generations of itself below it, `diff` is not all that the layer changes. */
	v->native = o->native_diff && is_parent && !fs_exists(layer_fd, "diff1");
	if (v->native)
		return 0;
	r = overlay_mount_whole(o, &dirs, id, &v->merged, error);
	if (r == 0 && !isempty(from))
		r = overlay_mount_whole(o, &dirs, from, &v->parent, error);
	return r;
}

static bool copy_maps(const struct idmaps *from, struct idmaps *to)
{
	return !from || (idmap_copy(&to->uids, from->uids.ranges, from->uids.len) &&
	                 idmap_copy(&to->gids, from->gids.ranges, from->gids.len));
}

int overlay_view_open(struct driver *d, const char *id, const char *from,
                      const struct driver_view_maps *maps, struct driver_view **ret,
                      cst_error **error)
{
	_cleanup_(overlay_view_closep) struct driver_view *v = new0(struct driver_view, 1);
	const struct overlay_detached none = {.mount_fd = -1, .root_fd = -1};
	int r;

	if (!v)
		return error_oom(error);
	*v = (struct driver_view){.overlay = overlay_of(d),
	                          .diff_fd = -1,
	                          .merged = none,
	                          .parent = none,
	                          .below = none};
	if (maps &&
	    (!copy_maps(maps->maps, &v->maps) || !copy_maps(maps->from_maps, &v->from_maps)))
		return error_oom(error);
	r = open_view(v, id, from, error);
	if (r == 0)
		*ret = steal_ptr(&v);
	return r;
}

static struct pack_options pack_options(const struct driver_view *v, const cst_progress *progress)
{
	return (struct pack_options){.maps = &v->maps,
	                             .old_maps = &v->from_maps,
	                             .userns = driver_is_rootless(),
	                             .lowers = v->lowers,
	                             .n_lowers = v->n_lowers,
	                             .progress = progress};
}

int overlay_view_diff(struct driver_view *v, const cst_sink *sink, const cst_progress *progress,
                      cst_error **error)
{
	const struct pack_options options = pack_options(v, progress);
	_cleanup_changes_ struct cst_changes changes = {0};
	int r;

	if (v->native)
		return pack_overlay(v->diff_fd, &options, sink, error);
	if (v->parent.root_fd < 0)
		return pack_tree(v->merged.root_fd, &options, sink, error);
	r = changes_trees(v->parent.root_fd, v->merged.root_fd, &options, &changes, error);
	return r < 0 ? r : pack_changes(v->merged.root_fd, &changes, &options, sink, error);
}

int overlay_view_changes(struct driver_view *v, struct cst_changes *ret, cst_error **error)
{
	const struct pack_options options = pack_options(v, NULL);

	if (v->native)
		return changes_overlay(v->diff_fd, &options, ret, error);
	return changes_trees(v->parent.root_fd, v->merged.root_fd, &options, ret, error);
}

int overlay_view_size(struct driver_view *v, int64_t *ret, cst_error **error)
{
	_cleanup_changes_ struct cst_changes changes = {0};
	int64_t inodes;
	int r;

	if (v->native)
		return usage_tree(v->diff_fd, ret, &inodes, error);
	r = overlay_view_changes(v, &changes, error);
	return r < 0 ? r : changes_size(v->merged.root_fd, &changes, ret, error);
}

int overlay_view_open_content(struct driver_view *v, const char *name, int64_t size,
                              cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int fd = unpack_open_content(v->diff_fd, name, size, &problem);

	for (size_t i = 0; fd < 0 && cst_error_errno(problem) == ENOENT && i < v->n_lowers; i++) {
		cst_error *next = NULL;

		fd = unpack_open_content(v->lowers[i], name, size, &next);
		if (fd < 0) {
			cst_error_free(problem);
			problem = next;
		}
	}
	if (fd < 0)
		return error_propagate(error, steal_ptr(&problem)), -1;
	return fd;
}
