/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_STORE_ITEM_DATA_STAGE_H
#define CST_STORE_ITEM_DATA_STAGE_H

#include "lock/tempdir.h"
#include "records/record.h"
#include <cstorage/store.h>

/* Items that come with a new layer, image or container: checked and measured, their files staged and on
 * disk. */
struct new_data {
	struct data_item *items;
	size_t len;
	bool staged; /* as the directory STAGED_DATA of the stage */
};
#define STAGED_DATA "data"
int new_data_stage(cst_store *store, const char *kind, const cst_data_item *items, size_t n,
                   struct tempdir **stage, struct arena *arena, struct new_data *ret,
                   cst_error **error);
/* Is one of them read from a source? Then they can be staged only once. */
bool data_items_stream(const cst_data_item *items, size_t n);
/* Under the set's write lock: the staged directory becomes <dirfd>/<id>. */
int new_data_commit(const struct new_data *data, const struct tempdir *stage, int dirfd,
                    const char *id, cst_error **error);

/* Writes what a source gives to a new file of a staging directory, durably, and says its size and, where `digest` is not NULL
 * (DIGEST_TEXT_MAX bytes), its sha256. */
int data_stage_file(int dirfd, const char *file, const cst_source *source, const char *shown,
                    int64_t *size, char *digest, cst_error **error);

#endif
