/* SPDX-License-Identifier: Apache-2.0 */
/* Data items of something new. */
#ifndef CST_STORE_ITEM_DATA_STAGE_H
#define CST_STORE_ITEM_DATA_STAGE_H

#include "lock/tempdir.h"
#include "records/record.h"
#include <cstorage/store.h>

/* Items that come with a new layer, image or container. They are checked and measured, and their
 * files are staged and on disk. */
struct new_data {
	struct data_item *items;
	size_t len;
	bool staged; /* as the directory STAGED_DATA of the stage */
};
#define STAGED_DATA "data"
/* Adds to those that *ret has; one of the same key takes the place of the other. */
int new_data_stage(cst_store *store, const char *kind, const cst_data_item *items, size_t n,
                   struct tempdir **stage, struct arena *arena, struct new_data *ret,
                   cst_error **error);
/* Does one of them come from a source? Then they can be staged only once. */
bool data_items_stream(const cst_data_item *items, size_t n);
/* A new image or container: its data items, and the directory where they are staged, and its record. */
struct staged_item {
	struct tempdir *stage;
	struct new_data data;
	const void *record;
};
/* A step of a change, for a struct staged_item: puts the data items into place, then the record. First removes what a
 * crashed Go process left under the ID. */
struct change;
struct intent;
int staged_item_place(struct change *change, const struct intent *intent, void *arg, cst_error **error);

/* Makes the staged directory <dirfd>/<id>. The set is held for writing. */
int new_data_commit(const struct new_data *data, const struct tempdir *stage, int dirfd,
                    const char *id, cst_error **error);

/* Writes what a source gives to a new file of a staging directory, durably. Returns its size, and
 * its sha256 if `digest` (DIGEST_TEXT_MAX bytes) is not NULL. Its name becomes durable with the directory. */
int data_stage_file(int dirfd, const char *file, const cst_source *source, const char *shown,
                    int64_t *size, char *digest, cst_error **error);

#endif
