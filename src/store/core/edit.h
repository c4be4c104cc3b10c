/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of records in memory that the operations and the rules for dead writers share. The set is
 * held for writing, and saved by whoever holds it. */
#ifndef CST_STORE_CORE_EDIT_H
#define CST_STORE_CORE_EDIT_H

#include "store/core/set.h"

/* Changes a copy of a record, whose strings stay borrowed until the copy was put back. */
typedef int (*record_edit)(const struct kind *kind, void *record, void *arg, cst_error **error);

/* The edited record takes the place of the one with its ID. */
int record_put(struct set *set, const void *record, cst_error **error);

/* Records a data item, new or changed. An item whose record is gone: nothing to do. */
int record_put_data(struct set *set, const char *id, const struct data_item *item,
                    cst_error **error);

/* Puts a layer on the image's list of mapped copies. */
int image_list_mapped(struct set *images, const char *id, const char *layer, cst_error **error);
/* Takes it off every image's list. */
int image_unlist_mapped(struct set *images, const char *layer, cst_error **error);

#endif
