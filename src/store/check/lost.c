/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Were records of this store lost? Then what no record refers to may be what is left of them, and whoever clears the store of
 * it would finish what a damaged file began. They were if a damaged file was put aside, if there is a record that cannot be
 * used, or if there is no record at all although there are files. An empty list alone does not tell: whoever died while making
 * the first item left files, too. But a file of records is never removed, so one that is gone was lost.
 */
#include "store/check/lost.h"
#include "base/id.h"
#include "store/core/hold.h"
#include <time.h>

/* The path of a file that record_set_mend() put aside; NULL: there is none. */
static int find_put_aside(const char *dir, char **ret, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	if (*ret || !dir || !fs_exists(AT_FDCWD, dir))
		return 0;
	int r = fs_list_dir(AT_FDCWD, dir, &names, dir, error);
	strv_foreach (name, &names) {
		if (r == 0 && !*ret && strstr(name, ".json.damaged-"))
			r = (*ret = path_join(dir, name)) ? 0 : error_oom(error);
	}
	return r;
}

static int find_put_aside_by(cst_store *store, enum cst_kind kind, char **ret, cst_error **error)
{
	int r = find_put_aside(set_of(store, kind)->dir, ret, error);
	return r == 0 && kind == CST_KIND_LAYER
	               ? find_put_aside(store->image_layers_dir, ret, error)
	               : r;
}

static bool has_directories(const struct set *set)
{
	_cleanup_strv_ struct strv names = {0};
	bool any = false;
	if (set->fd >= 0 && fs_list_dir(set->fd, ".", &names, set->dir, NULL) == 0) {
		strv_foreach (name, &names)
			any = any || id_is_hex64(name);
	}
	return any;
}

static bool is_empty_file(const struct set *set, const char *ending)
{
	struct stat st;
	_cleanup_free_ char *name = str_join(set->kind->files, ending);
	return !name || fstatat(set->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size == 0;
}

/* Is there no file of records, although somebody wrote one? Whoever writes leaves a token in the lock. */
static bool is_gone(const struct set *set)
{
	return set->fd >= 0 && !is_empty_file(set, ".lock") && is_empty_file(set, ".json");
}

/* Of images alone it is certain: layers and containers may have been volatile, and those have another file. */
static int images_must_be_there(const struct set *images, cst_error **error)
{
	return !is_gone(images) || !has_directories(images)
	               ? 0
	               : error_set(error, CST_ECORRUPT,
	                           "%s/images.json was lost, and what it listed would be removed, "
	                           "too; put "
	                           "[] there when nothing of it is wanted",
	                           images->dir);
}

int records_must_be_whole(cst_store *store, cst_error **error)
{
	_cleanup_free_ char *path = NULL;
	if (store->as_upstream)
		return 0;
	int r = layers_need(store, error);
	for (enum cst_kind kind = CST_KIND_LAYER; r == 0 && kind <= CST_KIND_CONTAINER; kind++)
		r = find_put_aside_by(store, kind, &path, error);
	if (r == 0 && !path)
		r = images_must_be_there(set_of(store, CST_KIND_IMAGE), error);
	if (r < 0 || !path)
		return r;
	return error_set(
	        error, CST_ECORRUPT,
	        "records were lost with %s, and what they were about would be removed, too; remove "
	        "that file when nothing of it is wanted",
	        path);
}

/* A layer that could be a container's, which says so nowhere: it has no archive, and nothing is built on it. Volatile ones have
 * gone with their containers. */
static bool has_layer_of_container(const struct record_set *layers)
{
	const cst_layer *layer;
	for (size_t i = 0; (layer = layer_table_at(layers, i)); i++)
		if (!*layer->diff_digest && !*layer->toc_digest && layer->file != LAYER_VOLATILE &&
		    !layer_table_first_child(layers, layer->id))
			return true;
	return false;
}

/* Whether containers are gone, layers tell. */
static struct hold_modes modes_for(enum cst_kind kind, enum hold_mode mode)
{
	struct hold_modes modes = hold_only(kind, mode);
	if (kind == CST_KIND_CONTAINER)
		modes.layers = HOLD_READ;
	return modes;
}

/* There is no record at all, although there are files. The set is held by modes_for(). */
static int is_emptied(cst_store *store, const struct set *set, bool *ret, cst_error **error)
{
	_cleanup_strv_ struct strv ids = {0};
	const char *id, *why;
	*ret = false;
	if (record_set_size(set->table) || record_set_unusable(set->table, 0, &id, &why))
		return 0;
	int r = set->kind->in_driver ? store->driver->ops->list(store->driver, &ids, error) : 0;
	*ret = r == 0 && (set->kind->in_driver ? ids.len > 0 : has_directories(set));
	if (set == set_of(store, CST_KIND_CONTAINER) && is_gone(set))
		*ret = *ret || has_layer_of_container(store->sets.layers.table);
	return r;
}

static int look_at_set(cst_store *store, enum cst_kind kind, char **why, cst_error **error)
{
	_cleanup_hold_ struct hold hold = {0};
	const struct set *set = set_of(store, kind);
	const char *id, *problem;
	bool emptied = false;
	_cleanup_free_ char *aside = NULL;
	int r = hold_sets(store, modes_for(kind, HOLD_READ), &hold, error);
	if (r == 0)
		r = find_put_aside_by(store, kind, &aside, error);
	if (r == 0)
		r = is_emptied(store, set, &emptied, error);
	if (r < 0)
		return r;
	bool unusable = record_set_unusable(set->table, 0, &id, &problem);
	if (aside)
		*why = str_printf(
		        "it may be one of those whose records were lost with %s (remove that file "
		        "when nothing of it is wanted)",
		        aside);
	else if (unusable)
		*why = str_printf("the record of %s \"%s\" cannot be used", set->kind->name, id);
	else if (emptied)
		*why = str_printf(
		        "it may be one of those that were lost: there is no record of any %s, "
		        "although there are files of some",
		        set->kind->name);
	return (aside || unusable || emptied) && !*why ? error_oom(error) : 0;
}

int records_lost(cst_store *store, char **ret, cst_error **error)
{
	_cleanup_free_ char *why = NULL;
	int r = 0;
	for (enum cst_kind kind = CST_KIND_LAYER; r == 0 && !why && kind <= CST_KIND_CONTAINER;
	     kind++)
		r = look_at_set(store, kind, &why, error);
	if (r == 0)
		*ret = steal_ptr(&why);
	return r;
}

/* ---- remembering ---- */

static int mark_set(cst_store *store, enum cst_kind kind, cst_error **error)
{
	_cleanup_hold_ struct hold hold = {0};
	_cleanup_free_ char *marked = NULL;
	const struct set *set = set_of(store, kind);
	char when[RECORDS_WHEN_MAX];
	bool emptied = false;
	int r = hold_sets(store, modes_for(kind, HOLD_WRITE), &hold, error);
	if (r == 0)
		r = is_emptied(store, set, &emptied, error);
	if (r == 0)
		r = find_put_aside(set->dir, &marked, error);
	if (r < 0 || !emptied || marked)
		return r;
	records_when(when);
	_cleanup_free_ char *name = str_printf("%s.json.damaged-%s", set->kind->files, when);
	r = name ? fs_write_file(set->fd, name, "", 0, 0600, set->dir, error) : error_oom(error);
	return r == 0 ? fs_fsync_dir(set->fd, set->dir, error) : r;
}

int records_mark_lost(cst_store *store, cst_error **error)
{
	int r = 0;
	for (enum cst_kind kind = CST_KIND_LAYER; r == 0 && kind <= CST_KIND_CONTAINER; kind++)
		r = mark_set(store, kind, error);
	return r;
}

void records_when(char ret[RECORDS_WHEN_MAX])
{
	time_t now = time(NULL);
	struct tm parts;
	strftime(ret, RECORDS_WHEN_MAX, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &parts));
}
