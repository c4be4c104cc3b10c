/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting what nobody uses, in one change: containers that are not mounted, images without containers, layers that
 * nothing is built on. What goes is chosen twice: to be measured, without a lock, and again under the locks, where what
 * somebody uses by now stays.
 */
#include "base/hashmap.h"
#include "store/change/deletion.h"
#include "store/check/age.h"
#include "store/check/garbage.h"
#include "store/check/lost.h"
#include "store/core/hold.h"
#include "store/core/store.h"

struct choice {
	cst_store *store;
	const cst_prune_options *options;
	struct timespec now;
	struct hashmap kept_layers, kept_images; /* IDs of what is used */
	struct hashmap owners; /* of layers that go with an image or a container: to its ID */
	struct cst_garbage *chosen;
	bool failed; /* out of memory */
};

static void choice_done(struct choice *choice)
{
	hashmap_free(&choice->kept_layers);
	hashmap_free(&choice->kept_images);
	hashmap_free(&choice->owners);
}

static void choose(struct choice *choice, enum cst_kind kind, const char *id)
{
	choice->failed = garbage_add(choice->chosen, kind, id, NULL) < 0 || choice->failed;
}

static void keep(struct choice *choice, struct hashmap *kept, const char *id)
{
	if (*id)
		choice->failed = !hashmap_put(kept, id, choice) || choice->failed;
}

/* With all that it is built on. */
static void keep_layer(struct choice *choice, const char *id)
{
	while (*id && !hashmap_contains(&choice->kept_layers, id)) {
		const cst_layer *layer = layer_table_get(choice->store->sets.layers.table, id);
		keep(choice, &choice->kept_layers, id);
		id = layer ? layer->parent : "";
	}
}

static void keep_layers_of_image(struct choice *choice, const cst_image *image)
{
	keep_layer(choice, image->layer);
	for (size_t i = 0; i < image->mapped_layers.len; i++)
		keep_layer(choice, image->mapped_layers.items[i]);
}

/* They go with their owner, unless somebody else keeps them. */
static void give_layers(struct choice *choice, const char *top, const char *owner)
{
	for (const char *id = top; *id && !hashmap_contains(&choice->owners, id);) {
		const cst_layer *layer = layer_table_get(choice->store->sets.layers.table, id);
		if (!layer)
			return;
		choice->failed = !hashmap_put(&choice->owners, id, (void *)owner) || choice->failed;
		id = layer->parent;
	}
}

static bool is_old(const struct choice *choice, const struct timestamp *created)
{
	return age_exceeds(created, &choice->now, choice->options->older_than);
}

static bool is_mounted(const struct choice *choice, const char *layer_id)
{
	const cst_layer *layer = layer_table_get(choice->store->sets.layers.table, layer_id);
	return layer && layer->mount_count > 0;
}

static void choose_containers(struct choice *choice)
{
	const struct record_set *containers = choice->store->sets.containers.table;
	for (size_t i = 0; i < record_set_size(containers); i++) {
		const cst_container *container = container_table_at(containers, i);
		if (choice->options->containers && is_old(choice, &container->created) &&
		    !is_mounted(choice, container->layer)) {
			choose(choice, CST_KIND_CONTAINER, container->id);
			choice->failed = !hashmap_put(&choice->owners, container->layer,
			                              (void *)container->id) ||
			                 choice->failed;
		} else {
			keep_layer(choice, container->layer);
			keep(choice, &choice->kept_images, container->image);
		}
	}
}

static void choose_images(struct choice *choice)
{
	const struct record_set *images = choice->store->sets.images.table;
	for (size_t i = 0; i < record_set_size(images); i++) {
		const cst_image *image = image_table_at(images, i);
		bool goes = choice->options->images && is_old(choice, &image->created) &&
		            !hashmap_contains(&choice->kept_images, image->id);
		if (!goes) {
			keep_layers_of_image(choice, image);
			continue;
		}
		choose(choice, CST_KIND_IMAGE, image->id);
		for (size_t k = 0; k < image->mapped_layers.len; k++)
			give_layers(choice, image->mapped_layers.items[k], image->id);
		give_layers(choice, image->layer, image->id);
	}
	/* Images in the graph root of a split store have their layers among ours. */
	for (size_t i = 0; i < choice->store->n_additional; i++) {
		const struct record_set *others = choice->store->additional[i].sets.images.table;
		for (size_t k = 0; others && k < record_set_size(others); k++)
			keep_layers_of_image(choice, image_table_at(others, k));
	}
}

static bool layer_goes(const struct choice *choice, const cst_layer *layer)
{
	return !is_mounted(choice, layer->id) &&
	       (hashmap_contains(&choice->owners, layer->id) ||
	        (choice->options->layers && is_old(choice, &layer->created)));
}

/* From the top down: children stand before their parents. */
static void choose_chain(struct choice *choice, const cst_layer *layer, struct hashmap *told)
{
	const struct record_set *layers = choice->store->sets.layers.table;
	for (; layer && !hashmap_contains(&choice->kept_layers, layer->id) &&
	       !hashmap_contains(told, layer->id);
	     layer = *layer->parent ? layer_table_get(layers, layer->parent) : NULL) {
		for (const cst_layer *child = layer_table_first_child(layers, layer->id); child;
		     child = layer_table_next_child(layers, child))
			if (!hashmap_contains(told, child->id))
				return; /* the last of them comes back here */
		choose(choice, CST_KIND_LAYER, layer->id);
		choice->failed = !hashmap_put(told, layer->id, choice) || choice->failed;
	}
}

static void choose_layers(struct choice *choice)
{
	const struct record_set *layers = choice->store->sets.layers.table;
	_cleanup_hashmap_ struct hashmap told = {0};
	for (size_t i = 0; i < record_set_size(layers); i++) {
		const cst_layer *layer = layer_table_at(layers, i);
		if (!hashmap_contains(&choice->kept_layers, layer->id) &&
		    !layer_goes(choice, layer))
			keep_layer(choice, layer->id); /* and with it what it is built on */
	}
	for (size_t i = 0; i < record_set_size(layers); i++) {
		const cst_layer *layer = layer_table_at(layers, i);
		if (!layer_table_first_child(layers, layer->id))
			choose_chain(choice, layer, &told);
	}
}

/* All sets are held. */
static int choose_all(struct choice *choice, cst_error **error)
{
	/* Nobody mounts while the layers are held. */
	int r = layers_load_mounts(choice->store, error);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &choice->now);
	choose_containers(choice);
	choose_images(choice);
	choose_layers(choice);
	return choice->failed ? error_oom(error) : 0;
}

/* ---- deleting ---- */

static void add_deletion(struct change *change, const struct choice *choice,
                         const struct piece *piece)
{
	cst_store *store = change->store;
	if (piece->kind != CST_KIND_LAYER) {
		deletion_add(change, piece->kind, piece->id);
		return;
	}
	const char *owner = hashmap_get(&choice->owners, piece->id);
	bool container = owner && container_table_get(store->sets.containers.table, owner);
	deletion_add_layer(change, layer_table_get(store->sets.layers.table, piece->id),
	                   !owner      ? 0
	                   : container ? CST_KIND_CONTAINER
	                               : CST_KIND_IMAGE,
	                   owner);
}

static bool index_pieces(const struct cst_garbage *garbage, struct hashmap by_id[KINDS])
{
	bool indexed = true;
	for (size_t i = 0; i < garbage->len && indexed; i++) {
		struct piece *piece = &garbage->items[i];
		indexed = hashmap_put(&by_id[piece->kind - CST_KIND_LAYER], piece->id, piece);
	}
	return indexed;
}

/* Of what was told, that which nobody uses still. */
static void add_deletions(struct change *change, const struct choice *choice,
                          const struct hashmap still[KINDS], struct cst_garbage *chosen)
{
	size_t n = 0;
	for (size_t i = 0; i < chosen->len; i++) {
		const struct piece piece = chosen->items[i];
		if (!hashmap_contains(&still[piece.kind - CST_KIND_LAYER], piece.id))
			continue;
		chosen->items[n++] = piece;
		add_deletion(change, choice, &piece);
	}
	chosen->len = n;
}

/* What was not to be deleted at first, and is now, waits for the next time: nobody has been told of it. */
static int delete_chosen(cst_store *store, const cst_prune_options *options,
                         struct cst_garbage *chosen, cst_error **error)
{
	_cleanup_change_ struct change change = {.trash.progress = options->progress};
	_cleanup_(cst_garbage_freep) struct cst_garbage *again = new0(struct cst_garbage, 1);
	_cleanup_(choice_done) struct choice choice = {
	        .store = store, .options = options, .chosen = again};
	int r = again ? deletion_begin(&change, store,
	                               hold_three(HOLD_WRITE, HOLD_WRITE, HOLD_WRITE), error)
	              : error_oom(error);
	if (r == 0)
		r = choose_all(&choice, error);
	struct hashmap still[KINDS] = {0};
	if (r == 0 && !index_pieces(again, still))
		r = error_oom(error);
	if (r == 0)
		add_deletions(&change, &choice, still, chosen);
	for (size_t i = 0; i < KINDS; i++)
		hashmap_free(&still[i]);
	return r == 0 ? change_commit(&change, error) : r;
}

static int list_chosen(cst_store *store, const cst_prune_options *options,
                       struct cst_garbage *chosen, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	_cleanup_(choice_done) struct choice choice = {
	        .store = store, .options = options, .chosen = chosen};
	int r = hold_sets(store, hold_three(HOLD_READ_LOCKED, HOLD_READ_LOCKED, HOLD_READ_LOCKED),
	                  &held, error);
	return r == 0 ? choose_all(&choice, error) : r;
}

int cst_store_prune(cst_store *store, const cst_prune_options *given, cst_garbage **ret,
                    cst_error **error)
{
	cst_prune_options options = CST_PRUNE_OPTIONS_INIT;
	_cleanup_(cst_garbage_freep) struct cst_garbage *chosen = new0(struct cst_garbage, 1);
	int r = chosen ? options_take(&options, sizeof(options), given, "cst_prune_options", error)
	               : error_oom(error);
	if (r == 0 && store->read_only && !options.dry_run)
		r = error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	if (r == 0)
		r = records_must_be_whole(store, error);
	if (r == 0)
		r = list_chosen(store, &options, chosen, error);
	if (r == 0)
		garbage_measure(chosen, store);
	if (r == 0 && !options.dry_run)
		r = delete_chosen(store, &options, chosen, error);
	if (r == 0 && ret)
		*ret = steal_ptr(&chosen);
	return r;
}
