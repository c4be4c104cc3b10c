/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading and holding a set of records. A reader that finds the files in need of repair (a crashed
 * Go process left an incomplete layer, two items hold one name) becomes a writer for a moment, as
 * every implementation does, and reads again.
 */
#include "base/log.h"
#include "store/core/store.h"

#define MAX_REPAIRS \
	3 /* then something repairs and breaks in turn: docs/format/store.md, "Lock protocol" */

#define DEFINE_TABLE_OPS(kind)                                                                 \
	static int kind##_stale(void *table, const struct lock_token *token, bool *ret,        \
	                        cst_error **error)                                             \
	{                                                                                      \
		return record_set_stale(table, token, ret, error);                             \
	}                                                                                      \
	static int kind##_open(void *table, const struct lock_token *token, cst_error **error) \
	{                                                                                      \
		return record_set_open(table, token, error);                                   \
	}                                                                                      \
	static int kind##_parse(void *table, bool *repair, cst_error **error)                  \
	{                                                                                      \
		return record_set_parse(table, repair, error);                                 \
	}

DEFINE_TABLE_OPS(layer)
DEFINE_TABLE_OPS(image)
DEFINE_TABLE_OPS(container)

void store_set_init(struct store_set *set, const struct store_set_ops *ops)
{
	pthread_mutex_init(&set->mutex, NULL);
	set->ops = ops;
}

void store_set_free(struct store_set *set)
{
	lockfile_free(set->lock);
	lockfile_free(set->second);
	pthread_mutex_destroy(&set->mutex);
}

static int set_lock(struct store_set *set, enum lock_mode mode, cst_error **error)
{
	int r = lockfile_lock(set->lock, mode, error);
	if (r < 0 || !set->second)
		return r;
	r = lockfile_lock(set->second, mode, error);
	if (r < 0)
		lockfile_unlock(set->lock);
	return r;
}

static void set_unlock(struct store_set *set)
{
	lockfile_unlock(set->second);
	lockfile_unlock(set->lock);
}

/* Opens the files if they changed; *loaded tells that they must be parsed. The lock is held. */
static int set_open_if_stale(struct store_set *set, bool *loaded, cst_error **error)
{
	struct lock_token token;
	bool stale = false;
	int r = lockfile_read_token(set->lock, &token, error);
	if (r == 0)
		r = set->ops->stale(set->table, &token, &stale, error);
	if (r == 0 && stale)
		r = set->ops->open(set->table, &token, error);
	*loaded = stale;
	return r;
}

static int set_parse(cst_store *store, struct store_set *set, bool loaded, bool *repair,
                     cst_error **error)
{
	int r = loaded ? set->ops->parse(set->table, repair, error) : 0;
	return r == 0 && set->ops->after_load ? set->ops->after_load(store, error) : r;
}

/* On success the mutex is held, and the lock too if `keep`. */
static int set_read_once(cst_store *store, struct store_set *set, bool keep, bool *repair,
                         cst_error **error)
{
	int r = set_lock(set, LOCKFILE_READ, error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&set->mutex);
	bool loaded = false;
	r = set_open_if_stale(set, &loaded, error);
	if (!keep)
		set_unlock(set);
	if (r == 0)
		r = set_parse(store, set, loaded, repair, error);
	if (r < 0) {
		pthread_mutex_unlock(&set->mutex);
		if (keep)
			set_unlock(set);
	}
	return r;
}

static void set_read_done(struct store_set *set, bool keep)
{
	pthread_mutex_unlock(&set->mutex);
	if (keep)
		set_unlock(set);
}

int set_reload(cst_store *store, struct store_set *set, cst_error **error)
{
	struct lock_token token;
	bool repair = false;
	int r = lockfile_read_token(set->lock, &token, error);
	if (r == 0)
		r = set->ops->open(set->table, &token, error);
	return r == 0 ? set_parse(store, set, true, &repair, error) : r;
}

static int set_write(cst_store *store, struct store_set *set, cst_error **error)
{
	if (store->read_only)
		return error_code(error, CST_ESTORE_READ_ONLY);
	int r = set_lock(set, LOCKFILE_WRITE, error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&set->mutex);
	bool loaded = false, repair = false;
	r = set_open_if_stale(set, &loaded, error);
	if (r == 0)
		r = set_parse(store, set, loaded, &repair, error);
	if (r == 0 && repair)
		r = set->ops->repair(store, error);
	if (r < 0) {
		pthread_mutex_unlock(&set->mutex);
		set_unlock(set);
	}
	return r;
}

/* What a repair of the layers moved out of sight is deleted here, when nobody waits for the locks
 * any more. */
static void set_write_done(cst_store *store, struct store_set *set)
{
	_cleanup_trash_ struct trash trash = {0};
	if (set == &store->layers.set) {
		trash = store->trash;
		store->trash = (struct trash){0};
	}
	pthread_mutex_unlock(&set->mutex);
	set_unlock(set);
}

static int set_read(cst_store *store, struct store_set *set, bool keep, cst_error **error)
{
	for (int repairs = 0;; repairs++) {
		bool repair = false;
		int r = set_read_once(store, set, keep, &repair, error);
		if (r < 0 || !repair || store->read_only || set->foreign || repairs == MAX_REPAIRS)
			return r;
		set_read_done(set, keep);
		r = set_write(store, set, error);
		if (r < 0)
			return r;
		r = set->ops->repair(
		        store, error); /* nobody changed the files meanwhile: not loaded again */
		set_write_done(store, set);
		if (r < 0)
			return r;
	}
}

/* ---- additional stores: after the store's own, in their order ---- */

/* NULL: there are none of this kind, or this one keeps none. */
static struct store_set *additional_set(struct additional_store *additional, enum cst_kind kind)
{
	switch (kind) {
	case CST_KIND_LAYER: return additional->layers ? &additional->layer_set : NULL;
	case CST_KIND_IMAGE: return &additional->image_set;
	default: return NULL;
	}
}

static void additional_done(cst_store *store, enum cst_kind kind, size_t n)
{
	while (n > 0) {
		struct store_set *set = additional_set(&store->additional[--n], kind);
		if (set)
			set_read_done(set, false);
	}
}

static int additional_read(cst_store *store, enum cst_kind kind, cst_error **error)
{
	for (size_t i = 0; i < store->n_additional; i++) {
		struct store_set *set = additional_set(&store->additional[i], kind);
		int r = set ? set_read(store, set, false, error) : 0;
		if (r < 0) {
			additional_done(store, kind, i);
			return error_prefix(error, r, "loading additional %s stores",
			                    kind == CST_KIND_IMAGE ? "image" : "layer");
		}
	}
	return 0;
}

/* ---- holding a set, with those of its kind in the additional stores ---- */

enum hold_mode { HOLD_READ, HOLD_READ_LOCKED, HOLD_WRITE };

static struct store_set *set_of(cst_store *store, enum cst_kind kind)
{
	switch (kind) {
	case CST_KIND_LAYER: return &store->layers.set;
	case CST_KIND_IMAGE: return &store->images.set;
	default: return &store->containers.set;
	}
}

static void let_go(cst_store *store, enum cst_kind kind, enum hold_mode mode)
{
	if (mode == HOLD_WRITE)
		set_write_done(store, set_of(store, kind));
	else
		set_read_done(set_of(store, kind), mode == HOLD_READ_LOCKED);
}

static int hold(cst_store *store, enum cst_kind kind, enum hold_mode mode, cst_store **held,
                cst_error **error)
{
	struct store_set *set = set_of(store, kind);
	int r = kind == CST_KIND_LAYER ? layers_need(store, error) : 0;
	if (r == 0)
		r = mode == HOLD_WRITE ? set_write(store, set, error)
		                       : set_read(store, set, mode == HOLD_READ_LOCKED, error);
	if (r < 0)
		return r;
	r = additional_read(store, kind, error);
	if (r < 0) {
		let_go(store, kind, mode);
		return r;
	}
	*held = store;
	return 0;
}

static void release(cst_store **held, enum cst_kind kind, enum hold_mode mode)
{
	if (*held) {
		additional_done(*held, kind, (*held)->n_additional);
		let_go(*held, kind, mode);
	}
	*held = NULL;
}

#define DEFINE_HOLD(name, kind, mode)                                   \
	int name(cst_store *store, cst_store **held, cst_error **error) \
	{                                                               \
		return hold(store, kind, mode, held, error);            \
	}                                                               \
	void name##_done(cst_store **held)                              \
	{                                                               \
		release(held, kind, mode);                              \
	}

DEFINE_HOLD(layers_read, CST_KIND_LAYER, HOLD_READ)
DEFINE_HOLD(layers_read_locked, CST_KIND_LAYER, HOLD_READ_LOCKED)
DEFINE_HOLD(layers_write, CST_KIND_LAYER, HOLD_WRITE)
DEFINE_HOLD(images_read, CST_KIND_IMAGE, HOLD_READ)
DEFINE_HOLD(images_read_locked, CST_KIND_IMAGE, HOLD_READ_LOCKED)
DEFINE_HOLD(images_write, CST_KIND_IMAGE, HOLD_WRITE)
DEFINE_HOLD(containers_read, CST_KIND_CONTAINER, HOLD_READ)
DEFINE_HOLD(containers_read_locked, CST_KIND_CONTAINER, HOLD_READ_LOCKED)
DEFINE_HOLD(containers_write, CST_KIND_CONTAINER, HOLD_WRITE)

/* ---- layers ---- */

static int layers_after_load(cst_store *store, cst_error **error)
{
	if (store->read_only)
		return 0; /* mount counts belong to who may write the run directory */
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	int r = lockfile_lock(store->layers.mounts_lock, LOCKFILE_READ, error);
	if (r < 0)
		return r;
	mounts = store->layers.mounts_lock;
	return layer_table_load_mounts(store->layers.table, mounts, error);
}

/* Is it in nobody's way to delete this incomplete layer? */
static bool incomplete_is_free(const struct record_set *table, const cst_layer *layer)
{
	const cst_layer *child = layer_table_first_child(table, layer->id);
	return !child || child->incomplete;
}

int layers_save(cst_store *store, cst_error **error)
{
	struct lock_token token;
	struct layer_set *layers = &store->layers;
	int r = 0;
	if (layers->set.second && record_set_dirty(layers->table))
		r = lockfile_touch(layers->set.second, &token, error);
	return r == 0 ? record_set_save(layers->table, layers->set.lock, error) : r;
}

/* Deletes the layers that a crashed Go process left incomplete, and writes down which of two
 * holders kept a name. */
static int layers_repair(cst_store *store, cst_error **error)
{
	struct record_set *table = store->layers.table;
	_cleanup_intents_ struct intents intents = {0};
	for (size_t i = 0; i < record_set_size(table); i++) {
		const cst_layer *layer = layer_table_at(table, i);
		if (!layer->incomplete)
			continue;
		if (!incomplete_is_free(table, layer)) {
			log_warning("layer %s is incomplete but has children: left alone; delete "
			            "those first",
			            layer->id);
			continue;
		}
		intents_add(&intents, &(struct intent){.kind = CST_KIND_LAYER, .id = layer->id});
	}
	int r = intents.len || intents.failed
	                ? journal_begin(&store->layer_journal, &intents, error)
	                : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < intents.len; i++) {
		log_warning("deleting the incomplete layer %s", intents.items[i].id);
		if (!record_set_remove(table, intents.items[i].id))
			return error_oom(error);
	}
	r = layers_save(store, error);
	for (size_t i = 0; r == 0 && i < intents.len; i++)
		r = layer_remove_files(store, intents.items[i].id, NULL, &store->trash, error);
	if (r == 0 && intents.len)
		journal_end(&store->layer_journal);
	return r;
}

const struct store_set_ops additional_layer_ops = {
        .stale = layer_stale,
        .open = layer_open,
        .parse = layer_parse,
};

const struct store_set_ops additional_image_ops = {
        .stale = image_stale,
        .open = image_open,
        .parse = image_parse,
};

const struct store_set_ops layer_set_ops = {
        .stale = layer_stale,
        .open = layer_open,
        .parse = layer_parse,
        .after_load = layers_after_load,
        .repair = layers_repair,
};

/* ---- images ---- */

static int images_repair(cst_store *store, cst_error **error)
{
	return record_set_save(store->images.table, store->images.set.lock, error);
}

const struct store_set_ops image_set_ops = {
        .stale = image_stale,
        .open = image_open,
        .parse = image_parse,
        .repair = images_repair,
};

/* ---- containers ---- */

static int containers_repair(cst_store *store, cst_error **error)
{
	return record_set_save(store->containers.table, store->containers.set.lock, error);
}

const struct store_set_ops container_set_ops = {
        .stale = container_stale,
        .open = container_open,
        .parse = container_parse,
        .repair = containers_repair,
};
