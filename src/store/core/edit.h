/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of records in memory, for the operations and for the rules about dead writers. The caller
 * holds the set for writing, and saves it. */
#ifndef CST_STORE_CORE_EDIT_H
#define CST_STORE_CORE_EDIT_H

#include "store/core/set.h"

/* Changes a copy of a record. The strings that it sets must live until the copy was put back. */
typedef int (*record_edit)(const struct kind *kind, void *record, void *arg, cst_error **error);

/* Puts the edited record in the place of the one with its ID. */
int record_put(struct set *set, const void *record, cst_error **error);

/* Records a data item that is new or changed. Does nothing if the record of its owner is gone. */
int record_put_data(struct set *set, const char *id, const struct data_item *item,
                    cst_error **error);

/* Adds a layer to the image's list of mapped copies. */
int image_list_mapped(struct set *images, const char *id, const char *layer, cst_error **error);
/* Removes a layer from the lists of all images. */
int image_unlist_mapped(struct set *images, const char *layer, cst_error **error);

#endif
