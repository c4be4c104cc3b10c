/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists what a layer's mount stacks, top first: the layer's own content, its older generations, then the same of each ancestor.
 * This file finds out which kind of content each has, and it alone opens one: what this build cannot read gets no further.
 */
#include "base/fs.h"
#include "driver/overlay/overlay.h"
#include <errno.h>

static void lower_free(struct overlay_lower *lower)
{
	free(lower->path);
	free(lower->foreign);
}

void overlay_lowers_free(struct overlay_lowers *lowers)
{
	for (size_t i = 0; i < lowers->len; i++)
		lower_free(&lowers->items[i]);
	free(lowers->items);
	*lowers = (struct overlay_lowers){0};
}

int overlay_lowers_add(struct overlay_lowers *lowers, size_t home, const char *id, const char *name,
                       cst_error **error)
{
	struct overlay_lower *items =
	        grow_array(lowers->items, &lowers->capacity, lowers->len + 1, sizeof(*items));
	if (!items)
		return error_oom(error);
	lowers->items = items;
	char *path = path_join(id, name);
	if (!path)
		return error_oom(error);
	items[lowers->len++] = (struct overlay_lower){.home = home, .path = path};
	return 0;
}

/* Where the content is in an additional layer store, `diff` is a symlink, for the Go tools, too. */
static int follow(const struct overlay *o, const struct overlay_dirs *dirs,
                  struct overlay_lower *lower, cst_error **error)
{
	_cleanup_free_ char *target = fs_readlink(dirs->fds[lower->home], lower->path);
	if (!target)
		return errno == ENOMEM ? error_oom(error) : 0; /* it is none, or is opened later */
	if (*target != '/')
		return error_set(error, CST_ECORRUPT,
		                 "%s/%s: linkpath must be absolute (got: \"%s\")",
		                 o->homes[lower->home].path, lower->path, target);
	lower->foreign = steal_ptr(&target);
	lower->kind = DRIVER_CONTENT_FOREIGN;
	return 0;
}

/* Adds a layer's own content. The directory `composefs-data` tells its kind, whatever the options are, as it does for the Go
 * tools (docs/format/drivers.md, "composefs"). */
static int add_content(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                       const char *id, struct overlay_lowers *lowers, cst_error **error)
{
	_cleanup_free_ char *image = path_join(id, "composefs-data");
	struct stat st;
	if (!image)
		return error_oom(error);
	bool has_image = fstatat(dirs->fds[home], image, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!has_image && errno != ENOENT)
		return error_sys(error, errno, "stat %s/%s", o->homes[home].path, image);
	int r = overlay_lowers_add(lowers, home, id, "diff", error);
	if (r < 0)
		return r;
	struct overlay_lower *lower = &lowers->items[lowers->len - 1];
	if (has_image)
		lower->kind = DRIVER_CONTENT_IMAGE;
	return has_image ? 0 : follow(o, dirs, lower, error);
}

/* Adds diff1, diff2, ..., the older generations that a change of id maps leaves behind. */
static int add_generations(const struct overlay_dirs *dirs, size_t home, const char *id,
                           struct overlay_lowers *lowers, cst_error **error)
{
	int r = 0;
	for (unsigned n = 1; r == 0; n++) {
		_cleanup_free_ char *name = str_printf("diff%u", n),
		                    *path = name ? path_join(id, name) : NULL;
		if (!path)
			return error_oom(error);
		if (!fs_exists(dirs->fds[home], path))
			return 0;
		r = overlay_lowers_add(lowers, home, id, name, error);
	}
	return r;
}

static int add_layer(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                     const char *id, struct overlay_lowers *lowers, cst_error **error)
{
	int r = add_content(o, dirs, home, id, lowers, error);
	return r < 0 ? r : add_generations(dirs, home, id, lowers, error);
}

static bool has_above(const struct overlay_lowers *lowers, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (lowers->items[i].kind == DRIVER_CONTENT_FOREIGN &&
		    streq(lowers->items[i].foreign, path))
			return true;
	return false;
}

/* Layers of one digest have one directory in an additional layer store, and the kernel takes no directory twice. Whatever the
 * lower one of the two shows, the upper one shows, too. */
static void drop_repeated(struct overlay_lowers *lowers)
{
	size_t n = 0;
	for (size_t i = 0; i < lowers->len; i++) {
		struct overlay_lower lower = lowers->items[i];
		if (lower.kind == DRIVER_CONTENT_FOREIGN && has_above(lowers, n, lower.foreign))
			lower_free(&lower);
		else
			lowers->items[n++] = lower;
	}
	lowers->len = n;
}

/* The data of all images come last. */
static int add_data(struct overlay_lowers *lowers, cst_error **error)
{
	int r = 0;
	for (size_t i = 0, n = lowers->len; i < n && r == 0; i++) {
		const struct overlay_lower image = lowers->items[i];
		if (image.kind != DRIVER_CONTENT_IMAGE)
			continue;
		_cleanup_free_ char *id = strndup(image.path, strcspn(image.path, "/"));
		r = id ? overlay_lowers_add(lowers, image.home, id, "diff", error)
		       : error_oom(error);
		if (r == 0)
			lowers->items[lowers->len - 1].kind = DRIVER_CONTENT_DATA;
	}
	return r;
}

int overlay_lowers(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                   const char *id, const struct strv *parents, bool content,
                   struct overlay_lowers *ret, cst_error **error)
{
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	int r = content ? add_layer(o, dirs, home, id, &lowers, error)
	                : add_generations(dirs, home, id, &lowers, error);
	for (size_t i = 0; r == 0 && i < parents->len; i++) {
		const char *parent = parents->items[i];
		ssize_t at;

		r = overlay_find(o, dirs, parent, &at, error);
		if (r < 0)
			return r;
		if (at < 0)
			return error_sys(
			        error, ENOENT,
			        "can't stat (or find?) lower layer \"%s/%s/diff\": stat %s/%s/diff",
			        o->base.home, parent, o->base.home, parent);
		r = add_layer(o, dirs, (size_t)at, parent, &lowers, error);
	}
	drop_repeated(&lowers);
	if (r == 0)
		r = add_data(&lowers, error);
	if (r < 0)
		return r;
	*ret = lowers;
	lowers = (struct overlay_lowers){0};
	return 0;
}

char *overlay_lower_shown(const struct overlay *o, const struct overlay_lower *lower)
{
	return path_join(o->homes[lower->home].path, lower->path);
}

/* ---- opening ---- */

static int refuse_image(const struct overlay *o, const struct overlay_lower *lower,
                        cst_error **error)
{
	const char *home = o->homes[lower->home].path;
	_cleanup_free_ char *id = strndup(lower->path, strcspn(lower->path, "/"));
	if (!id)
		return error_oom(error);
	return error_set(error, CST_ENOTSUP,
	                 "the content of layer \"%s\" is an EROFS image (composefs), which is read "
	                 "through a mount, and cannot be written to: %s/%s",
	                 id, home, id);
}

int overlay_foreign_content(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, char **ret, cst_error **error)
{
	_cleanup_lowers_ struct overlay_lowers own = {0};
	int r = add_content(o, dirs, home, id, &own, error);
	if (r == 0 && own.items->kind == DRIVER_CONTENT_FOREIGN)
		*ret = steal_ptr(&own.items->foreign);
	return r;
}

int overlay_must_be_directory(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                              const char *id, cst_error **error)
{
	_cleanup_lowers_ struct overlay_lowers own = {0};
	int r = add_content(o, dirs, home, id, &own, error);
	if (r < 0 || own.items->kind == DRIVER_CONTENT_DIRECTORY)
		return r;
	if (own.items->kind == DRIVER_CONTENT_FOREIGN)
		return error_set(error, CST_ENOTSUP,
		                 "the content of layer \"%s\" is in an additional layer store, "
		                 "which cannot be written to: %s",
		                 id, own.items->foreign);
	return refuse_image(o, own.items, error);
}

int overlay_lower_open(const struct overlay *o, const struct overlay_dirs *dirs,
                       const struct overlay_lower *lower, int flags, int *ret_fd, cst_error **error)
{
	switch (lower->kind) {
	case DRIVER_CONTENT_IMAGE: return refuse_image(o, lower, error);
	case DRIVER_CONTENT_DATA:
	case DRIVER_CONTENT_FOREIGN:
	case DRIVER_CONTENT_DIRECTORY: break;
	}
	bool foreign = lower->kind == DRIVER_CONTENT_FOREIGN;
	if (foreign && !lower->clone)
		return overlay_foreign_open(lower->foreign, flags, ret_fd, error);
	int fd = openat(dirs->fds[foreign ? lower->clone : lower->home],
	                foreign ? "." : lower->path, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int errnum = errno;
		_cleanup_free_ char *shown = overlay_lower_shown(o, lower);
		return error_sys(error, errnum, "open %s", strempty(shown));
	}
	*ret_fd = fd;
	return 0;
}

int overlay_content_open_at(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, int *ret_fd, cst_error **error)
{
	_cleanup_lowers_ struct overlay_lowers own = {0};
	int r = add_content(o, dirs, home, id, &own, error);
	return r < 0 ? r : overlay_lower_open(o, dirs, own.items, O_RDONLY, ret_fd, error);
}
