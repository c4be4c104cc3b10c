/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading and holding a set of records. A reader that finds the files in need of repair (a crashed
 * Go process left an incomplete layer, two items hold one name) becomes a writer for a moment, as
 * every implementation does, and reads again.
 */
#include "base/log.h"
#include "store/store.h"

#define MAX_REPAIRS \
	3 /* then something repairs and breaks in turn: docs/format/store.md, "Lock protocol" */

#define DEFINE_TABLE_OPS(kind)                                                                 \
	static int kind##_stale(void *table, const struct lock_token *token, bool *ret,        \
	                        cst_error **error)                                             \
	{                                                                                      \
		return kind##_table_stale(table, token, ret, error);                           \
	}                                                                                      \
	static int kind##_open(void *table, const struct lock_token *token, cst_error **error) \
	{                                                                                      \
		return kind##_table_open(table, token, error);                                 \
	}                                                                                      \
	static int kind##_parse(void *table, bool *repair, cst_error **error)                  \
	{                                                                                      \
		return kind##_table_parse(table, repair, error);                               \
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

static struct store_set *additional_set(struct additional_store *additional, bool images)
{
	return images ? &additional->image_set : &additional->layer_set;
}

static bool has_set(const struct additional_store *additional, bool images)
{
	return images || additional->layers;
}

static void additional_done(cst_store *store, bool images, size_t n)
{
	while (n > 0) {
		n--;
		if (has_set(&store->additional[n], images))
			set_read_done(additional_set(&store->additional[n], images), false);
	}
}

static int additional_read(cst_store *store, bool images, cst_error **error)
{
	for (size_t i = 0; i < store->n_additional; i++) {
		struct additional_store *additional = &store->additional[i];
		if (!has_set(additional, images))
			continue;
		int r = set_read(store, additional_set(additional, images), false, error);
		if (r < 0) {
			additional_done(store, images, i);
			return error_prefix(error, r, "loading additional %s stores",
			                    images ? "image" : "layer");
		}
	}
	return 0;
}

/* ---- layers ---- */

int layers_read(cst_store *store, cst_store **held, cst_error **error)
{
	int r = layers_need(store, error);
	if (r == 0)
		r = set_read(store, &store->layers.set, false, error);
	if (r < 0)
		return r;
	r = additional_read(store, false, error);
	if (r < 0) {
		set_read_done(&store->layers.set, false);
		return r;
	}
	*held = store;
	return 0;
}

int layers_read_locked(cst_store *store, cst_store **held, cst_error **error)
{
	int r = layers_need(store, error);
	if (r == 0)
		r = set_read(store, &store->layers.set, true, error);
	if (r < 0)
		return r;
	r = additional_read(store, false, error);
	if (r < 0) {
		set_read_done(&store->layers.set, true);
		return r;
	}
	*held = store;
	return 0;
}

int layers_write(cst_store *store, cst_store **held, cst_error **error)
{
	int r = layers_need(store, error);
	if (r == 0)
		r = set_write(store, &store->layers.set, error);
	if (r < 0)
		return r;
	r = additional_read(store, false, error);
	if (r < 0) {
		set_write_done(store, &store->layers.set);
		return r;
	}
	*held = store;
	return 0;
}

void layers_read_done(cst_store **held)
{
	if (*held) {
		additional_done(*held, false, (*held)->n_additional);
		set_read_done(&(*held)->layers.set, false);
	}
	*held = NULL;
}

void layers_read_locked_done(cst_store **held)
{
	if (*held) {
		additional_done(*held, false, (*held)->n_additional);
		set_read_done(&(*held)->layers.set, true);
	}
	*held = NULL;
}

void layers_write_done(cst_store **held)
{
	if (*held) {
		additional_done(*held, false, (*held)->n_additional);
		set_write_done(*held, &(*held)->layers.set);
	}
	*held = NULL;
}

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
static bool incomplete_is_free(const struct layer_table *table, const cst_layer *layer)
{
	const cst_layer *child = layer_table_first_child(table, layer->id);
	return !child || child->incomplete;
}

int layers_save(cst_store *store, cst_error **error)
{
	struct lock_token token;
	struct layer_set *layers = &store->layers;
	int r = 0;
	if (layers->set.second && layer_table_dirty(layers->table))
		r = lockfile_touch(layers->set.second, &token, error);
	return r == 0 ? layer_table_save(layers->table, layers->set.lock, error) : r;
}

/* Deletes the layers that a crashed Go process left incomplete, and writes down which of two
 * holders kept a name. */
static int layers_repair(cst_store *store, cst_error **error)
{
	struct layer_table *table = store->layers.table;
	_cleanup_intents_ struct intents intents = {0};
	for (size_t i = 0; i < layer_table_size(table); i++) {
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
		if (!layer_table_remove(table, intents.items[i].id))
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

static int read_images(cst_store *store, bool keep, cst_store **held, cst_error **error)
{
	int r = set_read(store, &store->images.set, keep, error);
	if (r < 0)
		return r;
	r = additional_read(store, true, error);
	if (r < 0) {
		set_read_done(&store->images.set, keep);
		return r;
	}
	*held = store;
	return 0;
}

int images_read(cst_store *store, cst_store **held, cst_error **error)
{
	return read_images(store, false, held, error);
}

int images_read_locked(cst_store *store, cst_store **held, cst_error **error)
{
	return read_images(store, true, held, error);
}

int images_write(cst_store *store, cst_store **held, cst_error **error)
{
	int r = set_write(store, &store->images.set, error);
	if (r < 0)
		return r;
	r = additional_read(store, true, error);
	if (r < 0) {
		set_write_done(store, &store->images.set);
		return r;
	}
	*held = store;
	return 0;
}

void images_read_done(cst_store **held)
{
	if (*held) {
		additional_done(*held, true, (*held)->n_additional);
		set_read_done(&(*held)->images.set, false);
	}
	*held = NULL;
}

void images_read_locked_done(cst_store **held)
{
	if (*held) {
		additional_done(*held, true, (*held)->n_additional);
		set_read_done(&(*held)->images.set, true);
	}
	*held = NULL;
}

void images_write_done(cst_store **held)
{
	if (*held) {
		additional_done(*held, true, (*held)->n_additional);
		set_write_done(*held, &(*held)->images.set);
	}
	*held = NULL;
}

static int images_repair(cst_store *store, cst_error **error)
{
	return image_table_save(store->images.table, store->images.set.lock, error);
}

const struct store_set_ops image_set_ops = {
        .stale = image_stale,
        .open = image_open,
        .parse = image_parse,
        .repair = images_repair,
};

/* ---- containers ---- */

int containers_read(cst_store *store, cst_store **held, cst_error **error)
{
	int r = set_read(store, &store->containers.set, false, error);
	if (r == 0)
		*held = store;
	return r;
}

int containers_read_locked(cst_store *store, cst_store **held, cst_error **error)
{
	int r = set_read(store, &store->containers.set, true, error);
	if (r == 0)
		*held = store;
	return r;
}

int containers_write(cst_store *store, cst_store **held, cst_error **error)
{
	int r = set_write(store, &store->containers.set, error);
	if (r == 0)
		*held = store;
	return r;
}

void containers_read_done(cst_store **held)
{
	if (*held)
		set_read_done(&(*held)->containers.set, false);
	*held = NULL;
}

void containers_read_locked_done(cst_store **held)
{
	if (*held)
		set_read_done(&(*held)->containers.set, true);
	*held = NULL;
}

void containers_write_done(cst_store **held)
{
	if (*held)
		set_write_done(*held, &(*held)->containers.set);
	*held = NULL;
}

static int containers_repair(cst_store *store, cst_error **error)
{
	return container_table_save(store->containers.table, store->containers.set.lock, error);
}

const struct store_set_ops container_set_ops = {
        .stale = container_stale,
        .open = container_open,
        .parse = container_parse,
        .repair = containers_repair,
};
