/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be removed, or was. */
#ifndef CST_STORE_CHECK_GARBAGE_H
#define CST_STORE_CHECK_GARBAGE_H

#include "base/mem.h"
#include "store/change/change.h"
#include <cstorage/check.h>

struct piece {
	enum cst_kind kind;
	const char *id;
	uint64_t bytes;
};

struct cst_garbage {
	struct arena arena;
	struct piece *items;
	size_t len, capacity;
};
DEFINE_CLEANUP(cst_garbage *, cst_garbage_free)

/* Reads the records of the kind that this process does not see: the volatile ones of a transient store on the same run root, or if this store is
 * the transient one, those of the other. *ret is the text of their file, "" if there is none; the caller's. The kind is held. */
int unseen_records(cst_store *store, enum cst_kind kind, char **ret, cst_error **error);

int garbage_add(struct cst_garbage *garbage, enum cst_kind kind, const char *id, cst_error **error);
/* Sets the sizes; what has gone meanwhile has none. Slow: never under a lock. */
void garbage_measure(struct cst_garbage *garbage, cst_store *store);
/* Adds the removal of what has no record to a change that holds its set for writing. The piece lives until the change is
 * committed. */
void garbage_add_removal(struct change *change, struct piece *piece);

#endif
