/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing the additional image stores of a store. */
#ifndef CST_STORE_CORE_ADDITIONAL_H
#define CST_STORE_CORE_ADDITIONAL_H

#include "store/core/store.h"

int additional_open(cst_store *store, cst_error **error);
void additional_close(cst_store *store);
/* If the message of an error with this code names something in an additional store, adds where the path of that store
 * comes from. Returns the code. */
int additional_blame(const cst_store *store, int code, cst_error **error);

#endif
