/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's ancestors. Two files in its directory list them (docs/format/drivers.md, "lower, lower-layers"). `lower` has their
 * short names in l/; every release reads it. `lower-layers` has their IDs; releases from 1.64 on write it, and prefer it. A link
 * in l/ that got lost is made again by an operation that changes the store; one that only reads finds the layer without it.
 */
#include "base/fs.h"
#include "base/log.h"
#include "driver/overlay/overlay.h"
#include <errno.h>

static bool may_write(const struct overlay *o, const struct overlay_dirs *dirs, size_t home)
{
	return dirs->mends && o->homes[home].writable && !o->read_only;
}

static int rewrite_link_file(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                             const char *id, const char *link, cst_error **error)
{
	_cleanup_close_ int fd =
	        openat(dirs->fds[home], id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", o->homes[home].path, id);
	log_warning("writing the lost file %s/%s/link again", o->homes[home].path, id);
	return fs_replace_file(fd, "link", link, OVERLAY_LINK_LEN, 0644, FS_DURABLE, NULL, error);
}

static int layer_link(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *id, char ret[OVERLAY_LINK_LEN + 1], cst_error **error)
{
	_cleanup_free_ char *target = NULL;
	char link[OVERLAY_LINK_LEN + 1];
	int r = overlay_read_link(o, dirs, home, id, link, error);
	if (r < 0)
		return r;
	if (!*link) {
		r = overlay_link_of(o, dirs, home, id, link, error);
		if (r == 0 && may_write(o, dirs, home))
			r = rewrite_link_file(o, dirs, home, id, link, error);
		if (r < 0)
			return r;
	}
	target = overlay_follow_link(dirs->fds[home], link);
	if (!target && errno == ENOENT && may_write(o, dirs, home)) {
		r = overlay_make_link(o, dirs, home, link, id, error);
		if (r < 0)
			return r;
	}
	strcpy(ret, link);
	return 0;
}

/* ---- parents ---- */

/* Looks in every home for the layer whose `link` file has this name, and makes the link again. *ret stays NULL if none has it. */
static int repair_link(const struct overlay *o, const struct overlay_dirs *dirs, const char *link,
                       char **ret, cst_error **error)
{
	for (size_t home = 0; home < dirs->n; home++) {
		_cleanup_strv_ struct strv names = {0};
		int r = 0;

		if (dirs->fds[home] >= 0)
			r = fs_list_dir(dirs->fds[home], ".", &names, o->homes[home].path, error);
		for (size_t i = 0; r == 0 && i < names.len; i++) {
			_cleanup_free_ char *text = NULL;
			const char *id = names.items[i];
			struct stat st;

			if (!overlay_id_ok(id) ||
			    fstatat(dirs->fds[home], id, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			    !S_ISDIR(st.st_mode))
				continue;
			r = overlay_read_layer_file(o, dirs, home, id, "link", &text, error);
			if (r < 0 || !text || !streq(text, link))
				continue;
			*ret = strdup(id);
			if (!*ret)
				return error_oom(error);
			if (!may_write(o, dirs, home))
				return 0;
			log_warning("making the lost link %s/l/%s again", o->homes[home].path,
			            link);
			return overlay_make_link(o, dirs, home, link, id, error);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Finds the layer that l/<link> of any home leads to. `expected`: the ID that lower-layers has there; NULL: there is no such
 * file. */
static int resolve_link(const struct overlay *o, const struct overlay_dirs *dirs, const char *link,
                        const char *expected, char **ret, cst_error **error)
{
	_cleanup_free_ char *id = NULL;
	ssize_t home;
	int r;

	for (size_t i = 0; i < dirs->n && !id; i++)
		if (dirs->fds[i] >= 0)
			id = overlay_follow_link(dirs->fds[i], link);
	if (!id && expected) {
		id = strdup(expected);
		r = overlay_find(o, dirs, expected, &home, error);
		if (r == 0 && id && home >= 0 && may_write(o, dirs, (size_t)home))
			r = overlay_make_link(o, dirs, (size_t)home, link, expected, error);
		if (r < 0)
			return r;
	} else if (!id) {
		r = repair_link(o, dirs, link, &id, error);
		if (r < 0)
			return r;
		if (!id)
			return error_sys(error, ENOENT, "readlink %s/l/%s", o->base.home, link);
	}
	if (!id)
		return error_oom(error);
	*ret = steal_ptr(&id);
	return 0;
}

static int split_list(char *text, struct strv *ret, cst_error **error)
{
	size_t len = strlen(text);

	while (len && (text[len - 1] == '\n' || text[len - 1] == ':'))
		text[--len] = '\0';
	if (len && !strv_split(ret, text, ':'))
		return error_oom(error);
	return 0;
}

/* The IDs of the layers that the links lead to. `expected` as below. */
static int resolve_links(const struct overlay *o, const struct overlay_dirs *dirs,
                         const char *shown, const struct strv *links, const struct strv *expected,
                         struct strv *ret, cst_error **error)
{
	for (size_t i = 0; i < links->len; i++) {
		const char *link = links->items[i], *want = expected ? expected->items[i] : NULL;
		char *parent = NULL;

		if (!has_prefix(link, OVERLAY_LINK_DIR "/") || !path_is_component(link + 2))
			return error_set(error, CST_ECORRUPT,
			                 "%s/lower: \"%s\" is not the name of a link", shown, link);
		int r = resolve_link(o, dirs, link + 2, want, &parent, error);
		if (r < 0)
			return r;
		if (!strv_take(ret, parent))
			return error_oom(error);
		if (want && !streq(want, parent))
			return error_set(error, CST_ECORRUPT,
			                 "%s: lower (%s, layer %s) and lower-layers (%s) disagree",
			                 shown, link, parent, want);
	}
	return 0;
}

/* Reads `lower` as IDs. `expected`: those of lower-layers, which must be the same; NULL: there is no such file. */
static int read_lower(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *id, const struct strv *expected, struct strv *ret,
                      cst_error **error)
{
	_cleanup_free_ char *text = NULL, *shown = path_join(o->homes[home].path, id);
	_cleanup_strv_ struct strv links = {0};
	int r = shown ? overlay_read_layer_file(o, dirs, home, id, "lower", &text, error)
	              : error_oom(error);
	if (r == 0 && text)
		r = split_list(text, &links, error);
	if (r < 0 || !text)
		return r;
	if (expected && links.len != expected->len)
		return error_set(error, CST_ECORRUPT, "%s: lower has %zu layers, lower-layers %zu",
		                 shown, links.len, expected->len);
	return resolve_links(o, dirs, shown, &links, expected, ret, error);
}

int overlay_resolve_lower(const struct overlay *o, const struct overlay_dirs *dirs,
                          const char *lower, struct strv *ret, cst_error **error)
{
	_cleanup_strv_ struct strv links = {0}, ids = {0};
	_cleanup_free_ char *text = strdup(lower);
	int r = text ? split_list(text, &links, error) : error_oom(error);
	if (r == 0)
		r = resolve_links(o, dirs, "", &links, NULL, &ids, error);
	if (r < 0)
		return r;
	*ret = ids;
	ids = (struct strv){0};
	return 0;
}

int overlay_parents(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, struct strv *ret, cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ struct strv by_id = {0}, by_link = {0};
	int r = overlay_read_layer_file(o, dirs, home, id, "lower-layers", &text, error);
	if (r == 0 && text)
		r = split_list(text, &by_id, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < by_id.len; i++)
		if (!overlay_id_ok(by_id.items[i]))
			return error_set(error, CST_ECORRUPT,
			                 "%s/%s/lower-layers: \"%s\" is not a layer ID",
			                 o->homes[home].path, id, by_id.items[i]);
	r = read_lower(o, dirs, home, id, text ? &by_id : NULL, &by_link, error);
	if (r < 0)
		return r;
	*ret = text ? by_id : by_link;
	if (text)
		by_id = (struct strv){0};
	else
		by_link = (struct strv){0};
	return 0;
}

int overlay_add_link_of(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                        struct strbuf *links, cst_error **error)
{
	char link[OVERLAY_LINK_LEN + 1];
	ssize_t home;
	int r = overlay_find(o, dirs, id, &home, error);

	if (r < 0)
		return r;
	if (home < 0)
		return error_sys(
		        error, ENOENT,
		        "can't stat (or find?) lower layer \"%s/%s/diff\": stat %s/%s/diff",
		        o->base.home, id, o->base.home, id);
	r = layer_link(o, dirs, (size_t)home, id, link, error);
	if (r == 0)
		strbuf_addf(links, "%s" OVERLAY_LINK_DIR "/%s", links->len ? ":" : "", link);
	return r;
}

/* Adds the short names of a layer's ancestors, as the layer's `lower` has them. */
static int add_parent_links(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, const struct strv *parents, struct strbuf *links,
                            cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	int r = overlay_read_layer_file(o, dirs, home, id, "lower", &text, error);
	if (r < 0)
		return r;
	if (!isempty(text)) {
		text[strcspn(text, "\n")] = '\0';
		strbuf_addf(links, ":%s", text);
		return 0;
	}
	for (size_t i = 0; r == 0 && i < parents->len; i++)
		r = overlay_add_link_of(o, dirs, parents->items[i], links, error);
	return r;
}

/* Adds the IDs of a layer's ancestors. They are copied from its lower-layers without a look at each of them. */
static int add_parent_ids(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                          const char *id, struct strv *parents, struct strbuf *ids,
                          cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	int r = overlay_read_layer_file(o, dirs, home, id, "lower-layers", &text, error);
	if (r == 0 && text)
		r = split_list(text, parents, error);
	else if (r == 0) /* a release before 1.64 made the layer */
		r = overlay_parents(o, dirs, home, id, parents, error);
	for (size_t i = 0; r == 0 && i < parents->len; i++)
		strbuf_addf(ids, ":%s", parents->items[i]);
	return r;
}

int overlay_child_lists(const struct overlay *o, const struct overlay_dirs *dirs,
                        const char *parent, char **lower, char **lower_layers, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf links = {0}, ids = {0};
	_cleanup_strv_ struct strv parents = {0};
	_cleanup_free_ char *links_text = NULL, *ids_text = NULL;
	_cleanup_close_ int fd = -1;
	size_t home;
	int r = overlay_layer_open(o, dirs, parent, &home, &fd, error);
	if (r == 0)
		r = overlay_add_link_of(o, dirs, parent, &links, error);
	strbuf_adds(&ids, parent);
	if (r == 0)
		r = add_parent_ids(o, dirs, home, parent, &parents, &ids, error);
	if (r == 0)
		r = add_parent_links(o, dirs, home, parent, &parents, &links, error);
	if (r < 0)
		return r;
	links_text = strbuf_steal(&links);
	ids_text = strbuf_steal(&ids);
	if (!links_text || !ids_text)
		return error_oom(error);
	*lower = steal_ptr(&links_text);
	*lower_layers = steal_ptr(&ids_text);
	return 0;
}
