/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_CORE_ADDITIONAL_H
#define CST_STORE_CORE_ADDITIONAL_H

#include "store/core/store.h"

int additional_open(cst_store *store, cst_error **error);
void additional_close(cst_store *store);

#endif
