/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_ITEM_DATA_H
#define CST_STORE_ITEM_DATA_H

#include "store/core/store.h"

/* Items that come with a new layer, image or container: checked and measured, their files staged and on
 * disk. */
struct new_data {
	struct data_item *items;
	size_t len;
	bool staged; /* as the directory STAGED_DATA of the stage */
};
#define STAGED_DATA "data"
int new_data_stage(cst_store *store, const char *kind, const cst_data_item *items, size_t n,
                   struct tempdir **stage, struct arena *arena, struct new_data *ret,
                   cst_error **error);
/* Under the set's write lock: the staged directory becomes <dirfd>/<id>. */
int new_data_commit(const struct new_data *data, const struct tempdir *stage, int dirfd,
                    const char *id, cst_error **error);

/* Makes the recorded size and digest of an item those of its file. The set is held for writing. */
int data_remeasure(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                   cst_error **error);

#endif
