/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of a store, and the threads that unpack for it. */
#ifndef CST_STORE_CORE_DRIVER_H
#define CST_STORE_CORE_DRIVER_H

#include "store/core/store.h"

/* Chooses and opens it; the graph lock is taken where something has to be made or mounted first. */
int store_open_driver(cst_store *store, const cst_store_options *options, cst_error **error);
/* Notices that another process shut the driver down, and opens it again. The graph lock is held. */
int store_refresh_driver(cst_store *store, cst_error **error);
void store_close_drivers(cst_store *store);

/* The worker pool, made at first use. */
int store_pool(cst_store *store, struct pool **ret, cst_error **error);

#endif
