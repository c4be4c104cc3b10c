/* SPDX-License-Identifier: Apache-2.0 */
/* The short name of a layer: its file `link`, and the link of that name in `l`. */
#include "base/fs.h"
#include "driver/overlay/inspect.h"

/* The name that a child's `lower` has for the layer, where its `lower-layers` has the layer's ID; "": none has one. */
static int link_in_child(const struct inspection *in, size_t home, const char *child,
                         char ret[OVERLAY_LINK_LEN + 1], cst_error **error)
{
	_cleanup_free_ char *ids_text = NULL, *links_text = NULL;
	_cleanup_strv_ struct strv ids = {0}, links = {0};
	struct inspection other = *in;
	other.home = home;
	other.id = child;
	int r = inspect_read(&other, "lower-layers", &ids_text, error);
	if (r < 0 || !ids_text || !strstr(ids_text, in->id))
		return r;
	r = inspect_read(&other, "lower", &links_text, error);
	if (r < 0 || !links_text)
		return r;
	if (!strv_split(&ids, ids_text, ':') || !strv_split(&links, links_text, ':'))
		return error_oom(error);
	for (size_t i = 0; i < ids.len && i < links.len; i++) {
		const char *link = links.items[i];
		if (streq(ids.items[i], in->id) && has_prefix(link, OVERLAY_LINK_DIR "/") &&
		    path_is_component(link + 2) && strlen(link + 2) == OVERLAY_LINK_LEN)
			strcpy(ret, link + 2);
	}
	return 0;
}

static int link_in_children(const struct inspection *in, char ret[OVERLAY_LINK_LEN + 1],
                            cst_error **error)
{
	int r = 0;
	ret[0] = '\0';
	for (size_t home = 0; r == 0 && home < in->dirs->n; home++) {
		_cleanup_strv_ struct strv names = {0};
		if (in->dirs->fds[home] < 0)
			continue;
		r = fs_list_dir(in->dirs->fds[home], ".", &names, in->o->homes[home].path, error);
		for (size_t i = 0; r == 0 && !*ret && i < names.len; i++) {
			if (overlay_id_ok(names.items[i]))
				r = link_in_child(in, home, names.items[i], ret, error);
		}
	}
	return r;
}

/* Does another layer go by this name? */
static bool is_taken(const struct inspection *in, const char *link)
{
	_cleanup_free_ char *target = overlay_follow_link(in->dirs->fds[in->home], link);
	char theirs[OVERLAY_LINK_LEN + 1] = "";
	return target && !streq(target, in->id) &&
	       overlay_read_link(in->o, in->dirs, in->home, target, theirs, NULL) == 0 &&
	       streq(theirs, link);
}

/* Children know the layer by its name; so theirs is the right one, then that of the file, then that in l/, then a new one. */
static int choose_link(const struct inspection *in, const char *in_file,
                       char ret[OVERLAY_LINK_LEN + 1], cst_error **error)
{
	char in_links[OVERLAY_LINK_LEN + 1];
	_cleanup_free_ char *there = NULL;
	int r = link_in_children(in, ret, error);
	if (r < 0 || (*ret && !is_taken(in, ret)))
		return r;
	r = overlay_link_of(in->o, in->dirs, in->home, in->id, in_links, error);
	if (r < 0)
		return r;
	there = overlay_follow_link(in->dirs->fds[in->home], in_links);
	strcpy(ret, !there && *in_file && !is_taken(in, in_file) ? in_file : in_links);
	return 0;
}

static int mend_link(struct inspection *in, const char *in_file, cst_error **error)
{
	char link[OVERLAY_LINK_LEN + 1];
	int home_fd = in->dirs->fds[in->home];
	int r = choose_link(in, in_file, link, error);
	if (r == 0 && !streq(link, in_file))
		r = inspect_write(in, "link", link, 0644, error);
	_cleanup_free_ char *target = r == 0 ? overlay_follow_link(home_fd, link) : NULL;
	if (r < 0 || (target && streq(target, in->id)))
		return r;
	r = overlay_unlink(in->o, in->dirs, in->home, link, NULL, error);
	return r == 0 ? overlay_make_link(in->o, in->dirs, in->home, link, in->id, error) : r;
}

int inspect_link(struct inspection *in, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	char link[OVERLAY_LINK_LEN + 1] = "";
	int r = overlay_read_link(in->o, in->dirs, in->home, in->id, link, &problem);
	if (r == CST_ENOMEM)
		return error_oom(error);
	if (r < 0)
		link[0] = '\0';
	_cleanup_free_ char *target =
	        *link ? overlay_follow_link(in->dirs->fds[in->home], link) : NULL;
	if (target && streq(target, in->id))
		return 0;
	r = in->options->mend ? mend_link(in, link, error) : 0;
	if (r < 0)
		return r;
	char *text = !*link   ? strdup("its file \"link\" has no name of a link")
	             : target ? str_printf("its link l/%s leads to layer %s", link, target)
	                      : str_printf("its link l/%s is missing", link);
	return driver_flaws_add(in->flaws, DRIVER_LINK, in->options->mend, text, error);
}
