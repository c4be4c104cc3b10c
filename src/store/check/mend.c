/* SPDX-License-Identifier: Apache-2.0 */
/* The menders, and the order in which they are tried (mend.h). */
#include "store/check/mend.h"
#include "store/check/depth.h"
#include "store/check/menders.h"
#include "store/core/kind.h"
#include <stdint.h>
#include <stdlib.h>

static const struct mender menders[] = {
        {MEND_LOCKS, CST_FINDING_LOCK_FILE, mend_lock_file},
        {MEND_FILES, CST_FINDING_RECORDS, mend_record_files},
        {MEND_STORE, CST_FINDING_RECORD, mend_record},
        {MEND_STORE, CST_FINDING_NO_RECORD, mend_lost_layers},
        {MEND_STORE, CST_FINDING_PARENT_MISSING, mend_lost_layers},
        {MEND_STORE, CST_FINDING_LAYER_MISSING, mend_lost_layers},
        {MEND_STORE, CST_FINDING_LINK, mend_driver_files},
        {MEND_STORE, CST_FINDING_LOWER, mend_driver_files},
        {MEND_STORE, CST_FINDING_DIRECTORY, mend_driver_files},
        {MEND_STORE, CST_FINDING_MOUNT, mend_mount},
        {MEND_CONTENT, CST_FINDING_DATA_SIZE, mend_data_record},
        {MEND_CONTENT, CST_FINDING_NO_TARSPLIT, mend_from_blob},
        {MEND_CONTENT, CST_FINDING_CONTENT_UNREADABLE, mend_from_blob},
        {MEND_CONTENT, CST_FINDING_CONTENT_DIGEST, mend_from_blob},
        {MEND_CONTENT, CST_FINDING_CONTENT_SIZE, mend_from_blob},
        {MEND_CONTENT, CST_FINDING_TREE_CHANGED, mend_from_blob},
        {MEND_CONTENT, CST_FINDING_TREE_UNREADABLE, mend_from_blob},
        {MEND_CONTENT, CST_FINDING_CONTENT_UNREADABLE, mend_image},
        {MEND_CONTENT, CST_FINDING_CONTENT_DIGEST, mend_image},
        {MEND_CONTENT, CST_FINDING_CONTENT_SIZE, mend_image},
        {MEND_CONTENT, CST_FINDING_TREE_CHANGED, mend_image},
        {MEND_CONTENT, CST_FINDING_TREE_UNREADABLE, mend_image},
        {MEND_CONTENT, CST_FINDING_NO_TARSPLIT, mend_by_packing},
        {MEND_CONTENT, CST_FINDING_CONTENT_UNREADABLE, mend_by_packing},
        {MEND_CONTENT, CST_FINDING_CONTENT_DIGEST, mend_by_packing},
        {MEND_CONTENT, CST_FINDING_TREE_UNREADABLE, mend_by_packing},
        {MEND_CONTENT, CST_FINDING_DATA_DIGEST, mend_data_record},
};

/* ---- one object ---- */

static int tell(struct mending *mending, const struct cst_finding *finding,
                enum cst_repair_action action, int result, const char *text, cst_error **error)
{
	const struct subject *about = &finding->about;
	_cleanup_free_ char *message = str_printf("%s %s: %s%s", subject_name(about), about->id,
	                                          result < 0 ? "cannot be mended: " : "", text);
	if (!message)
		return error_oom(error);
	const struct step step = {.kind = about->kind,
	                          .id = about->id,
	                          .action = action,
	                          .code = finding->code,
	                          .result = result,
	                          .message = message};
	return repairs_add(mending->steps, &step, error);
}

static int try_mender(struct mending *mending, const struct mender *mender,
                      const struct cst_finding *finding, bool *mended, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *done = NULL;
	int r = mender->mend(mending, finding, &done, &problem);
	if (r == CST_ENOMEM || r == CST_ECANCELED)
		return error_propagate(error, steal_ptr(&problem));
	/* What failed for want of room, or the like, may be mended another time: it is not deleted. */
	if (r == CST_ESYS && finding->about.kind == CST_KIND_LAYER &&
	    !strv_add(mending->left, finding->about.id))
		return error_oom(error);
	if (r < 0)
		return tell(mending, finding, CST_REPAIR_FAILED, r, cst_error_message(problem),
		            error);
	if (r == MEND_LEFT)
		return strv_add(mending->left, finding->about.id)
		               ? tell(mending, finding, CST_REPAIR_LEFT, 0, strempty(done), error)
		               : error_oom(error);
	*mended = r == MEND_DONE;
	mending->mended = mending->mended || *mended;
	return *mended ? tell(mending, finding, CST_REPAIR_MENDED, 0, strempty(done), error) : 0;
}

/* The findings of an object stand together, from number `first` on. */
static const struct cst_finding *own_finding(const struct cst_findings *findings, size_t first,
                                             enum cst_finding_code code)
{
	const struct cst_finding *at = &findings->items[first];
	for (size_t i = first;
	     i < findings->len && subject_equal(&findings->items[i].about, &at->about); i++) {
		if (findings->items[i].code == code && finding_is_own(&findings->items[i]))
			return &findings->items[i];
	}
	return NULL;
}

static bool was_tried(size_t n, uint64_t tried)
{
	for (size_t i = 0; i < n; i++) {
		if ((tried & UINT64_C(1) << i) && menders[i].mend == menders[n].mend)
			return true;
	}
	return false;
}

static int mend_object(struct mending *mending, size_t first, cst_error **error)
{
	uint64_t tried = 0, mended_codes = 0; /* masks */
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(menders); i++) {
		const struct mender *mender = &menders[i];
		const struct cst_finding *finding =
		        own_finding(mending->findings, first, mender->code);
		bool mended = false;
		if (!finding || mender->stage != mending->stage || was_tried(i, tried) ||
		    (mended_codes & UINT64_C(1) << mender->code))
			continue;
		r = try_mender(mending, mender, finding, &mended, error);
		tried |= UINT64_C(1) << i;
		mended_codes |= (uint64_t)mended << mender->code;
	}
	return r;
}

/* ---- all ---- */

struct object {
	const struct cst_finding *first;
	size_t number; /* of that finding */
	size_t depth;
};

/* Layers, each after those below it; images; containers. */
static int compare_objects(const void *left, const void *right)
{
	const struct object *a = left, *b = right;
	enum cst_kind kind = a->first->about.kind, other = b->first->about.kind;
	if (kind != other)
		return kind < other ? -1 : 1;
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

static int mend_objects(struct mending *mending, const struct depths *depths, cst_error **error)
{
	const struct cst_findings *findings = mending->findings;
	_cleanup_free_ struct object *objects = new0(struct object, findings->len + 1);
	size_t n = 0;
	int r = objects ? 0 : error_oom(error);
	for (size_t i = 0; r == 0 && i < findings->len; i++) {
		const struct subject *about = &findings->items[i].about;
		if (about->read_only || !findings_first_of_object(findings, i))
			continue;
		size_t depth = about->kind == CST_KIND_LAYER ? depth_of(depths, about->id) : 0;
		objects[n++] = (struct object){&findings->items[i], i, depth};
	}
	if (n)
		qsort(objects, n, sizeof(*objects), compare_objects);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = mend_object(mending, objects[i].number, error);
	return r;
}

int mend_all(struct mending *mending, enum mend_stage stage, cst_error **error)
{
	struct depths depths = {0};
	mending->stage = stage;
	mending->mended = false;
	int r = stage <= MEND_FILES ? 0 : depths_read(mending->store, &depths, error);
	if (r == 0)
		r = mend_objects(mending, &depths, error);
	depths_done(&depths);
	return r;
}

static bool still_has(const struct cst_findings *findings, const struct step *step)
{
	for (size_t i = 0; i < findings->len; i++) {
		const struct cst_finding *finding = &findings->items[i];
		if (finding->code == step->code && finding->about.kind == step->kind &&
		    streq(finding->about.id, step->id) && finding_is_own(finding))
			return true;
	}
	return false;
}

int mend_judge(struct mending *mending, const struct cst_findings *again, cst_error **error)
{
	struct cst_repairs *steps = mending->steps;
	for (size_t i = 0; i < steps->len; i++) {
		struct step *step = &steps->items[i];
		if (step->action != CST_REPAIR_MENDED || !still_has(again, step))
			continue;
		_cleanup_free_ char *message =
		        str_printf("%s, but that did not mend it", step->message);
		step->message = message ? arena_strdup(&steps->arena, message) : NULL;
		step->action = CST_REPAIR_FAILED;
		step->result = CST_ECORRUPT;
		if (!step->message)
			return error_oom(error);
	}
	return 0;
}
