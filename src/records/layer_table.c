/* SPDX-License-Identifier: Apache-2.0 */
#include "records/layer_table_internal.h"

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

static const struct record_kind layer_kind = {
        .what = "layer",
        .size = sizeof(cst_layer),
        .names = offsetof(cst_layer, names),
        .duplicate_names = CST_EDUPLICATE_LAYER_NAMES,
        .read = read_layer,
        .copy = copy_layer,
        .write = write_layer,
        .settle = settle_layer,
        .index = layer_index,
        .unindex = layer_unindex,
        .clear = layer_clear,
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

int layer_table_new(const struct layer_paths *paths, struct layer_table **ret, cst_error **error)
{
	struct layer_table *t = new0(struct layer_table, 1);
	if (!t)
		return error_oom(error);
	int r = record_set_init(&t->set, &layer_kind, paths->read_only, error);
	if (r < 0) {
		free(t);
		return r;
	}
	t->mounts.fd = -1;
	for (unsigned i = 0; i < LAYER_CHAINS; i++)
		t->chains[i].which = i;
	r = add_files(t, paths, error);
	if (r < 0) {
		layer_table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void layer_table_free(struct layer_table *t)
{
	if (!t)
		return;
	record_file_free(&t->mounts);
	record_set_free(&t->set);
	free(t);
}

/* ---- loading and saving ---- */

int layer_table_stale(struct layer_table *t, const struct lock_token *token, bool *ret,
                      cst_error **error)
{
	return record_set_stale(&t->set, token, ret, error);
}

int layer_table_open(struct layer_table *t, const struct lock_token *token, cst_error **error)
{
	return record_set_open(&t->set, token, error);
}

int layer_table_parse(struct layer_table *t, bool *repair, cst_error **error)
{
	bool wanted;
	int r = record_set_parse(&t->set, &wanted, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < layer_table_size(t) && !wanted; i++)
		wanted = layer_table_at(t, i)->incomplete;
	*repair = wanted && !t->set.read_only;
	return 0;
}

void layer_table_mark_stale(struct layer_table *t)
{
	t->set.stale = true;
}

bool layer_table_dirty(const struct layer_table *t)
{
	return record_set_dirty(&t->set);
}

int layer_table_save(struct layer_table *t, struct lockfile *lock, cst_error **error)
{
	return record_set_save(&t->set, lock, error);
}

/* ---- look-ups ---- */

size_t layer_table_size(const struct layer_table *t)
{
	return record_set_size(&t->set);
}

const cst_layer *layer_table_at(const struct layer_table *t, size_t i)
{
	return record_set_at(&t->set, i);
}

const cst_layer *layer_table_get(const struct layer_table *t, const char *id)
{
	return record_set_get(&t->set, id);
}

const cst_layer *layer_table_by_name(const struct layer_table *t, const char *name)
{
	return record_set_by_name(&t->set, name);
}

const cst_layer *layer_table_find(const struct layer_table *t, const char *id)
{
	const cst_layer *layer = layer_table_get(t, id);
	if (!layer)
		layer = layer_table_by_name(t, id);
	return layer ? layer : record_set_by_prefix(&t->set, id);
}

/* The first (previous NULL) or next layer of a chain. */
static const cst_layer *chained(const struct layer_table *t, unsigned which, const char *key,
                                const cst_layer *previous)
{
	if (isempty(key))
		return NULL;
	if (need_chains(t)) {
		const struct chain_index *chain = &t->chains[which];
		const struct slot *before =
		        previous ? record_set_slot(&t->set, previous->id) : NULL;
		const struct slot *slot = !previous ? chain_index_first(chain, key)
		                          : before  ? chain_index_next(chain, before)
		                                    : NULL;
		return slot ? slot->record : NULL;
	}
	bool passed = !previous;
	for (size_t i = 0; i < layer_table_size(t); i++) {
		const cst_layer *layer = layer_table_at(t, i);
		if (passed && streq(chain_key(layer, which), key))
			return layer;
		passed |= layer == previous;
	}
	return NULL;
}

const cst_layer *layer_table_first_child(const struct layer_table *t, const char *id)
{
	return chained(t, CHAIN_PARENT, id, NULL);
}

const cst_layer *layer_table_next_child(const struct layer_table *t, const cst_layer *child)
{
	return chained(t, CHAIN_PARENT, child->parent, child);
}

const cst_layer *layer_table_by_digest(const struct layer_table *t, enum layer_digest which,
                                       const char *digest, const cst_layer *previous)
{
	return chained(t, CHAIN_DIGESTS + which, digest, previous);
}

/* ---- edits ---- */

bool layer_table_add(struct layer_table *t, const cst_layer *layer)
{
	return record_set_add(&t->set, layer, t->file_of[layer->file]);
}

bool layer_table_replace(struct layer_table *t, const cst_layer *layer)
{
	return record_set_replace(&t->set, layer, true);
}

bool layer_table_remove(struct layer_table *t, const char *id)
{
	const cst_layer *layer = layer_table_get(t, id);
	bool mounted = layer && layer->mount_count;
	if (!record_set_remove(&t->set, id))
		return false;
	t->mounted -= mounted;
	t->mounts_dirty |= mounted;
	return true;
}
