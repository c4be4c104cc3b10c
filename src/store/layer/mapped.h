/* SPDX-License-Identifier: Apache-2.0 */
/* The layer for a container with id maps. */
#ifndef CST_STORE_LAYER_MAPPED_H
#define CST_STORE_LAYER_MAPPED_H

#include "store/core/store.h"

/* The layer that a container of this image with these maps starts with: the image's top layer, or
 * the copy of it that belongs to the ids of the maps. If the driver can make a copy and there is
 * none, makes one and records it with the image. The ID is in `arena`; NULL if the image has no
 * layer. The caller holds no set. CST_EIMAGE_UNKNOWN. L w and I w if it makes one. */
int mapped_layer_for(cst_store *store, const char *image, const struct idmaps *maps,
                     struct arena *arena, const char **ret, cst_error **error);

#endif
