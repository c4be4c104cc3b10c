/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and making the roots of a store. */
#ifndef CST_STORE_CORE_ROOTS_H
#define CST_STORE_CORE_ROOTS_H

#include "store/core/store.h"

/* Finds the roots. One that the options leave out comes from the configuration. If the options have
 * none, that is an error. */
int store_find_roots(cst_store *store, const cst_store_options *options, cst_error **error);
/* Makes the roots. For a store that is only read, checks that the graph root is there. */
int store_open_roots(cst_store *store, cst_error **error);
/* Opening the store failed with `code` after the roots were made. If this process may not write to
 * a root, adds where the path of that root comes from. Returns the code. */
int store_blame_root(const cst_store *store, int code, cst_error **error);

#endif
