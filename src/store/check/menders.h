/* SPDX-License-Identifier: Apache-2.0 */
/* The menders of mend.c's table, each in a file of its own. */
#ifndef CST_STORE_CHECK_MENDERS_H
#define CST_STORE_CHECK_MENDERS_H

#include "store/check/mend.h"

/* mend_data.c: the size and digest of a data item are recorded wrongly, while its file is right. */
int mend_data_record(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

/* driver_files.c: what the driver keeps of a layer besides its content. */
int mend_driver_files(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

/* mend_content.c: the content of a layer is unpacked again from a blob that the caller gave. */
int mend_from_blob(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);
/* What seemed wrong with a layer's content may have been mended with its parent. */
int mend_still_damaged(struct mending *mending, const struct cst_finding *finding, bool *ret, cst_error **error);
/* The tar-split of a layer is made anew of its files. */
int mend_by_packing(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);
struct blobs;
/* Opens the places of options->from. *ret stays NULL if there are none. */
int mend_open_blobs(cst_store *store, const cst_repair_options *options, struct blobs **ret, cst_error **error);

/* mend_image.c: the composefs image of a layer is made anew. */
int mend_image(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

/* mounts.c: the layer counts as mounted, and is not. */
int mend_mount(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

/* lock_files.c: a lock file is not a regular file. */
int mend_lock_file(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

/* record_files.c: a file of records is not understood. */
int mend_record_files(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

/* mend_layers.c: a layer has lost its record. */
int mend_lost_layers(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

/* mend_record.c: the record of a layer is its own ancestor. */
int mend_record(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);

#endif
