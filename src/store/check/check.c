/* SPDX-License-Identifier: Apache-2.0 */
/* The order of one look through a store (check.h). */
#include "store/check/check.h"
#include "base/types.h"
#include "store/core/driver.h"

static void inventory_done(struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_items; i++) {
		findings_done(&inventory->items[i].found);
		cst_error_free(inventory->items[i].error);
	}
	free(inventory->items);
	for (size_t i = 0; i < KINDS; i++)
		hashmap_free(&inventory->by_id[i]);
	cst_layer_list_free(inventory->layers);
	cst_image_list_free(inventory->images);
	cst_container_list_free(inventory->containers);
}

static void check_done(struct check *check)
{
	inventory_done(&check->before);
	inventory_done(&check->now);
	cst_findings_free(check->findings);
}

struct checked *inventory_get(const struct inventory *inventory, enum cst_kind kind, const char *id)
{
	return hashmap_get(&inventory->by_id[kind - CST_KIND_LAYER], id);
}

static int add_item(struct check *check, struct inventory *inventory, enum cst_kind kind,
                    const void *record, bool read_only, cst_error **error)
{
	struct hashmap *by_id = &inventory->by_id[kind - CST_KIND_LAYER];
	if (hashmap_contains(by_id, record_id(record)))
		return 0;
	struct checked *item = &inventory->items[inventory->n_items];
	*item = (struct checked){
	        .check = check,
	        .record = record,
	        .about = {.kind = kind, .id = record_id(record), .read_only = read_only}};
	if (!hashmap_put(by_id, item->about.id, item))
		return error_oom(error);
	inventory->n_items++;
	return 0;
}

static void mark_copies(struct inventory *inventory, const cst_image *image)
{
	for (size_t i = 0; i < image->mapped_layers.len; i++) {
		struct checked *layer =
		        inventory_get(inventory, CST_KIND_LAYER, image->mapped_layers.items[i]);
		if (layer)
			layer->is_copy = true;
	}
}

static int inventory_read(struct check *check, struct inventory *ret, cst_error **error)
{
	int r = cst_store_snapshot(check->store, &ret->layers, &ret->images, &ret->containers,
	                           error);
	if (r < 0)
		return r;
	size_t n_layers = cst_layer_list_size(ret->layers),
	       n_images = cst_image_list_size(ret->images),
	       n_containers = cst_container_list_size(ret->containers);
	ret->items = new0(struct checked, n_layers + n_images + n_containers + 1);
	if (!ret->items)
		return error_oom(error);
	for (size_t i = 0; r == 0 && i < n_layers; i++) {
		const cst_layer *layer = cst_layer_list_get(ret->layers, i);
		r = add_item(check, ret, CST_KIND_LAYER, layer, layer->read_only, error);
	}
	for (size_t i = 0; r == 0 && i < n_images; i++) {
		const cst_image *image = cst_image_list_get(ret->images, i);
		r = add_item(check, ret, CST_KIND_IMAGE, image, image->read_only, error);
		mark_copies(ret, image);
	}
	for (size_t i = 0; r == 0 && i < n_containers; i++)
		r = add_item(check, ret, CST_KIND_CONTAINER,
		             cst_container_list_get(ret->containers, i), false, error);
	return r;
}

int check_progress(struct check *check, size_t bytes, cst_error **error)
{
	cst_progress_state state = {
	        .size = sizeof(state), .what = "check", .bytes_total = check->bytes_total};
	state.bytes_done = atomic_fetch_add(&check->bytes_done, bytes) + bytes;
	int r = 0;
	if (pthread_equal(pthread_self(), check->caller))
		r = progress_tell(check->options.progress, &state, error);
	if (r < 0)
		atomic_store(&check->canceled, true);
	else if (atomic_load(&check->canceled))
		r = error_set(error, CST_ECANCELED, "canceled");
	return r;
}

/* ---- what is looked at ---- */

/* Marks the items that are looked at. */
static void choose(struct check *check)
{
	for (size_t i = 0; i < check->before.n_items; i++)
		check->before.items[i].wanted = !check->only;
	for (size_t i = 0; check->only && i < check->only->len; i++) {
		const struct subject *about = &check->only->items[i].about;
		struct checked *item = inventory_get(&check->before, about->kind, about->id);
		if (item)
			item->wanted = true;
	}
}

static void count_bytes(struct check *check)
{
	for (size_t i = 0; i < check->before.n_items; i++) {
		const struct checked *item = &check->before.items[i];
		const cst_layer *layer = item->record;
		if (item->wanted && item->about.kind == CST_KIND_LAYER && *layer->diff_digest)
			check->bytes_total += (uint64_t)MAX(layer->diff_size, (int64_t)0);
	}
}

static int look_at(struct checked *item, cst_error **error)
{
	const struct check *check = item->check;
	bool readable = true;
	int r = check_wants(check, CST_CHECK_DATA) ? check_data(item, error) : 0;
	if (r < 0 || item->about.kind != CST_KIND_LAYER)
		return r;
	if (!item->about.read_only && !check_wants(check, CST_CHECK_MOUNTS)) {
		r = check_driver_files(item, &readable, error);
		if (r == 0)
			r = check_mount(item, error);
	}
	return r == 0 && readable ? check_layer_content(item, error) : r;
}

static void look(struct task *task)
{
	struct checked *item = (struct checked *)((char *)task - offsetof(struct checked, task));
	item->result = item->wanted ? look_at(item, &item->error) : 0;
	atomic_fetch_sub(&item->check->n_left, 1);
}

static bool all_done(void *arg)
{
	struct check *check = arg;
	return atomic_load(&check->n_left) == 0;
}

static int look_at_all(struct check *check, cst_error **error)
{
	struct pool *pool = NULL;
	int r = store_pool(check->store, &pool, error);
	if (r < 0)
		return r;
	atomic_store(&check->n_left, check->before.n_items);
	for (size_t i = 0; i < check->before.n_items; i++) {
		check->before.items[i].task.run = look;
		pool_submit(pool, &check->before.items[i].task);
	}
	pool_wait(pool, all_done, check);
	for (size_t i = 0; i < check->before.n_items; i++) {
		if (check->before.items[i].result < 0)
			return error_propagate(error, steal_ptr(&check->before.items[i].error));
	}
	for (size_t i = 0;
	     r == 0 && check_wants(check, CST_CHECK_MOUNTS) && i < check->before.n_items; i++) {
		const struct subject *about = &check->before.items[i].about;
		if (check->before.items[i].wanted && about->kind == CST_KIND_LAYER &&
		    !about->read_only)
			r = check_layer_mount(&check->before.items[i], error);
	}
	return r;
}

/* ---- what is still so ---- */

static bool same_strings(const struct strings *a, const struct strings *b)
{
	bool same = a->len == b->len;
	for (size_t i = 0; same && i < a->len; i++)
		same = streq(a->items[i], b->items[i]);
	return same;
}

static bool same_layer(const cst_layer *a, const cst_layer *b)
{
	return timestamp_equal(&a->created, &b->created) && streq(a->diff_digest, b->diff_digest) &&
	       a->diff_size == b->diff_size && same_strings(&a->data_names, &b->data_names);
}

static bool same_data(const struct data_items *a, const struct data_items *b)
{
	bool same = a->len == b->len;
	for (size_t i = 0; same && i < a->len; i++)
		same = streq(a->items[i].name, b->items[i].name) &&
		       a->items[i].size == b->items[i].size &&
		       streq(a->items[i].digest, b->items[i].digest);
	return same;
}

static bool same_record(enum cst_kind kind, const void *before, const void *now)
{
	if (kind == CST_KIND_LAYER)
		return same_layer(before, now);
	struct data_items a = record_data(kind_of(kind), before),
	                  b = record_data(kind_of(kind), now);
	return same_data(&a, &b);
}

/* Items that somebody changed or deleted meanwhile are not judged by what was seen of them. */
static int look_again(struct check *check, cst_error **error)
{
	int r = inventory_read(check, &check->now, error);
	for (size_t i = 0; r == 0 && i < check->before.n_items; i++) {
		struct checked *before = &check->before.items[i];
		struct checked *now =
		        inventory_get(&check->now, before->about.kind, before->about.id);
		if (now && same_record(before->about.kind, before->record, now->record))
			findings_copy(&now->found, &before->found, NULL);
	}
	return r;
}

static int run(struct check *check, cst_error **error)
{
	bool goes_on = true;
	int r = 0;
	if (!check_wants(check, CST_CHECK_MOUNTS)) {
		r = check_lock_files(check, &goes_on, error);
		if (r == 0 && goes_on)
			r = check_record_files(check, &goes_on, error);
	}
	if (r < 0 || !goes_on)
		return r;
	r = inventory_read(check, &check->before, error);
	if (r < 0)
		return r;
	choose(check);
	count_bytes(check);
	r = look_at_all(check, error);
	if (r == 0)
		r = look_again(check, error);
	return r == 0 ? check_records(check, error) : r;
}

static int check_some(cst_store *store, const cst_check_options *given,
                      const struct cst_findings *only, cst_findings **ret, cst_error **error)
{
	_cleanup_(check_done) struct check check = {.store = store,
	                                            .only = only,
	                                            .caller = pthread_self(),
	                                            .options = CST_CHECK_OPTIONS_INIT};
	int r = options_take(&check.options, sizeof(check.options), given, "cst_check_options",
	                     error);
	if (r == 0 && store->read_only && check_wants(&check, CST_CHECK_MOUNTS))
		r = error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	if (r == 0)
		r = (check.findings = new0(struct cst_findings, 1)) ? 0 : error_oom(error);
	if (r == 0)
		r = run(&check, error);
	if (r < 0)
		return r;
	check.findings->options = check.options;
	check.findings->options.progress = NULL;
	*ret = steal_ptr(&check.findings);
	return 0;
}

int cst_store_check(cst_store *store, const cst_check_options *given, cst_findings **ret,
                    cst_error **error)
{
	return check_some(store, given, NULL, ret, error);
}

int check_again(cst_store *store, const struct cst_findings *findings, const cst_progress *progress,
                cst_findings **ret, cst_error **error)
{
	cst_check_options options = findings->options;
	options.progress = progress;
	return check_some(store, &options, findings, ret, error);
}
