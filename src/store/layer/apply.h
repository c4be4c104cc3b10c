/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_LAYER_APPLY_H
#define CST_STORE_LAYER_APPLY_H

#include "store/core/store.h"

/* Finishes or undoes an announced change of content. Layers held for writing. */
int apply_recover(cst_store *store, const struct intent *intent, cst_error **error);

#endif
