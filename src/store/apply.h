/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_APPLY_H
#define CST_STORE_APPLY_H

#include "store/store.h"

/* Finishes or undoes an announced change of content. Layers held for writing. */
int apply_recover(cst_store *store, const struct intent *intent, cst_error **error);

#endif
