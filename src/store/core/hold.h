/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding sets of records. The order of the locks is that of every implementation
 * (docs/format/store.md, "Lock protocol"):
 *
 *     graph lock, layers, images, containers, mount points
 *
 * and for each set: lock file first, mutex second. A reader gives the lock file back before
 * anything is parsed, and keeps the mutex for as long as it looks at records; a writer keeps both.
 * With a set of this store, the sets of that kind in the additional stores are held for reading.
 */
#ifndef CST_STORE_CORE_HOLD_H
#define CST_STORE_CORE_HOLD_H

#include "store/core/set.h"

enum hold_mode {
	HOLD_NOT,
	HOLD_READ,        /* fresh records; the lock file is free again */
	HOLD_READ_LOCKED, /* the lock file stays locked: for opening what a record points at */
	HOLD_WRITE,       /* the lock file stays locked, for this process alone */
};

struct hold_modes {
	union {
		struct {
			enum hold_mode layers, images, containers;
		};
		enum hold_mode of[KINDS];
	};
};
struct hold_modes hold_only(enum cst_kind kind, enum hold_mode mode);
/* A mode for each kind, in the order of their locks. */
static inline struct hold_modes hold_three(enum hold_mode layers, enum hold_mode images, enum hold_mode containers)
{
	return (struct hold_modes){.layers = layers, .images = images, .containers = containers};
}

struct hold {
	cst_store *store; /* NULL: nothing is held */
	struct hold_modes modes;
	const void *item; /* found by item_hold() */
};

/* Each adds one set to those that are held, or nothing if it fails. The set must come later in
 * the order of the locks than those. A store that is only read refuses to write:
 * CST_ESTORE_READ_ONLY. */
int hold_read(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error);
int hold_read_locked(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error);
int hold_write(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error);

/* As hold_write(), but reads nothing: for a set whose files may be damaged. */
int hold_files(cst_store *store, enum cst_kind kind, struct hold *hold, cst_error **error);

/* Adds several sets in their order. If it fails, the caller's hold_done() gives back those that
 * were taken. */
int hold_sets(cst_store *store, struct hold_modes modes, struct hold *hold, cst_error **error);

bool hold_writes(const struct hold *hold, enum cst_kind kind);

/* Gives everything back, in reverse order. */
void hold_done(struct hold *hold);
#define _cleanup_hold_ _cleanup_(hold_done)

/* Loads a set again that is held for writing. */
int set_reload(cst_store *store, struct set *set, cst_error **error);

/* Reads the records of all additional stores that changed. Call it before the first lock of an
 * operation that takes another lock than those of the sets: another process may hold a lock of an
 * additional store for long, and this process must not wait for it with locks of ours. */
int additional_refresh(cst_store *store, cst_error **error);

#endif
