/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_LAYER_MAPPED_H
#define CST_STORE_LAYER_MAPPED_H

#include "store/core/store.h"

/* The layer that a container of the image with these maps starts with: the image's top layer, or
 * the copy of it that belongs to the ids of the maps. Where the driver can make one and there is
 * none it is made, and remembered with the image. The ID lives in `arena`; NULL if the image has no
 * layer. All sets must be free. CST_EIMAGE_UNKNOWN. L w, I w if it makes one. */
int mapped_layer_for(cst_store *store, const char *image, const struct idmaps *maps,
                     struct arena *arena, const char **ret, cst_error **error);

#endif
