/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting items that have records: first the records, then what belongs to them. */
#ifndef CST_STORE_CHANGE_DELETION_H
#define CST_STORE_CHANGE_DELETION_H

#include "store/change/change.h"

/* Begins a change that deletes: tells the progress of its trash of it, which may still give it up (CST_ECANCELED), and only
 * then holds the sets, since a progress is never called under a lock. */
int deletion_begin(struct change *change, cst_store *store, struct hold_modes modes, cst_error **error);
/* Adds the deletion of an item to a change that holds its set for writing; children before parents,
 * and owners before their layers. Where the images are held for writing, too, a layer goes off
 * their lists of mapped copies. */
void deletion_add(struct change *change, enum cst_kind kind, const char *id);
/* A layer that goes with its owner, if it has one (0, NULL: it has none). */
void deletion_add_layer(struct change *change, const cst_layer *layer, enum cst_kind owner_kind,
                        const char *owner_id);

#endif
