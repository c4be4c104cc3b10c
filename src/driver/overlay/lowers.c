/* SPDX-License-Identifier: Apache-2.0 */
/* Which directories a layer's mount stacks, top first: its own, its older generations, and those of each ancestor. */
#include "base/fs.h"
#include "driver/overlay/overlay.h"
#include <errno.h>

void overlay_lowers_free(struct overlay_lowers *lowers)
{
	for (size_t i = 0; i < lowers->len; i++)
		free(lowers->items[i].path);
	free(lowers->items);
	*lowers = (struct overlay_lowers){0};
}

int overlay_lowers_add(struct overlay_lowers *lowers, size_t home, const char *id, const char *name,
                       cst_error **error)
{
	struct overlay_lower *items;
	char *path;

	items = grow_array(lowers->items, &lowers->capacity, lowers->len + 1, sizeof(*items));
	if (!items)
		return error_oom(error);
	lowers->items = items;
	path = path_join(id, name);
	if (!path)
		return error_oom(error);
	items[lowers->len++] = (struct overlay_lower){.home = home, .path = path};
	return 0;
}

/* `diff`, if wanted, then diff1, diff2, ... which a change of id maps leaves behind. */
static int add_generations(const struct overlay_dirs *dirs, size_t home, const char *id,
                           bool content, struct overlay_lowers *lowers, cst_error **error)
{
	int r = content ? overlay_lowers_add(lowers, home, id, "diff", error) : 0;

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

char *overlay_lower_shown(const struct overlay *o, const struct overlay_lower *lower)
{
	return path_join(o->homes[lower->home].path, lower->path);
}

int overlay_lowers(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                   const char *id, const struct strv *parents, bool content,
                   struct overlay_lowers *ret, cst_error **error)
{
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	int r;

	r = add_generations(dirs, home, id, content, &lowers, error);
	for (size_t i = 0; r == 0 && i < parents->len; i++) {
		const char *parent = parents->items[i];
		ssize_t at;

		r = overlay_find(o, dirs, parent, &at, error);
		if (r < 0)
			return r;
		if (at < 0)
			return error_sys(error, ENOENT,
			                 "can't stat (or find?) lower layer \"%s/%s/diff\": stat "
			                 "%s/%s/diff",
			                 o->base.home, parent, o->base.home, parent);
		r = add_generations(dirs, (size_t)at, parent, true, &lowers, error);
	}
	if (r < 0)
		return r;
	*ret = lowers;
	lowers = (struct overlay_lowers){0};
	return 0;
}
