/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_IMAGE_H
#define CST_STORE_IMAGE_H

#include "store/store.h"

/* Copies an image of an additional store into this one, with names and data, its layers staying
 * where they are. COPIED_UP, 1 if there is no such image, or an error. */
enum { COPIED_UP = 2 };
int image_copy_up(cst_store *store, const char *id, cst_error **error);

#endif
