/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_ITEM_EDIT_H
#define CST_STORE_ITEM_EDIT_H

#include "store/core/store.h"

/* A change of one record: each function edits a copy whose strings may be borrowed until the call
 * ends. */
struct record_edit {
	int (*layer)(cst_layer *layer, void *arg, cst_error **error);
	int (*image)(cst_image *image, void *arg, cst_error **error);
	int (*container)(cst_container *container, void *arg, cst_error **error);
	bool copy_up; /* an image of an additional store is copied into this one first */
};

/* Finds the layer, else the image, else the container of that ID, name or prefix, edits it and
 * saves it under the write lock of its kind. None: the code `unknown`. A NULL function skips that
 * kind. */
int edit_record(cst_store *store, const char *id, const struct record_edit *edit, void *arg,
                int unknown, cst_error **error);

#endif
