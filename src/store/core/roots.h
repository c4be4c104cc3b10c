/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_CORE_ROOTS_H
#define CST_STORE_CORE_ROOTS_H

#include "store/core/store.h"

/* A root that the options leave out comes from the configuration; none given at all is an error. */
int store_find_roots(cst_store *store, const cst_store_options *options, cst_error **error);
/* Makes them, or if the store is only read, sees that the graph root is there. */
int store_open_roots(cst_store *store, cst_error **error);
/* Opening the store failed with `code` after the roots were there. If this process may not write to
 * one of them, the message says where that root comes from. Returns the code. */
int store_blame_root(const cst_store *store, int code, cst_error **error);

#endif
