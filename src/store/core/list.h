/* SPDX-License-Identifier: Apache-2.0 */
/* All records of a set that is held, those of the additional stores too. */
#ifndef CST_STORE_CORE_LIST_H
#define CST_STORE_CORE_LIST_H

#include "records/record.h"
#include <cstorage/store.h>

int layers_list(cst_store *store, cst_layer_list **ret, cst_error **error);
int images_list(cst_store *store, cst_image_list **ret, cst_error **error);
int containers_list(cst_store *store, cst_container_list **ret, cst_error **error);

#endif
