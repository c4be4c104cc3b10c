/* SPDX-License-Identifier: Apache-2.0 */
/* Id maps for a container that no other container of the store has. */
#ifndef CST_STORE_CONTAINER_AUTO_USERNS_H
#define CST_STORE_CONTAINER_AUTO_USERNS_H

#include "store/core/store.h"

/* Chooses the maps for a container of this image ("": none). The caller holds the userns lock, until the container is recorded, and no
 * set. *ret is empty before. CST_EINVAL (the size is not allowed), CST_ENO_AVAILABLE_IDS, CST_EIMAGE_UNKNOWN, CST_ELAYER_UNKNOWN.
 * L r, I r, C r. */
int auto_userns_maps(cst_store *store, const cst_auto_userns_options *given, const char *image,
                     struct idmaps *ret, cst_error **error);

#endif
