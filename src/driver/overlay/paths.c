/* SPDX-License-Identifier: Apache-2.0 */
/* Tells where a layer's directories are, under the names that the Go tools give them. */
#include "base/fs.h"
#include "driver/overlay/overlay.h"

static bool add_joined(struct strv *pairs, const char *key, const char *home, const char *id,
                       const char *name)
{
	_cleanup_free_ char *path = path_join3(home, id, name);
	return path && strv_add(pairs, key) && strv_add(pairs, path);
}

static int add_lowers(const struct overlay *o, const struct overlay_lowers *lowers,
                      struct strv *pairs, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf joined = {0};
	for (size_t i = 0; i < lowers->len; i++) {
		const char *foreign = lowers->items[i].foreign;
		_cleanup_free_ char *path =
		        foreign ? strdup(foreign) : overlay_lower_shown(o, &lowers->items[i]);
		if (!path)
			return error_oom(error);
		strbuf_addf(&joined, "%s%s", i ? ":" : "", path);
	}
	if (joined.failed || (lowers->len > 0 && (!strv_add(pairs, "LowerDir") ||
	                                          !strv_add(pairs, strbuf_str(&joined)))))
		return error_oom(error);
	return 0;
}

int overlay_shareable(struct driver *d, const char *id, const char **root, char **path,
                      cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	const struct overlay *o = overlay_of(d);
	ssize_t home = -1;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_find(o, &dirs, id, &home, error);
	if (r < 0 || home < 0 || (size_t)home > o->read_only_home)
		return r;
	_cleanup_free_ char *foreign = NULL;
	r = overlay_foreign_content(o, &dirs, (size_t)home, id, &foreign, error);
	if (r < 0 || foreign)
		return r;
	*path = path_join(id, "diff");
	*root = o->homes[home].path;
	return *path ? 0 : error_oom(error);
}

int overlay_ancestors(struct driver *d, const char *id, struct strv *ret, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_close_ int layer_fd = -1;
	size_t home;
	int r = overlay_dirs_open(overlay_of(d), &dirs, error);
	if (r == 0)
		r = overlay_layer_open(overlay_of(d), &dirs, id, &home, &layer_fd, error);
	return r == 0 ? overlay_parents(overlay_of(d), &dirs, home, id, ret, error) : r;
}

int overlay_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	_cleanup_strv_ struct strv parents = {0};
	_cleanup_close_ int layer_fd = -1;
	const struct overlay *o = overlay_of(d);
	size_t home;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &home, &layer_fd, error);
	if (r == 0)
		r = overlay_parents(o, &dirs, home, id, &parents, error);
	if (r == 0)
		r = overlay_lowers(o, &dirs, home, id, &parents, false, &lowers, error);
	if (r == 0)
		r = add_lowers(o, &lowers, pairs, error);
	if (r < 0)
		return r;
	_cleanup_free_ char *foreign = NULL;
	r = overlay_foreign_content(o, &dirs, home, id, &foreign, error);
	if (r < 0)
		return r;
	const char *path = o->homes[home].path;
	_cleanup_free_ char *merged = overlay_merged_path(o, home, id);
	_cleanup_free_ char *upper = foreign ? steal_ptr(&foreign) : path_join3(path, id, "diff");
	bool ok = merged && upper && strv_add(pairs, "MergedDir") && strv_add(pairs, merged) &&
	          strv_add(pairs, "UpperDir") && strv_take(pairs, steal_ptr(&upper)) &&
	          add_joined(pairs, "WorkDir", path, id, "work");
	return ok ? 0 : error_oom(error);
}
