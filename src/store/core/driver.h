/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of a store, and the threads that unpack for it. */
#ifndef CST_STORE_CORE_DRIVER_H
#define CST_STORE_CORE_DRIVER_H

#include "store/core/store.h"

/* Chooses and opens the driver. Takes the graph lock if something has to be made or mounted
 * first. */
int store_open_driver(cst_store *store, const cst_store_options *options, cst_error **error);
/* Opens the driver again if another process shut it down. The graph lock is held. */
int store_refresh_driver(cst_store *store, cst_error **error);
void store_close_drivers(cst_store *store);

/* The worker pool. The first call makes it. */
int store_pool(cst_store *store, struct pool **ret, cst_error **error);

#endif
