/* SPDX-License-Identifier: Apache-2.0 */
/* Taking away what is damaged, from those who use it down to what is used. */
#include "base/hashmap.h"
#include "store/change/change.h"
#include "store/check/findings.h"
#include "store/check/garbage.h"
#include "store/core/store.h"
#include "store/layer/delete.h"

struct step {
	enum cst_kind kind;
	int result;
	const char *id, *message, *go_message;
};

struct cst_repairs {
	struct arena arena;
	struct step *items;
	size_t len, capacity;
};

struct repair {
	cst_store *store;
	const cst_findings *findings;
	struct cst_repairs *steps;
	struct strv deleted; /* layers that went with images */
};

/* ---- what was done ---- */

/* `go_verb`: "deleting layer", as messages of the Go command begin. */
static int add_step(struct repair *repair, const struct subject *about, int result,
                    const char *go_verb, const cst_error *problem, cst_error **error)
{
	struct cst_repairs *steps = repair->steps;
	struct step *grown =
	        grow_array(steps->items, &steps->capacity, steps->len + 1, sizeof(*grown));
	const char *name = kind_of(about->kind)->name;
	_cleanup_free_ char *message = result < 0
	                                       ? str_printf("%s %s cannot be deleted: %s", name,
	                                                    about->id, cst_error_message(problem))
	                                       : str_printf("%s %s deleted", name, about->id);
	_cleanup_free_ char *go_message = result < 0 ? str_printf("%s %s: %s", go_verb, about->id,
	                                                          cst_error_go_message(problem))
	                                             : strdup("");
	if (!grown || !message || !go_message)
		return error_oom(error);
	steps->items = grown;
	grown[steps->len++] = (struct step){.kind = about->kind,
	                                    .result = result,
	                                    .id = arena_strdup(&steps->arena, about->id),
	                                    .message = arena_strdup(&steps->arena, message),
	                                    .go_message = arena_strdup(&steps->arena, go_message)};
	return steps->arena.failed ? error_oom(error) : 0;
}

/* The findings of one object stand together. */
static bool is_first_of(const struct repair *repair, size_t i)
{
	const struct cst_finding *items = repair->findings->items;
	return i == 0 || items[i].about.kind != items[i - 1].about.kind ||
	       !streq(items[i].about.id, items[i - 1].about.id);
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

/* A record that is its own ancestor ends the walk. */
static size_t depth_of(const struct hashmap *by_id, const char *id)
{
	size_t depth = 0;
	const cst_layer *layer = hashmap_get(by_id, id);
	while (layer && *cst_layer_parent(layer) && depth < by_id->len) {
		layer = hashmap_get(by_id, cst_layer_parent(layer));
		depth++;
	}
	return depth;
}

static int index_layers(const cst_layer_list *layers, struct hashmap *by_id, cst_error **error)
{
	for (size_t i = 0; i < cst_layer_list_size(layers); i++) {
		const cst_layer *layer = cst_layer_list_get(layers, i);
		if (!hashmap_contains(by_id, cst_layer_id(layer)) &&
		    !hashmap_put(by_id, cst_layer_id(layer), (void *)layer))
			return error_oom(error);
	}
	return 0;
}

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

static int delete_layers(struct repair *repair, cst_error **error)
{
	_cleanup_hashmap_ struct hashmap by_id = {0};
	cst_layer_list *layers = NULL;
	const struct cst_findings *findings = repair->findings;
	struct damaged_layer *damaged = new0(struct damaged_layer, findings->len + 1);
	size_t n = 0;
	int r = damaged ? cst_store_layers(repair->store, &layers, error) : error_oom(error);
	if (r == 0)
		r = index_layers(layers, &by_id, error);
	for (size_t i = 0; r == 0 && i < findings->len; i++) {
		const struct cst_finding *finding = &findings->items[i];
		bool wanted = finding->about.kind == CST_KIND_LAYER && !finding->about.read_only &&
		              (is_first_of(repair, i) || repair->store->as_upstream) &&
		              !strv_contains(&repair->deleted, finding->about.id);
		if (wanted)
			damaged[n++] = (struct damaged_layer){
			        .finding = i,
			        .depth = depth_of(&by_id, finding->about.id),
			        .no_record = finding->code == CST_FINDING_NO_RECORD};
	}
	if (n)
		qsort(damaged, n, sizeof(*damaged), compare_layers);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = delete_layer(repair, damaged[i].finding, error);
	cst_layer_list_free(layers);
	free(damaged);
	return r;
}

/* ---- all ---- */

typedef int (*repair_step)(struct repair *repair, const struct subject *about, cst_error **error);

static int for_each(struct repair *repair, enum cst_kind kind, repair_step step, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < repair->findings->len; i++) {
		const struct subject *about = &repair->findings->items[i].about;
		if (about->kind == kind && !about->read_only && is_first_of(repair, i))
			r = step(repair, about, error);
	}
	return r;
}

DEFINE_CLEANUP(cst_repairs *, cst_repairs_free)

int cst_store_repair(cst_store *store, const cst_findings *findings,
                     const cst_repair_options *given, cst_repairs **ret, cst_error **error)
{
	cst_repair_options options = CST_REPAIR_OPTIONS_INIT;
	_cleanup_(cst_repairs_freep) struct cst_repairs *steps = new0(struct cst_repairs, 1);
	struct repair repair = {.store = store, .findings = findings, .steps = steps};
	int r = steps ? options_take(&options, sizeof(options), given, "cst_repair_options", error)
	              : error_oom(error);
	if (r == 0 && store->read_only)
		r = error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	if (r == 0 && options.remove_containers)
		r = for_each(&repair, CST_KIND_CONTAINER, delete_container, error);
	if (r == 0)
		r = for_each(&repair, CST_KIND_IMAGE, delete_image, error);
	if (r == 0)
		r = delete_layers(&repair, error);
	strv_free(&repair.deleted);
	if (r == 0 && ret)
		*ret = steal_ptr(&steps);
	return r;
}

size_t cst_repairs_size(const cst_repairs *repairs)
{
	return repairs ? repairs->len : 0;
}

int cst_repairs_kind(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? (int)repairs->items[index].kind : CST_EINVAL;
}

const char *cst_repairs_id(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].id : NULL;
}

int cst_repairs_result(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].result : CST_EINVAL;
}

const char *cst_repairs_message(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].message : NULL;
}

const char *cst_repairs_go_message(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].go_message : NULL;
}

void cst_repairs_free(cst_repairs *repairs)
{
	if (!repairs)
		return;
	arena_clear(&repairs->arena);
	free(repairs->items);
	free(repairs);
}
