/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_CONTAINER_LEVEL_H
#define CST_STORE_CONTAINER_LEVEL_H

#include "store/core/store.h"

/* Has a container of the store, or a layer, this SELinux level? Both are held. */
bool container_level_is_taken(const cst_store *store, const char *level);

#endif
