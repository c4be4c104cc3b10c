/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of records that are not understood. While one is so, nothing can be said of the objects that it lists, nor of those that
 * refer to them: then check tells of nothing else. A repair keeps the records that can be read, puts the old file aside, and then
 * all is looked at again.
 */
#include "store/change/recover.h"
#include "store/check/check.h"
#include "store/check/lost.h"
#include "store/check/menders.h"
#include "store/core/hold.h"

/* The file that keeps a set from being read; NULL: none. The caller frees *ret. */
static int damaged_file(cst_store *store, enum cst_kind kind, char **ret, char **why,
                        cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_hold_ struct hold hold = {0};
	int r = hold_read(store, kind, &hold, &problem);
	if (r != CST_ECORRUPT || !*cst_error_object(problem))
		return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
	*ret = strdup(cst_error_object(problem));
	*why = strdup(cst_error_message(problem));
	return *ret && *why ? 0 : error_oom(error);
}

int check_record_files(struct check *check, bool *goes_on, cst_error **error)
{
	int r = 0;
	*goes_on = true;
	for (enum cst_kind kind = CST_KIND_LAYER; r == 0 && kind <= CST_KIND_CONTAINER; kind++) {
		_cleanup_free_ char *path = NULL, *why = NULL;
		r = damaged_file(check->store, kind, &path, &why, error);
		if (r < 0 || !path)
			continue;
		const struct subject about = {.kind = FILE_SUBJECT, .id = path};
		findings_add(check->findings, CST_FINDING_RECORDS, &about, NULL, steal_ptr(&why),
		             strdup(""));
		*goes_on = false;
	}
	return r == 0 && check->findings->failed ? error_oom(error) : r;
}

/* ---- mending ---- */

static int mend_mounts(cst_store *store, const char *when, struct strv *mended, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	bool done = false;
	int r = lockfile_hold(store->mounts_lock, LOCKFILE_WRITE, &mounts, error);
	if (r == 0)
		r = layer_table_mend_mounts(store->sets.layers.table, mounts, when, &done, error);
	return r == 0 && done && !strv_add(mended, "mountpoints.json") ? error_oom(error) : r;
}

static int mend_set(cst_store *store, enum cst_kind kind, const char *when, struct strv *mended,
                    cst_error **error)
{
	_cleanup_hold_ struct hold hold = {0};
	struct set *set = set_of(store, kind);
	struct lock_token token;
	int r = hold_files(store, kind, &hold, error);
	if (r == 0 && set->second)
		r = lockfile_touch(set->second, &token, error);
	if (r == 0)
		r = record_set_mend(set->table, set->lock, when, mended, error);
	return r == 0 && kind == CST_KIND_LAYER ? mend_mounts(store, when, mended, error) : r;
}

/* Whose records the file has. */
static enum cst_kind kind_of_file(const char *path)
{
	const char *name = strrchr(path, '/');
	enum cst_kind kind = CST_KIND_CONTAINER;
	while (kind > CST_KIND_LAYER && !strstr(strempty(name), kind_of(kind)->files))
		kind--;
	return kind;
}

/* Recovery could not read this file when the store was opened. As long as there is another one that it cannot read, it waits. */
static int recover(cst_store *store, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = journals_recover(store, &problem);
	return r < 0 && r != CST_ECORRUPT ? error_propagate(error, steal_ptr(&problem)) : 0;
}

int mend_record_files(struct mending *mending, const struct cst_finding *finding, char **done,
                      cst_error **error)
{
	_cleanup_strv_ struct strv mended = {0};
	_cleanup_strbuf_ struct strbuf text = {0};
	char when[RECORDS_WHEN_MAX];
	records_when(when);
	int r = mend_set(mending->store, kind_of_file(finding->about.id), when, &mended, error);
	if (r == 0 && mended.len)
		r = recover(mending->store, error);
	if (r < 0 || !mended.len)
		return r < 0 ? r : MEND_NOT;
	strbuf_adds(&text, "what can be read is kept, and the damaged file put aside: ");
	for (size_t i = 0; i < mended.len; i++)
		strbuf_addf(&text, "%s%s.damaged-%s", i ? ", " : "", mended.items[i], when);
	*done = strbuf_steal(&text);
	return *done ? MEND_DONE : error_oom(error);
}
