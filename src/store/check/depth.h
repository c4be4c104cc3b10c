/* SPDX-License-Identifier: Apache-2.0 */
/* How many layers are below a layer: to go through layers from parents to children, or back. */
#ifndef CST_STORE_CHECK_DEPTH_H
#define CST_STORE_CHECK_DEPTH_H

#include "base/hashmap.h"
#include <cstorage/store.h>

struct depths {
	cst_layer_list *layers;
	struct hashmap by_id;
};
int depths_read(cst_store *store, struct depths *ret, cst_error **error);
size_t depth_of(const struct depths *depths, const char *id); /* 0: such a layer is not there */
void depths_done(struct depths *depths);

#endif
