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
	bool native;    /* `diff` is all that the layer changes; else the two trees are compared */
	bool was_upper; /* written through a mount: whether it is native, decide() finds out */
	cst_error *no_trees; /* why the trees could not be mounted for a layer that may be native */
	int diff_fd;
	int *lowers; /* of the layer, top first; or one: their mount */
	size_t n_lowers;
	struct naive_view trees;       /* the layer and `from`, mounted, unless native */
	int layer_mount, from_mount;   /* the mounts that their descriptors are of */
	struct overlay_detached below; /* the mount of the lowers */
};

void overlay_view_close(struct driver_view *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n_lowers; i++)
		closep(&v->lowers[i]);
	free(v->lowers);
	closep(&v->diff_fd);
	naive_view_close(&v->trees);
	closep(&v->layer_mount);
	closep(&v->from_mount);
	overlay_detached_close(&v->below);
	error_freep(&v->no_trees);
	free(v);
}
DEFINE_CLEANUP(struct driver_view *, overlay_view_close)

/* A read-only mount of these, which are at least one. */
static int mount_lowers(const struct overlay *o, const struct overlay_dirs *dirs,
                        const struct overlay_lowers *lowers, struct overlay_detached *ret,
                        cst_error **error)
{
	_cleanup_mount_options_ struct overlay_mount_options options = {.flags = MS_RDONLY};
	const struct overlay_mount mount = {
	        .dirs = dirs, .lowers = lowers, .upper_fd = -1, .work_fd = -1, .options = &options};
	/* What any mount wrote is read right, whatever the options are today. The kernel has no redirects and no metacopy in
	 * attributes of the user's. */
	int r = overlay_mount_options_add(
	        &options, driver_is_rootless() ? "userxattr" : "metacopy=on,redirect_dir=on",
	        error);

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
		bool missing = !fs_exists(layer_fd, "empty");
		if (missing && (o->read_only || !o->homes[home].writable))
			return error_sys(error, EROFS, "mkdir %s/%s/empty", o->homes[home].path,
			                 id);
		if (missing && sys_mkdirat(layer_fd, "empty", 0700) < 0)
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
		r = overlay_lower_open(v->overlay, dirs, &lowers->items[i], O_RDONLY, &v->lowers[i],
		                       error);
		if (r == 0)
			v->n_lowers++;
	}
	return r;
}

/* Mounts a whole layer; both descriptors are the view's. */
static int mount_tree(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                      int *mount_fd, int *tree_fd, cst_error **error)
{
	struct overlay_detached whole;
	int r = overlay_mount_whole(o, dirs, id, &whole, error);
	if (r < 0)
		return r;
	*mount_fd = whole.mount_fd;
	*tree_fd = whole.root_fd;
	return 0;
}

static int mount_trees(struct driver_view *v, const struct overlay_dirs *dirs, const char *id,
                       const char *from, cst_error **error)
{
	const struct overlay *o = v->overlay;
	int r = mount_tree(o, dirs, id, &v->layer_mount, &v->trees.tree_fd, error);
	if (r == 0 && !isempty(from))
		r = mount_tree(o, dirs, from, &v->from_mount, &v->trees.old_fd, error);
	return r;
}

static int open_view(struct driver_view *v, const char *id, const char *from, cst_error **error)
{
	const struct overlay *o = v->overlay;
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	_cleanup_strv_ struct strv parents = {0};
	size_t home;
	_cleanup_close_ int layer_fd = -1;
	bool is_parent;
	int r;

	r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &home, &layer_fd, error);
	if (r == 0)
		r = overlay_parents(o, &dirs, home, id, &parents, error);
	if (r == 0)
		r = overlay_lowers(o, &dirs, home, id, &parents, false, &lowers, error);
	if (r == 0)
		r = overlay_content_open_at(o, &dirs, home, id, &v->diff_fd, error);
	if (r == 0)
		r = open_lowers(v, &dirs, &lowers, error);
	if (r < 0)
		return r;
	is_parent = parents.len ? !isempty(from) && streq(from, parents.items[0]) : isempty(from);
	/* With older generations of itself below it, `diff` is not all that the layer changes. */
	v->native = o->native_diff && is_parent && !fs_exists(layer_fd, "diff1");
	if (v->native && parents.len)
		r = overlay_may_be_upper(layer_fd, &v->was_upper, error);
	if (r < 0 || (v->native && !v->was_upper))
		return r;
	r = mount_trees(v, &dirs, id, from, v->native ? &v->no_trees : error);
	return v->native ? 0 : r;
}

/* Nothing is locked any more: the layer's own directory may be large. */
static int decide(struct driver_view *v, cst_error **error)
{
	bool points_below = false;
	if (!v->was_upper)
		return 0;
	int r = overlay_points_below(v->diff_fd, &points_below, error);
	if (r < 0)
		return r;
	if (points_below && v->trees.userns)
		return error_set(
		        error, CST_ENOTSUP,
		        "a layer that was mounted with metacopy or redirect_dir cannot be read "
		        "without root");
	if (points_below && v->no_trees)
		return error_propagate(error, steal_ptr(&v->no_trees));
	v->native = !points_below;
	v->was_upper = false;
	return 0;
}

int overlay_view_open(struct driver *d, const char *id, const char *from,
                      const struct driver_view_maps *maps, struct driver_view **ret,
                      cst_error **error)
{
	_cleanup_(overlay_view_closep) struct driver_view *v = new0(struct driver_view, 1);
	int r;

	if (!v)
		return error_oom(error);
	*v = (struct driver_view){.overlay = overlay_of(d),
	                          .diff_fd = -1,
	                          .layer_mount = -1,
	                          .from_mount = -1,
	                          .trees = NAIVE_VIEW_INIT,
	                          .below = {.mount_fd = -1, .root_fd = -1}};
	v->trees.userns = driver_is_rootless();
	r = naive_view_set_maps(&v->trees, maps, error);
	if (r == 0)
		r = open_view(v, id, from, error);
	if (r == 0)
		*ret = steal_ptr(&v);
	return r;
}

static struct pack_options native_options(const struct driver_view *v, const cst_progress *progress)
{
	return (struct pack_options){.maps = &v->trees.maps,
	                             .userns = v->trees.userns,
	                             .lowers = v->lowers,
	                             .n_lowers = v->n_lowers,
	                             .progress = progress};
}

int overlay_view_diff(struct driver_view *v, const cst_sink *sink, const cst_progress *progress,
                      cst_error **error)
{
	const struct pack_options options = native_options(v, progress);
	int r = decide(v, error);
	if (r < 0)
		return r;
	return v->native ? pack_overlay(v->diff_fd, &options, sink, error)
	                 : naive_view_diff(&v->trees, sink, progress, error);
}

int overlay_view_changes(struct driver_view *v, struct cst_changes *ret, cst_error **error)
{
	const struct pack_options options = native_options(v, NULL);
	int r = decide(v, error);
	if (r < 0)
		return r;
	return v->native ? changes_overlay(v->diff_fd, &options, ret, error)
	                 : naive_view_changes(&v->trees, ret, error);
}

int overlay_view_size(struct driver_view *v, int64_t *ret, cst_error **error)
{
	int64_t inodes;
	int r = decide(v, error);
	if (r < 0)
		return r;
	return v->native ? usage_tree(v->diff_fd, ret, &inodes, error)
	                 : naive_view_size(&v->trees, ret, error);
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
	if (fd < 0) {
		(void)error_propagate(error, steal_ptr(&problem));
		return -1;
	}
	return fd;
}
