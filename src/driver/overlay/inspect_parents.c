/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two lists of what a layer is built on, `lower` and `lower-layers`. Either may be damaged; the other one, and the records,
 * tell what it was. A layer of a release before 1.64 has no `lower-layers`, and one that is built on nothing has neither.
 * A copy of a layer for other ids is built on that layer, which its record does not say: so where both lists agree, they are
 * right whatever the records say.
 */
#include "base/fs.h"
#include "driver/overlay/inspect.h"

struct list {
	char *text; /* NULL: there is no such file */
	struct strv ids;
	bool valid; /* every layer in it is there */
};

static void list_free(struct list *list)
{
	free(list->text);
	strv_free(&list->ids);
}
#define _cleanup_list_ _cleanup_(list_free)

static bool strv_equal(const struct strv *a, const struct strv *b)
{
	bool equal = a->len == b->len;
	for (size_t i = 0; equal && i < a->len; i++)
		equal = streq(a->items[i], b->items[i]);
	return equal;
}

static int all_exist(const struct inspection *in, const struct strv *ids, bool *ret,
                     cst_error **error)
{
	*ret = true;
	for (size_t i = 0; *ret && i < ids->len; i++) {
		ssize_t home = -1;
		int r = overlay_find(in->o, in->dirs, ids->items[i], &home, error);
		if (r < 0)
			return r;
		*ret = home >= 0 && !streq(ids->items[i], in->id);
	}
	return 0;
}

static int read_ids(const struct inspection *in, struct list *ret, cst_error **error)
{
	int r = inspect_read(in, "lower-layers", &ret->text, error);
	if (r == 0 && !isempty(ret->text) && !strv_split(&ret->ids, ret->text, ':'))
		r = error_oom(error);
	return r < 0 || !ret->text ? r : all_exist(in, &ret->ids, &ret->valid, error);
}

/* Links that are lost are found by the layers' own files; they are not made again here. */
static int read_links(const struct inspection *in, struct list *ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = inspect_read(in, "lower", &ret->text, error);
	if (r < 0 || !ret->text)
		return r;
	r = overlay_resolve_lower(in->o, in->dirs, ret->text, &ret->ids, &problem);
	if (r < 0)
		return r == CST_ENOMEM ? error_oom(error) : 0;
	return all_exist(in, &ret->ids, &ret->valid, error);
}

/* What the layer is built on; NULL: the lists and the records do not tell. */
static const struct strv *choose(const struct list *links, const struct list *ids,
                                 const struct strv *recorded)
{
	bool links_say = links->valid && links->ids.len, ids_say = ids->valid && ids->ids.len;
	if (links_say && ids_say && !strv_equal(&links->ids, &ids->ids)) {
		if (recorded && strv_equal(recorded, &ids->ids))
			return &ids->ids;
		return recorded && strv_equal(recorded, &links->ids) ? &links->ids : NULL;
	}
	if (ids_say)
		return &ids->ids;
	return links_say ? &links->ids : recorded;
}

/* Do the files say all that they have to? */
static bool are_right(const struct list *links, const struct list *ids, const struct strv *right)
{
	if (!right)
		return false;
	if (!right->len)
		return isempty(links->text) && isempty(ids->text);
	return links->valid && strv_equal(&links->ids, right) &&
	       (!ids->text || (ids->valid && strv_equal(&ids->ids, right)));
}

static const char *state_of(const struct list *list, const struct strv *right)
{
	if (!list->text)
		return "missing";
	if (!*list->text)
		return "empty";
	return list->valid && right && strv_equal(&list->ids, right) ? "right" : "wrong";
}

static int write_lists(struct inspection *in, const struct list *links, const struct list *ids,
                       const struct strv *right, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf names = {0}, layers = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < right->len; i++) {
		r = overlay_add_link_of(in->o, in->dirs, right->items[i], &names, error);
		strbuf_addf(&layers, "%s%s", i ? ":" : "", right->items[i]);
	}
	_cleanup_free_ char *lower = strbuf_steal(&names), *lower_layers = strbuf_steal(&layers);
	if (r == 0 && (!lower || !lower_layers))
		r = error_oom(error);
	/* In this order: a layer with `lower` alone is whole, as older releases make it, so nobody would write the other one. */
	if (r == 0 && !streq(strempty(ids->text), lower_layers))
		r = inspect_write(in, "lower-layers", lower_layers, 0666, error);
	if (r == 0 && !streq(strempty(links->text), lower))
		r = inspect_write(in, "lower", lower, 0666, error);
	return r;
}

int inspect_parents(struct inspection *in, cst_error **error)
{
	_cleanup_list_ struct list links = {0}, ids = {0};
	int r = read_ids(in, &ids, error);
	if (r == 0)
		r = read_links(in, &links, error);
	if (r < 0)
		return r;
	/* Nobody knows of a parent: that is how a layer looks that is built on nothing. */
	static const struct strv nothing = {0};
	const struct strv *recorded = in->options->ancestors;
	const struct strv *right = choose(&links, &ids, recorded);
	if (!recorded && !links.text && !ids.text)
		right = &nothing;
	in->parents_known = right;
	if (right && !strv_copy(&in->parents, right))
		return error_oom(error);
	if (are_right(&links, &ids, right))
		return 0;
	bool mend = in->options->mend && right && right->len;
	r = mend ? write_lists(in, &links, &ids, right, error) : 0;
	if (r < 0)
		return r;
	return driver_flaws_add(
	        in->flaws, DRIVER_PARENTS, mend,
	        str_printf("what it is built on is not told: its file \"lower\" is %s, "
	                   "\"lower-layers\" is %s",
	                   state_of(&links, right), state_of(&ids, right)),
	        error);
}
