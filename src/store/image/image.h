/* SPDX-License-Identifier: Apache-2.0 */
/* Creating, copying and deleting images. */
#ifndef CST_STORE_IMAGE_IMAGE_H
#define CST_STORE_IMAGE_IMAGE_H

#include "store/core/edit.h"
#include <cstorage/store.h>

/* An image of an additional store, and its data, whose ID a new image takes. `image` NULL: there is
 * none. */
struct image_base {
	cst_image *image;
	cst_data_item *items;
	size_t n_items;
};
int image_base_read(cst_store *store, const char *id, struct image_base *ret, cst_error **error);
void image_base_free(struct image_base *base);

/* cst_store_create_image(). If an image of an additional store has the ID, what the options leave
 * open comes from it, and so do its names; other images lose these. With `edit`, which changes the
 * new record before another process can see it, the names are only those given. */
int image_create(cst_store *store, const cst_image_options *options, record_edit edit, void *arg,
                 cst_image **ret, cst_error **error);
/* Copies an image of an additional store into this one, with names and data, and edits the copy;
 * all of it becomes visible at once. The layers stay where they are. 1: there is no such image.
 * CST_EDUPLICATE_ID: another process was faster. */
int image_copy_up(cst_store *store, const char *id, record_edit edit, void *arg, cst_error **error);

/* cst_store_delete_image() with progress, which may be NULL. */
int image_delete(cst_store *store, const char *id, bool commit, const cst_progress *progress,
                 cst_strings **layers, cst_error **error);
/* Deletes the image only; its layers stay. CST_ENOT_AN_IMAGE. I w. */
int image_delete_record(cst_store *store, const char *id, const cst_progress *progress,
                        cst_error **error);

#endif
