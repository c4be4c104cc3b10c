/* SPDX-License-Identifier: Apache-2.0 */
/* The private directories of images and containers, for those who read them. */
#ifndef CST_STORE_ITEM_DIRECTORY_H
#define CST_STORE_ITEM_DIRECTORY_H

#include "store/core/store.h"

/* The path of a private directory, which the caller frees, and a descriptor of it. `make`: it is made if it is missing, but not
 * in a store that is only read. *fd stays as it is if the directory is not there. No symlink is followed in <root>/<drv>-images
 * or <drv>-containers. */
int private_directory(cst_store *store, enum cst_kind kind, const char *id, enum cst_directory directory, bool make,
		      char **path, int *fd, cst_error **error);

#endif
