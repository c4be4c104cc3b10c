/* SPDX-License-Identifier: Apache-2.0 */
/* Repairing: first what can be mended (mend.h); then what still has findings is taken away, from those who use it down to what is
 * used. */
#include "base/types.h"
#include "store/change/change.h"
#include "store/check/blobs.h"
#include "store/check/check.h"
#include "store/check/depth.h"
#include "store/check/garbage.h"
#include "store/check/lost.h"
#include "store/check/menders.h"
#include "store/layer/delete.h"

struct repair {
	cst_store *store;
	cst_repair_options options;
	const struct cst_findings *findings;
	struct cst_findings *again; /* after something was mended */
	struct cst_repairs *steps;
	struct strv deleted; /* layers that went with images */
	struct blobs *blobs;
	struct strv left; /* layers that are in use, files that were told of */
	char *lost;       /* records were lost: what tells so; NULL: none were */
};

/* ---- what was done ---- */

/* `go_verb`: "deleting layer", as messages of the Go command begin. */
static int add_step(struct repair *repair, const struct subject *about, int result,
                    const char *go_verb, const cst_error *problem, cst_error **error)
{
	const char *name = subject_name(about);
	_cleanup_free_ char *message = result < 0
	                                       ? str_printf("%s %s cannot be deleted: %s", name,
	                                                    about->id, cst_error_message(problem))
	                                       : str_printf("%s %s deleted", name, about->id);
	_cleanup_free_ char *go_message = result < 0 ? str_printf("%s %s: %s", go_verb, about->id,
	                                                          cst_error_go_message(problem))
	                                             : strdup("");
	const struct step step = {.kind = about->kind,
	                          .id = about->id,
	                          .action = result < 0 ? CST_REPAIR_FAILED : CST_REPAIR_DELETED,
	                          .result = result,
	                          .message = message,
	                          .go_message = go_message};
	return message && go_message ? repairs_add(repair->steps, &step, error) : error_oom(error);
}

/* Tells of what is damaged and stays. */
static int add_left(struct repair *repair, const struct subject *about, const char *why,
                    cst_error **error)
{
	_cleanup_free_ char *message =
	        str_printf("%s %s is left as it is: %s", subject_name(about), about->id, why);
	const struct step step = {.kind = about->kind,
	                          .id = about->id,
	                          .action = CST_REPAIR_LEFT,
	                          .message = message};
	return message ? repairs_add(repair->steps, &step, error) : error_oom(error);
}

/* Is it a layer that was left, or does it have one? The findings of an object stand together. */
static bool is_left(const struct repair *repair, size_t first)
{
	const struct cst_finding *items = repair->findings->items;
	for (size_t i = first; repair->left.len && i < repair->findings->len &&
	                       subject_equal(&items[i].about, &items[first].about);
	     i++) {
		if (items[i].origin.kind == CST_KIND_LAYER &&
		    strv_contains(&repair->left, items[i].origin.id))
			return true;
	}
	return false;
}

/* Findings that say only that a record is missing, or unusable. */
static bool is_about_records(enum cst_finding_code code)
{
	static const enum cst_finding_code codes[] = {
	        CST_FINDING_PARENT_MISSING, CST_FINDING_LAYER_MISSING, CST_FINDING_IMAGE_MISSING,
	        CST_FINDING_UNREFERENCED, CST_FINDING_NO_RECORD};
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i] == code)
			return true;
	}
	return false;
}

/* Why the object, whose first finding has this number, is not deleted; NULL: it is. */
static const char *reason_to_stay(const struct repair *repair, size_t first)
{
	const char *reason = NULL;
	const struct cst_finding *items = repair->findings->items;
	if (repair->options.delete_only)
		return NULL;
	for (size_t i = first;
	     i < repair->findings->len && subject_equal(&items[i].about, &items[first].about);
	     i++) {
		if (items[i].code == CST_FINDING_RECORD || items[i].code == CST_FINDING_MOUNT)
			reason = items[i].message;
		else if (repair->lost && is_about_records(items[i].code))
			reason = repair->lost;
		else
			return NULL;
	}
	return reason;
}

/* ---- containers and images ---- */

static int delete_container(struct repair *repair, const struct subject *about, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = cst_store_delete_container(repair->store, about->id, &problem);
	return r == CST_ECONTAINER_UNKNOWN
	               ? 0
	               : add_step(repair, about, r, "deleting container", problem, error);
}

static int delete_image(struct repair *repair, const struct subject *about, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	cst_strings *layers = NULL;
	int r = cst_store_delete_image(repair->store, about->id, true, &layers, &problem);
	bool failed = false;
	for (size_t i = 0; r == 0 && i < cst_strings_size(layers); i++)
		failed = !strv_add(&repair->deleted, cst_strings_get(layers, i)) || failed;
	cst_strings_free(layers);
	if (failed)
		return error_oom(error);
	return r == CST_EIMAGE_UNKNOWN || r == CST_ELAYER_UNKNOWN
	               ? 0
	               : add_step(repair, about, r, "deleting image", problem, error);
}

/* ---- layers ---- */

static int remove_from_driver(cst_store *store, const char *id, cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	int r = change_hold(&change, store, hold_only(CST_KIND_LAYER, HOLD_WRITE), error);
	if (r < 0 || record_set_get(store->sets.layers.table, id)) /* somebody made a layer of it */
		return r;
	struct piece piece = {.kind = CST_KIND_LAYER, .id = id};
	garbage_add_removal(&change, &piece);
	return change_commit(&change, error);
}

static int delete_layer(struct repair *repair, size_t i, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	const struct cst_finding *finding = &repair->findings->items[i];
	const struct subject *about = &finding->about;
	if (finding->code == CST_FINDING_NO_RECORD)
		return add_step(repair, about,
		                remove_from_driver(repair->store, about->id, &problem),
		                "deleting storage layer", problem, error);
	int r = layer_delete(repair->store, about->id, NULL, &problem);
	return r == CST_ENOT_A_LAYER || r == CST_ELAYER_UNKNOWN
	               ? 0
	               : add_step(repair, about, r, "deleting layer", problem, error);
}

struct damaged_layer {
	size_t finding;
	size_t depth; /* how many layers are below it */
	bool no_record;
};

/* Children before parents; what no record knows last, in the order of the driver. */
static int compare_layers(const void *left, const void *right)
{
	const struct damaged_layer *a = left, *b = right;
	if (a->no_record != b->no_record)
		return a->no_record ? 1 : -1;
	if (!a->no_record && a->depth != b->depth)
		return a->depth > b->depth ? -1 : 1;
	return a->finding < b->finding ? -1 : a->finding > b->finding;
}

static int delete_damaged(struct repair *repair, const struct depths *depths, cst_error **error)
{
	const struct cst_findings *findings = repair->findings;
	_cleanup_free_ struct damaged_layer *damaged =
	        new0(struct damaged_layer, findings->len + 1);
	size_t n = 0;
	int r = damaged ? 0 : error_oom(error);
	for (size_t i = 0; r == 0 && i < findings->len; i++) {
		const struct cst_finding *finding = &findings->items[i];
		const struct subject *about = &finding->about;
		bool wanted =
		        about->kind == CST_KIND_LAYER && !about->read_only &&
		        (findings_first_of_object(findings, i) || repair->store->as_upstream) &&
		        !strv_contains(&repair->deleted, about->id) && !is_left(repair, i);
		if (wanted)
			damaged[n++] = (struct damaged_layer){.finding = i,
			                                      .depth = depth_of(depths, about->id),
			                                      .no_record = finding->code ==
			                                                   CST_FINDING_NO_RECORD};
	}
	if (n)
		qsort(damaged, n, sizeof(*damaged), compare_layers);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *stays = reason_to_stay(repair, damaged[i].finding);
		r = stays ? add_left(repair, &findings->items[damaged[i].finding].about, stays,
		                     error)
		          : delete_layer(repair, damaged[i].finding, error);
	}
	return r;
}

static int delete_layers(struct repair *repair, cst_error **error)
{
	struct depths depths = {0};
	int r = depths_read(repair->store, &depths, error);
	if (r == 0)
		r = delete_damaged(repair, &depths, error);
	depths_done(&depths);
	return r;
}

/* ---- all ---- */

typedef int (*repair_step)(struct repair *repair, const struct subject *about, cst_error **error);

static int for_each(struct repair *repair, enum cst_kind kind, repair_step step, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < repair->findings->len; i++) {
		const struct subject *about = &repair->findings->items[i].about;
		if (about->kind != kind || about->read_only ||
		    !findings_first_of_object(repair->findings, i) || is_left(repair, i))
			continue;
		const char *stays = reason_to_stay(repair, i);
		r = stays ? add_left(repair, about, stays, error) : step(repair, about, error);
	}
	return r;
}

/* While records cannot be read, nobody knows what is used. */
static bool records_are_hidden(const struct repair *repair)
{
	const struct cst_findings *findings = repair->findings;
	bool hidden = false;
	for (size_t i = 0; i < findings->len; i++)
		hidden = hidden || findings->items[i].code == CST_FINDING_RECORDS ||
		         lock_files_hide_records(repair->store, &findings->items[i]);
	return hidden;
}

/* Before the first of them is made again. */
static int note_lost(struct repair *repair, cst_error **error)
{
	int r = records_lost(repair->store, &repair->lost, error);
	return r == 0 && repair->lost ? records_mark_lost(repair->store, error) : r;
}

/* After it repair->findings are those that are left. */
static int mend(struct repair *repair, cst_error **error)
{
	_cleanup_strv_ struct strv sound = {0};
	struct mending mending = {.store = repair->store,
	                          .options = &repair->options,
	                          .blobs = repair->blobs,
	                          .left = &repair->left,
	                          .sound = &sound,
	                          .steps = repair->steps};
	int r = 0;
	for (enum mend_stage stage = 0; r == 0 && stage < MEND_STAGES; stage++) {
		struct cst_findings *again = NULL;
		if (stage > MEND_FILES && records_are_hidden(repair))
			return 0;
		if (stage == MEND_STORE)
			r = note_lost(repair, error);
		if (r < 0)
			return r;
		mending.findings = repair->findings;
		mending.lost = repair->lost;
		r = mend_all(&mending, stage, error);
		if (r < 0 || !mending.mended)
			continue;
		r = stage <= MEND_FILES
		            ? cst_store_check(repair->store, &repair->findings->options, &again,
		                              error)
		            : check_again(repair->store, repair->findings, NULL, &again, error);
		if (r < 0)
			return r;
		cst_findings_free(repair->again);
		repair->findings = repair->again = again;
		r = mend_judge(&mending, again, error);
	}
	return r;
}

static int leave_container(struct repair *repair, const struct subject *about, cst_error **error)
{
	return add_left(repair, about, "deleting containers was not asked for", error);
}

static int leave_file(struct repair *repair, const struct subject *about, cst_error **error)
{
	return strv_contains(&repair->left, about->id)
	               ? 0
	               : add_left(repair, about, "it is not understood, so nothing is deleted",
	                          error);
}

static int tell_read_only(struct repair *repair, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < repair->findings->len; i++) {
		const struct subject *about = &repair->findings->items[i].about;
		if (about->read_only && findings_first_of_object(repair->findings, i))
			r = add_left(repair, about, "it is in an additional store", error);
	}
	return r;
}

static int run(struct repair *repair, cst_error **error)
{
	int r = repair->options.delete_only ? 0 : mend(repair, error);
	if (r == 0 && records_are_hidden(repair))
		return for_each(repair, FILE_SUBJECT, leave_file, error);
	if (r == 0 && (repair->options.remove_containers || !repair->options.delete_only))
		r = for_each(repair, CST_KIND_CONTAINER,
		             repair->options.remove_containers ? delete_container : leave_container,
		             error);
	if (r == 0)
		r = for_each(repair, CST_KIND_IMAGE, delete_image, error);
	if (r == 0)
		r = delete_layers(repair, error);
	return r == 0 && !repair->options.delete_only ? tell_read_only(repair, error) : r;
}

DEFINE_CLEANUP(cst_repairs *, cst_repairs_free)

int cst_store_repair(cst_store *store, const cst_findings *findings,
                     const cst_repair_options *given, cst_repairs **ret, cst_error **error)
{
	_cleanup_(cst_repairs_freep) struct cst_repairs *steps = new0(struct cst_repairs, 1);
	struct repair repair = {.store = store,
	                        .options = CST_REPAIR_OPTIONS_INIT,
	                        .findings = findings,
	                        .steps = steps};
	int r = steps ? options_take(&repair.options, sizeof(repair.options), given,
	                             "cst_repair_options", error)
	              : error_oom(error);
	if (r == 0 && store->read_only)
		r = error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	if (r == 0)
		r = mend_open_blobs(store, &repair.options, &repair.blobs, error);
	if (r == 0)
		r = run(&repair, error);
	blobs_free(repair.blobs);
	strv_free(&repair.left);
	strv_free(&repair.deleted);
	free(repair.lost);
	cst_findings_free(repair.again);
	if (r == 0 && ret)
		*ret = steal_ptr(&steps);
	return r;
}
