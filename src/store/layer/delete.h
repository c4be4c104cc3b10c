/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting layers. */
#ifndef CST_STORE_LAYER_DELETE_H
#define CST_STORE_LAYER_DELETE_H

#include "records/record.h"
#include <cstorage/store.h>

/* cst_store_delete_layer() with progress, which may be NULL. */
int layer_delete(cst_store *store, const char *id, const cst_progress *progress, cst_error **error);
/* The same without the check that nothing uses the layer. */
int layer_delete_unchecked(cst_store *store, const char *id, const cst_progress *progress,
                           cst_error **error);

#endif
