/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_LAYER_DELETE_H
#define CST_STORE_LAYER_DELETE_H

#include "store/core/store.h"

/* Items that go together, children before parents. The sets named are held for writing. */
struct deletion {
	struct intents intents;
	bool layers, images, containers;
};
void deletion_add_layer(struct deletion *d, const cst_layer *layer, enum cst_kind owner_kind,
                        const char *owner_id);
void deletion_add(struct deletion *d, enum cst_kind kind, const char *id);
int deletion_commit(cst_store *store, struct deletion *d, struct trash *trash, cst_error **error);
void deletion_free(struct deletion *d);
#define _cleanup_deletion_ _cleanup_(deletion_free)

/* Takes a layer that has no record any more off every image's list of mapped copies. I w. */
int unlist_mapped_layer(cst_store *store, const char *id, cst_error **error);

/* One each of the public functions, with progress (may be NULL). */
int layer_delete(cst_store *store, const char *id, const cst_progress *progress, cst_error **error);
int image_delete(cst_store *store, const char *id, bool commit, const cst_progress *progress,
                 cst_strings **layers, cst_error **error);
int container_delete(cst_store *store, const char *id, const cst_progress *progress,
                     cst_error **error);

/* The image alone, its layers stay. CST_ENOT_AN_IMAGE. I w. */
int image_delete_record(cst_store *store, const char *id, const cst_progress *progress,
                        cst_error **error);

#endif
