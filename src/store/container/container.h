/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting containers. */
#ifndef CST_STORE_CONTAINER_CONTAINER_H
#define CST_STORE_CONTAINER_CONTAINER_H

#include <cstorage/store.h>

/* cst_store_delete_container() with progress, which may be NULL. */
int container_delete(cst_store *store, const char *id, const cst_progress *progress,
                     cst_error **error);

#endif
