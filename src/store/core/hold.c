/* SPDX-License-Identifier: Apache-2.0 */
/* Loading and holding sets of records. A reader may find that the files need repair: a crashed Go
 * process left an incomplete layer, or two items have one name. Then it takes the lock for writing
 * for a moment, as every implementation does, repairs, and reads again. */
#include "store/core/hold.h"
#include "store/core/additional.h"
#include <assert.h>

/* If it takes more, something breaks what we repair: docs/format/store.md, "Lock protocol". */
#define MAX_REPAIRS 3

/* ---- one set ---- */

static int set_lock(struct set *set, enum lock_mode mode, cst_error **error)
{
	int r = lockfile_lock(set->lock, mode, error);
	if (r < 0 || !set->second)
		return r;
	r = lockfile_lock(set->second, mode, error);
	if (r < 0)
		lockfile_unlock(set->lock);
	return r;
}

static void set_unlock(struct set *set)
{
	lockfile_unlock(set->second);
	lockfile_unlock(set->lock);
}

/* Opens the files if they changed; *opened says that they must be parsed. The caller holds the
 * lock. */
static int open_if_stale(struct set *set, bool *opened, cst_error **error)
{
	struct lock_token token;
	bool stale = false;
	int r = lockfile_read_token(set->lock, &token, error);
	if (r == 0)
		r = record_set_stale(set->table, &token, &stale, error);
	if (r == 0 && stale)
		r = record_set_open(set->table, &token, error);
	*opened = stale;
	return r;
}

static int parse(cst_store *store, struct set *set, bool opened, bool *repair, cst_error **error)
{
	int r = opened ? record_set_parse(set->table, repair, error) : 0;
	return r == 0 && set->loaded ? set->loaded(store, error) : r;
}

/* The lock is held; without `keep` it is given back when the files are open. On success the
 * mutex is held. */
static int read_locked(cst_store *store, struct set *set, bool keep, bool *repair,
                       cst_error **error)
{
	bool opened = false;
	pthread_mutex_lock(&set->mutex);
	int r = open_if_stale(set, &opened, error);
	if (!keep)
		set_unlock(set);
	if (r == 0)
		r = parse(store, set, opened, repair, error);
	set->was_read = r == 0;
	if (r < 0)
		pthread_mutex_unlock(&set->mutex);
	if (r < 0 && keep)
		set_unlock(set);
	return r;
}

int set_reload(cst_store *store, struct set *set, cst_error **error)
{
	struct lock_token token;
	bool repair = false;
	int r = lockfile_read_token(set->lock, &token, error);
	if (r == 0)
		r = record_set_open(set->table, &token, error);
	return r == 0 ? parse(store, set, true, &repair, error) : r;
}

static int lock_to_write(cst_store *store, struct set *set, cst_error **error)
{
	if (store->read_only)
		return error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	int r = set_lock(set, LOCKFILE_WRITE, error);
	if (r == 0)
		pthread_mutex_lock(&set->mutex);
	return r;
}

static int write_set(cst_store *store, struct set *set, cst_error **error)
{
	int r = lock_to_write(store, set, error);
	if (r < 0)
		return r;
	bool opened = false, repair = false;
	r = open_if_stale(set, &opened, error);
	if (r == 0)
		r = parse(store, set, opened, &repair, error);
	if (r == 0 && repair)
		r = set->repair ? set->repair(store, error) : set_save(set, error);
	if (r < 0) {
		pthread_mutex_unlock(&set->mutex);
		set_unlock(set);
	}
	return r;
}

static void release_set(struct set *set, enum hold_mode mode)
{
	pthread_mutex_unlock(&set->mutex);
	if (mode != HOLD_READ)
		set_unlock(set);
}

/* What the repair of the layers moved out of sight; it is deleted when the locks are free. */
static struct trash take_repair_trash(cst_store *store)
{
	struct trash trash = store->repair_trash;
	store->repair_trash = (struct trash){0};
	return trash;
}

static int repair_set(cst_store *store, struct set *set, cst_error **error)
{
	int r = write_set(store, set, error);
	if (r < 0)
		return r;
	/* No process changed the files since this one read them, so write_set() did not load and
	 * repair them again. */
	r = set->repair ? set->repair(store, error) : set_save(set, error);
	struct trash trash = take_repair_trash(store);
	release_set(set, HOLD_WRITE);
	trash_free(&trash);
	return r;
}

static int read_set(cst_store *store, struct set *set, bool keep, cst_error **error)
{
	for (int repairs = 0;; repairs++) {
		bool repair = false;
		int r = set_lock(set, LOCKFILE_READ, error);
		if (r == 0)
			r = read_locked(store, set, keep, &repair, error);
		if (r < 0 || !repair || store->read_only || set->foreign || repairs == MAX_REPAIRS)
			return r;
		release_set(set, keep ? HOLD_READ_LOCKED : HOLD_READ);
		r = repair_set(store, set, error);
		if (r < 0)
			return r;
	}
}

/* ---- additional stores: after the store's own, in their order ---- */

static void release_additional(cst_store *store, enum cst_kind kind, size_t n)
{
	while (n > 0) {
		struct set *set = sets_get(&store->additional[--n].sets, kind);
		if (set->table)
			release_set(set, HOLD_READ);
	}
}

/* On success the mutex is held. `wait` is false while this thread holds locks of ours: then it does
 * not wait for a lock that another process holds, and uses what it read before it took the first
 * lock. */
static int read_foreign(cst_store *store, struct set *set, bool wait, cst_error **error)
{
	bool repair = false;
	int r = wait ? lockfile_lock(set->lock, LOCKFILE_READ, error)
	             : lockfile_try(set->lock, LOCKFILE_READ, set->was_read ? NULL : error);
	if (r == CST_EBUSY && set->was_read) {
		pthread_mutex_lock(&set->mutex);
		return 0;
	}
	return r == 0 ? read_locked(store, set, false, &repair, error) : r;
}

static int read_additional(cst_store *store, enum cst_kind kind, bool wait, cst_error **error)
{
	for (size_t i = 0; i < store->n_additional; i++) {
		struct set *set = sets_get(&store->additional[i].sets, kind);
		int r = set->table ? read_foreign(store, set, wait, error) : 0;
		if (r < 0) {
			release_additional(store, kind, i);
			error_prefix(error, r, "loading additional %s stores", kind_of(kind)->name);
			return additional_blame(store, r, error);
		}
	}
	return 0;
}

int additional_refresh(cst_store *store, cst_error **error)
{
	int r = 0;
	for (enum cst_kind kind = CST_KIND_LAYER; r == 0 && kind <= CST_KIND_IMAGE; kind++) {
		r = read_additional(store, kind, true, error);
		if (r == 0)
			release_additional(store, kind, store->n_additional);
	}
	return r;
}

/* How many sets this thread holds. */
static _Thread_local unsigned sets_held;

/* Reads the additional stores before this thread takes the first set of the store. An operation
 * that takes the layers will probably need the images later. If those cannot be read now, that is
 * an error only when it needs them. */
static int look_at_additional(cst_store *store, enum cst_kind kind, cst_error **error)
{
	if (!store->n_additional || sets_held || kind == CST_KIND_CONTAINER ||
	    lockfile_held(store->graph_lock, LOCKFILE_READ) ||
	    lockfile_held(store->userns_lock, LOCKFILE_READ))
		return 0;
	int r = read_additional(store, kind, true, error);
	if (r < 0)
		return r;
	release_additional(store, kind, store->n_additional);
	if (kind == CST_KIND_LAYER && read_additional(store, CST_KIND_IMAGE, true, NULL) == 0)
		release_additional(store, CST_KIND_IMAGE, store->n_additional);
	return 0;
}

/* ---- what is held ---- */

static bool comes_last(const struct hold *hold, enum cst_kind kind)
{
	for (size_t i = kind - CST_KIND_LAYER; i < KINDS; i++) {
		if (hold->modes.of[i] != HOLD_NOT)
			return false;
	}
	return true;
}

static int hold_one(cst_store *store, enum cst_kind kind, enum hold_mode mode, struct hold *hold,
                    cst_error **error)
{
	struct set *set = set_of(store, kind);
	assert(comes_last(hold, kind));
	int r = set == &store->sets.layers ? layers_need(store, error) : 0;
	if (r == 0)
		r = look_at_additional(store, kind, error);
	if (r == 0)
		r = mode == HOLD_WRITE ? write_set(store, set, error)
		                       : read_set(store, set, mode == HOLD_READ_LOCKED, error);
	if (r < 0)
		return r;
	r = read_additional(store, kind, false, error);
	if (r < 0) {
		struct trash trash = {0};
		if (mode == HOLD_WRITE && set == &store->sets.layers)
			trash = take_repair_trash(store);
		release_set(set, mode);
		trash_free(&trash);
		return r;
	}
	sets_held++;
	hold->store = store;
	hold->modes.of[kind - CST_KIND_LAYER] = mode;
	return 0;
}

int hold_read(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error)
{
	return hold_one(store, kind, HOLD_READ, hold, error);
}

int hold_read_locked(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error)
{
	return hold_one(store, kind, HOLD_READ_LOCKED, hold, error);
}

int hold_write(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error)
{
	return hold_one(store, kind, HOLD_WRITE, hold, error);
}

int hold_files(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error)
{
	struct set *set = set_of(store, kind);
	assert(comes_last(hold, kind));
	int r = set == &store->sets.layers ? layers_need(store, error) : 0;
	if (r == 0)
		r = lock_to_write(store, set, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < store->n_additional; i++) {
		struct set *other = sets_get(&store->additional[i].sets, kind);
		if (other->table)
			pthread_mutex_lock(&other->mutex);
	}
	sets_held++;
	hold->store = store;
	hold->modes.of[kind - CST_KIND_LAYER] = HOLD_WRITE;
	return 0;
}

struct hold_modes hold_only(enum cst_kind kind, enum hold_mode mode)
{
	struct hold_modes modes = {0};
	modes.of[kind - CST_KIND_LAYER] = mode;
	return modes;
}

int hold_sets(cst_store *store, struct hold_modes modes, struct hold *hold, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		if (modes.of[i] != HOLD_NOT)
			r = hold_one(store, CST_KIND_LAYER + i, modes.of[i], hold, error);
	}
	return r;
}

bool hold_writes(const struct hold *hold, enum cst_kind kind)
{
	return hold->modes.of[kind - CST_KIND_LAYER] == HOLD_WRITE;
}

void hold_done(struct hold *hold)
{
	cst_store *store = hold->store;
	if (!store)
		return;
	/* Emptied last, when no other process waits for a lock of ours. */
	struct trash trash = {0};
	if (hold_writes(hold, CST_KIND_LAYER))
		trash = take_repair_trash(store);
	for (size_t i = KINDS; i-- > 0;) {
		if (hold->modes.of[i] == HOLD_NOT)
			continue;
		sets_held--;
		release_additional(store, CST_KIND_LAYER + i, store->n_additional);
		release_set(&store->sets.of[i], hold->modes.of[i]);
	}
	trash_free(&trash);
	*hold = (struct hold){0};
}
