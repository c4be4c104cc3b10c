/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_IMAGE_IMAGE_H
#define CST_STORE_IMAGE_IMAGE_H

#include "store/core/edit.h"
#include <cstorage/store.h>

/* An image of an additional store whose ID a new one takes, with its data; image NULL: none. */
struct image_base {
	cst_image *image;
	cst_data_item *items;
	size_t n_items;
};
int image_base_read(cst_store *store, const char *id, struct image_base *ret, cst_error **error);
void image_base_free(struct image_base *base);

/* cst_store_create_image(). What the options leave open comes from the image of an additional store that
 * has the ID, with its names, which are taken away from whoever has them; or with `edit`, which
 * changes the new record before anybody sees it, no names but those given. */
int image_create(cst_store *store, const cst_image_options *options, record_edit edit, void *arg,
                 cst_image **ret, cst_error **error);
/* Copies an image of an additional store into this one, with names and data, its layers staying
 * where they are, and edits the copy: one change for whoever looks. 1 if there is no such image;
 * CST_EDUPLICATE_ID if another process was faster. */
int image_copy_up(cst_store *store, const char *id, record_edit edit, void *arg, cst_error **error);

/* cst_store_delete_image() with progress (may be NULL). */
int image_delete(cst_store *store, const char *id, bool commit, const cst_progress *progress,
                 cst_strings **layers, cst_error **error);
/* The image alone, its layers stay. CST_ENOT_AN_IMAGE. I w. */
int image_delete_record(cst_store *store, const char *id, const cst_progress *progress,
                        cst_error **error);

#endif
