/* SPDX-License-Identifier: Apache-2.0 */
/* The table of layers: their files, and look-up by digest and by parent. */
#include "records/layer_table_internal.h"
#include "records/record_base.h"

/* ---- children and digests, built when first asked for ---- */

static const char *chain_key(const cst_layer *layer, unsigned which)
{
	switch (which) {
	case CHAIN_PARENT: return layer->parent;
	case CHAIN_DIGESTS + LAYER_COMPRESSED_DIGEST: return layer->compressed_digest;
	case CHAIN_DIGESTS + LAYER_DIFF_DIGEST: return layer->diff_digest;
	default: return layer->toc_digest;
	}
}

static bool chain_slot(struct layer_table *t, struct slot *slot)
{
	for (unsigned i = 0; i < LAYER_CHAINS; i++) {
		if (!chain_index_add(&t->chains[i], chain_key(slot->record, i), slot))
			return false;
	}
	return true;
}

static void layer_clear(struct record_set *set)
{
	struct layer_table *t = (struct layer_table *)set;
	for (unsigned i = 0; i < LAYER_CHAINS; i++)
		chain_index_clear(&t->chains[i]);
	t->chained = false;
	t->mounts_loaded = t->mounts_dirty = false;
	t->mounted = 0;
}

static bool layer_index(struct record_set *set, struct slot *slot)
{
	struct layer_table *t = (struct layer_table *)set;
	return !t->chained || chain_slot(t, slot);
}

static void layer_unindex(struct record_set *set, struct slot *slot)
{
	struct layer_table *t = (struct layer_table *)set;
	for (unsigned i = 0; t->chained && i < LAYER_CHAINS; i++)
		chain_index_remove(&t->chains[i], chain_key(slot->record, i), slot);
}

static bool build_chains(struct layer_table *t)
{
	for (size_t i = 0; i < t->set.visible.len; i++) {
		if (!chain_slot(t, t->set.visible.items[i])) {
			for (unsigned c = 0; c < LAYER_CHAINS; c++)
				chain_index_clear(&t->chains[c]);
			return false;
		}
	}
	return true;
}

/* False: no memory for them, so the caller looks at every layer. */
static bool need_chains(const struct layer_table *table)
{
	struct layer_table *t = (struct layer_table *)table;
	pthread_mutex_lock(&t->set.lazy);
	if (!t->chained)
		t->chained = build_chains(t);
	bool chained = t->chained;
	pthread_mutex_unlock(&t->set.lazy);
	return chained;
}

/* ---- the kind ---- */

static void read_layer(struct record_reader *r, void *record)
{
	layer_read(r, record);
}

static const char *layer_parent(const void *record)
{
	return ((const cst_layer *)record)->parent;
}

static bool copy_layer(struct arena *arena, const void *from, void *to)
{
	return layer_copy(arena, from, to);
}

static void write_layer(struct json_writer *w, const void *record)
{
	layer_write(w, record);
}

static bool settle_layer(struct record_set *set, struct arena *arena, void *record, const void *old,
                         unsigned file)
{
	const struct layer_table *t = (const struct layer_table *)set;
	const cst_layer *before = old;
	struct mount_state state = {.path = ""};
	if (t->mounting)
		state = *t->mounting;
	else if (before)
		state = (struct mount_state){before->mount_point, before->mount_count};
	cst_layer *layer = record;
	layer->file = t->kind_of[file];
	layer->read_only = set->read_only;
	layer->mount_count = state.count;
	layer->mount_point = *state.path ? arena_strdup(arena, state.path) : "";
	return layer->mount_point;
}

static unsigned layer_file_of(const struct record_set *set, const void *record)
{
	return ((const struct layer_table *)set)->file_of[((const cst_layer *)record)->file];
}

static int layer_loaded(struct record_set *set, bool *repair, cst_error **error)
{
	for (size_t i = 0; i < set->visible.len && !*repair; i++)
		*repair = ((const cst_layer *)set->visible.items[i]->record)->incomplete;
	*repair = *repair && !set->read_only;
	return 0;
}

static void layer_removed(struct record_set *set, const void *record)
{
	struct layer_table *t = (struct layer_table *)set;
	bool mounted = ((const cst_layer *)record)->mount_count;
	t->mounted -= mounted;
	t->mounts_dirty |= mounted;
}

static void layer_freed(struct record_set *set)
{
	struct layer_table *t = (struct layer_table *)set;
	record_file_free(&t->mounts);
	free(t->mounts_home);
	free(t->foreign_mounts);
	arena_clear(&t->foreign_memory);
}

static bool layer_keys(const void *record, const struct key_visitor *visitor)
{
	for (unsigned i = 0; i < LAYER_CHAINS; i++) {
		const char *text = chain_key(record, i);
		if (*text && !visitor->visit(visitor->userdata, KEY_PARENT << i, text))
			return false;
	}
	return true;
}

/* Without a digest the record says nothing of its content. */
static int64_t layer_size(const void *record)
{
	const cst_layer *layer = record;
	return *layer->diff_digest || *layer->toc_digest ? MAX(layer->diff_size, (int64_t)0) : -1;
}

static bool is_incomplete(const void *record)
{
	return ((const cst_layer *)record)->incomplete;
}

static const struct record_kind layer_kind = {
        .what = "layer",
        .size = sizeof(cst_layer),
        .names = offsetof(cst_layer, names),
        .duplicate_names = CST_EDUPLICATE_LAYER_NAMES,
        .parent = layer_parent,
        .size_of = layer_size,
        .read = read_layer,
        .copy = copy_layer,
        .write = write_layer,
        .settle = settle_layer,
        .file_of = layer_file_of,
        .loaded = layer_loaded,
        .keys = layer_keys,
        .wants_repair = is_incomplete,
        .index = layer_index,
        .unindex = layer_unindex,
        .removed = layer_removed,
        .clear = layer_clear,
        .freed = layer_freed,
};

/* ---- making ---- */

static int add_file(struct layer_table *t, enum layer_file file, const char *dir, const char *name,
                    cst_error **error)
{
	unsigned number = t->set.n_files;
	int r = record_set_add_file(&t->set, dir, name, file == LAYER_VOLATILE, error);
	if (r < 0)
		return r;
	t->file_of[file] = number;
	t->kind_of[number] = file;
	return 0;
}

static int add_files(struct layer_table *t, const struct layer_paths *paths, cst_error **error)
{
	int r = add_file(t, LAYER_STABLE, paths->dir, "layers.json", error);
	if (r == 0 && paths->image_dir) {
		r = add_file(t, LAYER_IMAGE_STORE, paths->image_dir, "layers.json", error);
		t->set.order[0] = t->file_of[LAYER_IMAGE_STORE];
		t->set.order[1] = t->file_of[LAYER_STABLE];
	}
	if (r == 0 && paths->volatile_dir)
		r = add_file(t, LAYER_VOLATILE, paths->volatile_dir, "volatile-layers.json", error);
	if (r == 0 && paths->run_dir) {
		r = record_file_init(&t->mounts, paths->run_dir, "mountpoints.json", false, error);
		t->has_mounts = r == 0;
	}
	return r;
}

int layer_table_new(const struct layer_paths *paths, struct record_set **ret, cst_error **error)
{
	struct layer_table *t = record_set_new(&layer_kind, sizeof(*t), paths->read_only);
	if (!t)
		return error_oom(error);
	t->mounts.fd = -1;
	for (unsigned i = 0; i < LAYER_CHAINS; i++)
		t->chains[i].which = i;
	int r = add_files(t, paths, error);
	if (r == 0 && paths->mounts_home && !(t->mounts_home = strdup(paths->mounts_home)))
		r = error_oom(error);
	if (r < 0)
		record_set_free(&t->set);
	else
		*ret = &t->set;
	return r;
}

/* ---- look-ups ---- */

/* The first (previous NULL) or next layer of a chain. */
static const cst_layer *chained(const struct record_set *layers, unsigned which, const char *key,
                                const cst_layer *previous)
{
	const struct layer_table *t = (const struct layer_table *)layers;
	if (isempty(key))
		return NULL;
	struct slot *slot, *before = previous ? record_set_slot(layers, previous->id) : NULL;
	if (previous && !before)
		return NULL;
	if (record_base_find(layers, KEY_PARENT << which, key, before, &slot))
		return slot ? slot->record : NULL;
	if (need_chains(t)) {
		before = previous ? record_set_slot(layers, previous->id) : NULL;
		slot = before ? chain_index_next(&t->chains[which], before)
		              : chain_index_first(&t->chains[which], key);
		return slot ? slot->record : NULL;
	}
	bool passed = !previous;
	for (size_t i = 0; i < record_set_size(layers); i++) {
		const cst_layer *layer = layer_table_at(layers, i);
		if (passed && streq(chain_key(layer, which), key))
			return layer;
		passed |= layer == previous;
	}
	return NULL;
}

const cst_layer *layer_table_first_child(const struct record_set *layers, const char *id)
{
	return chained(layers, CHAIN_PARENT, id, NULL);
}

const cst_layer *layer_table_next_child(const struct record_set *layers, const cst_layer *child)
{
	return chained(layers, CHAIN_PARENT, child->parent, child);
}

const cst_layer *layer_table_by_digest(const struct record_set *layers, enum layer_digest which,
                                       const char *digest, const cst_layer *previous)
{
	return chained(layers, CHAIN_DIGESTS + which, digest, previous);
}
