/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_IMAGE_H
#define CST_STORE_IMAGE_H

#include "store/store.h"

/* An image of an additional store whose ID a new one takes, with its data; image NULL: none. */
struct image_base {
	cst_image *image;
	cst_data_item *items;
	size_t n_items;
};
int image_base_read(cst_store *store, const char *id, struct image_base *ret, cst_error **error);
void image_base_free(struct image_base *base);

/* cst_image_create(). What the options leave open comes from the image of an additional store that
 * has the ID; its names only if `take_names`: then they are taken away from whoever has them. */
int image_create(cst_store *store, const cst_image_options *options, bool take_names,
                 cst_image **ret, cst_error **error);
/* The names of an image go to the front of its history, one after the other. */
int image_history(const struct strings *old, const struct strv *names, struct strv *ret,
                  cst_error **error);

/* Copies an image of an additional store into this one, with names and data, its layers staying
 * where they are. COPIED_UP, 1 if there is no such image, or an error. */
enum { COPIED_UP = 2 };
int image_copy_up(cst_store *store, const char *id, cst_error **error);

#endif
