/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a layer, in one of two ways (docs/format/drivers.md, "Whiteouts, Diff, Changes"). Natively: the layer's own directory has
 * exactly what the layer changes. Otherwise both layers are mounted, read-only and attached nowhere, and compared. The caller
 * holds the store's lock only while the view is opened, so every directory is opened then. Later, without the lock, decide()
 * finds out which way is right and makes the mounts from the descriptors; so a directory that takes the place of another
 * meanwhile is not read.
 */
#include "base/fs.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

#define MAX_HELD \
	16 /* more lowers than these are mounted when the view is opened, to spare descriptors */

/* Directories on top of each other: each of them opened, or all of them mounted. */
struct stack {
	struct overlay_lowers lowers;
	int *fds; /* the lowers; NULL: they are mounted */
	struct overlay_detached mount;
};
#define STACK_INIT                                        \
	{                                                 \
		.mount = {.mount_fd = -1, .root_fd = -1 } \
	}

struct driver_view {
	struct overlay *overlay;
	bool native; /* `diff` is all that the layer changes; else the two trees are compared */
	bool own_size; /* but its size is told of `diff`, as the Go tools do, which takes no mount program */
	/* Somebody wrote into the layer through a mount: decide() finds out if it is native all the same. */
	bool was_upper;
	cst_error *no_trees; /* why the trees could not be opened, while the layer may be native */
	int diff_fd;         /* the layer's own content */
	struct stack own;    /* of an image: the mount that diff_fd is the root of */
	struct stack below;  /* what is below `diff` */
	struct stack layer;  /* the whole layer; empty if it is native */
	struct stack from;   /* what it is compared with; empty if it is native */
	struct naive_view trees; /* the mounts of both, once they are needed */
};

static void stack_close(struct stack *s)
{
	for (size_t i = 0; s->fds && i < s->lowers.len; i++)
		closep(&s->fds[i]);
	free(s->fds);
	overlay_lowers_free(&s->lowers);
	overlay_detached_close(&s->mount);
}

void overlay_view_close(struct driver_view *v)
{
	if (!v)
		return;
	closep(&v->diff_fd);
	naive_view_close(&v->trees);
	stack_close(&v->own);
	stack_close(&v->below);
	stack_close(&v->layer);
	stack_close(&v->from);
	error_freep(&v->no_trees);
	free(v);
}
DEFINE_CLEANUP(struct driver_view *, overlay_view_close)

/* ---- stacks ---- */

/* Makes a read-only mount of the lowers, which are at least two. `fds` is as in struct overlay_mount. */
static int mount_lowers(const struct overlay *o, const struct overlay_dirs *dirs, const int *fds,
                        const struct overlay_lowers *lowers, struct overlay_detached *ret,
                        cst_error **error)
{
	_cleanup_mount_options_ struct mount_options options = {.flags = MS_RDONLY};
	const struct overlay_mount mount = {.lowers = lowers,
	                                    .dirs = dirs,
	                                    .fds = fds,
	                                    .upper_fd = -1,
	                                    .work_fd = -1,
	                                    .options = &options};
	/* With these options the kernel reads right what any mount wrote, whatever the options are today. It takes neither
	 * redirects nor metacopy from attributes user.overlay.*. */
	const char *words = driver_is_rootless() ? "userxattr" : "metacopy=on,redirect_dir=on";
	int r = mount_options_add(&options, o->program ? "" : words, error);
	if (r == 0 && lowers->len > OVERLAY_MAX_LOWERS)
		r = error_set(error, CST_EINVAL, "max depth exceeded");
	return r < 0 ? r : overlay_mount_detached(o, &mount, ret, error);
}

int overlay_mount_lowers(const struct overlay *o, const struct overlay_dirs *dirs,
                         const struct overlay_lowers *lowers, struct overlay_detached *ret,
                         cst_error **error)
{
	return mount_lowers(o, dirs, NULL, lowers, ret, error);
}

/* Opens the directories in s->lowers; if they are many, or images, mounts them. A mount program is too slow for that, as the caller holds a
 * lock: it gets their paths later. */
static int stack_open(const struct overlay *o, const struct overlay_dirs *dirs, struct stack *s,
                      cst_error **error)
{
	int r = 0;
	if (s->lowers.len > MAX_HELD || overlay_has_images(&s->lowers))
		return o->program ? 0 : mount_lowers(o, dirs, NULL, &s->lowers, &s->mount, error);
	s->fds = new0(int, MAX_HELD);
	if (!s->fds)
		return error_oom(error);
	memset(s->fds, -1, MAX_HELD * sizeof(*s->fds));
	for (size_t i = 0; r == 0 && i < s->lowers.len; i++)
		r = overlay_lower_open(o, dirs, &s->lowers.items[i], O_RDONLY, &s->fds[i], error);
	return r;
}

static int stack_mount(const struct overlay *o, struct stack *s, cst_error **error)
{
	return s->mount.root_fd < 0 ? mount_lowers(o, NULL, s->fds, &s->lowers, &s->mount, error)
	                            : 0;
}

/* Lists all directories of a layer. The kernel makes no overlay of a single one, so a base layer comes with its `empty`. */
static int whole_layer(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                       struct overlay_lowers *lowers, cst_error **error)
{
	_cleanup_strv_ struct strv parents = {0};
	_cleanup_close_ int layer_fd = -1;
	size_t home;
	int r = overlay_layer_open(o, dirs, id, &home, &layer_fd, error);
	if (r == 0)
		r = overlay_parents(o, dirs, home, id, &parents, error);
	if (r == 0)
		r = overlay_lowers(o, dirs, home, id, &parents, true, lowers, error);
	if (r < 0 || lowers->len > 1)
		return r;
	if (!fs_exists(layer_fd, "empty")) {
		bool may_make = !o->read_only && o->homes[home].writable;
		if (!may_make || sys_mkdirat(layer_fd, "empty", 0700) < 0)
			return error_sys(error, may_make ? errno : EROFS, "mkdir %s/%s/empty",
			                 o->homes[home].path, id);
	}
	return overlay_lowers_add(lowers, home, id, "empty", error);
}

int overlay_mount_whole(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                        struct overlay_detached *ret, cst_error **error)
{
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	int r = whole_layer(o, dirs, id, &lowers, error);
	return r < 0 ? r : mount_lowers(o, dirs, NULL, &lowers, ret, error);
}

/* ---- opening ---- */

static int open_trees(struct driver_view *v, const struct overlay_dirs *dirs, const char *id,
                      const char *from, cst_error **error)
{
	const struct overlay *o = v->overlay;
	int r = whole_layer(o, dirs, id, &v->layer.lowers, error);
	if (r == 0)
		r = stack_open(o, dirs, &v->layer, error);
	if (r < 0 || isempty(from))
		return r;
	r = whole_layer(o, dirs, from, &v->from.lowers, error);
	return r < 0 ? r : stack_open(o, dirs, &v->from, error);
}

/* Opens the layer's own content; an image is mounted alone, with its data. */
static int open_content(struct driver_view *v, const struct overlay_dirs *dirs, size_t home,
                        const char *id, cst_error **error)
{
	const struct overlay *o = v->overlay;
	const struct strv no_parents = {0};
	int r = overlay_lowers(o, dirs, home, id, &no_parents, true, &v->own.lowers, error);
	if (r < 0)
		return r;
	if (!overlay_has_images(&v->own.lowers))
		return overlay_content_open_at(o, dirs, home, id, &v->diff_fd, error);
	r = mount_lowers(o, dirs, NULL, &v->own.lowers, &v->own.mount, error);
	if (r == 0)
		v->diff_fd = steal_fd(&v->own.mount.root_fd);
	return r;
}

static int open_view(struct driver_view *v, const char *id, const char *from, cst_error **error)
{
	const struct overlay *o = v->overlay;
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_strv_ struct strv parents = {0};
	_cleanup_close_ int layer_fd = -1;
	size_t home;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &home, &layer_fd, error);
	if (r == 0)
		r = overlay_parents(o, &dirs, home, id, &parents, error);
	if (r == 0)
		r = overlay_lowers(o, &dirs, home, id, &parents, false, &v->below.lowers, error);
	if (r == 0)
		r = open_content(v, &dirs, home, id, error);
	if (r == 0)
		r = stack_open(o, &dirs, &v->below, error);
	if (r < 0)
		return r;
	const char *parent = parents.len ? parents.items[0] : "";
	v->own_size = o->program && streq(strempty(from), parent);
	/* A layer that has older generations changes more than what is in its `diff`. */
	v->native = o->native_diff && streq(strempty(from), parent) &&
	            !fs_exists(layer_fd, "diff1") && !overlay_has_images(&v->own.lowers);
	if (v->native && parents.len)
		r = overlay_may_be_upper(layer_fd, &v->was_upper, error);
	if (r < 0 || (v->native && !v->was_upper))
		return r;
	r = open_trees(v, &dirs, id, from, v->native ? &v->no_trees : error);
	return v->native ? 0 : r;
}

int overlay_view_open(struct driver *d, const char *id, const char *from,
                      const struct driver_view_maps *maps, struct driver_view **ret,
                      cst_error **error)
{
	_cleanup_(overlay_view_closep) struct driver_view *v = new0(struct driver_view, 1);
	if (!v)
		return error_oom(error);
	*v = (struct driver_view){.overlay = overlay_of(d),
	                          .diff_fd = -1,
	                          .own = STACK_INIT,
	                          .below = STACK_INIT,
	                          .layer = STACK_INIT,
	                          .from = STACK_INIT,
	                          .trees = NAIVE_VIEW_INIT};
	v->trees.userns = driver_is_rootless();
	int r = naive_view_set_maps(&v->trees, maps, error);
	if (r == 0)
		r = open_view(v, id, from, error);
	if (r == 0)
		*ret = steal_ptr(&v);
	return r;
}

/* ---- reading: nothing is locked any more ---- */

/* Looks through the layer's own directory, which may be large. */
static int decide_native(struct driver_view *v, cst_error **error)
{
	bool points_below = false;
	int r = overlay_points_below(v->diff_fd, &points_below, error);
	if (r < 0)
		return r;
	if (points_below && v->trees.userns)
		return error_set(error, CST_ENOTSUP,
		                 "a layer that was mounted with metacopy or redirect_dir cannot be "
		                 "read without root");
	if (points_below && v->no_trees)
		return error_propagate(error, steal_ptr(&v->no_trees));
	v->native = !points_below;
	v->was_upper = false;
	return 0;
}

/* Finds out which way the layer is read, and makes the mounts for it. */
static int decide(struct driver_view *v, cst_error **error)
{
	int r = v->was_upper ? decide_native(v, error) : 0;
	if (r < 0 || v->native || v->trees.tree_fd >= 0)
		return r;
	r = stack_mount(v->overlay, &v->layer, error);
	if (r == 0 && v->from.lowers.len)
		r = stack_mount(v->overlay, &v->from, error);
	if (r < 0)
		return r;
	v->trees.tree_fd = steal_fd(&v->layer.mount.root_fd);
	v->trees.old_fd = steal_fd(&v->from.mount.root_fd);
	return 0;
}

/* What is below `diff`, for looking up single files: directories, or a mount of them. */
static const int *below_fds(const struct driver_view *v, size_t *n)
{
	*n = v->below.fds ? v->below.lowers.len : 1;
	return v->below.fds ? v->below.fds : &v->below.mount.root_fd;
}

static struct pack_options native_options(const struct driver_view *v, const cst_progress *progress)
{
	struct pack_options options = {
	        .maps = &v->trees.maps, .userns = v->trees.userns, .progress = progress};
	options.lowers = below_fds(v, &options.n_lowers);
	return options;
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
	int r = v->own_size ? 0 : decide(v, error);
	if (r < 0)
		return r;
	return v->native || v->own_size ? usage_tree(v->diff_fd, ret, &inodes, error)
	                                : naive_view_size(&v->trees, ret, error);
}

int overlay_view_open_content(struct driver_view *v, const char *name, int64_t size,
                              cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	size_t n;
	int fd = unpack_open_content(v->diff_fd, name, size, &problem);
	if (fd < 0 && cst_error_errno(problem) == ENOENT && !v->below.fds &&
	    stack_mount(v->overlay, &v->below, error) < 0)
		return -1;
	const int *below = below_fds(v, &n);
	for (size_t i = 0; fd < 0 && cst_error_errno(problem) == ENOENT && i < n; i++) {
		cst_error *next = NULL;

		fd = unpack_open_content(below[i], name, size, &next);
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

/* Against nothing, a layer is native if it is a base layer. */
int overlay_view_tree(struct driver_view *v, int *ret_fd, cst_error **error)
{
	int r = decide(v, error);
	if (r == 0)
		*ret_fd = v->native ? v->diff_fd : v->trees.tree_fd;
	return r;
}
