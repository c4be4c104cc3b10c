/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is slow to delete: moved out of sight under the locks, deleted after them. Where the disk is too
 * full to move it, it is deleted at once, under the locks. Deleting what belongs to an item that has no
 * record (any more) begins here.
 */
#ifndef CST_STORE_CHANGE_TRASH_H
#define CST_STORE_CHANGE_TRASH_H

#include "base/fs_later.h"
#include "lock/tempdir.h"
#include <cstorage/store.h>

struct trash {
	struct driver_trash *driver;
	struct tempdir *metadata;
	const cst_progress *progress; /* of the removal; may be NULL */
	struct fs_later left; /* what it left is to be synced before records that count on it, and before the announcement goes */
};
void trash_free(struct trash *trash); /* deletes what is in it: never under a lock */
#define _cleanup_trash_ _cleanup_(trash_free)
/* The first call of a deletion's progress, while it can still be given up: CST_ECANCELED. */
int trash_announce(const struct trash *trash, cst_error **error);

/* The private directory of an image or container, inside of its own. */
#define USERDATA "userdata"

/* A staging place for files that end up in the graph root's metadata directories; made at first
 * use. */
int metadata_stage(cst_store *store, struct tempdir **stage, cst_error **error);

/* The tar-split and the data items of a layer. The layers are held for writing. */
int layer_remove_metadata(cst_store *store, const char *id, struct trash *trash,
                          cst_error **error);
/* All that belongs to an item without record; `note`: of the driver for a half-made layer, else "".
 * Its set is held for writing. */
int item_remove_files(cst_store *store, enum cst_kind kind, const char *id, const char *note,
                      struct trash *trash, cst_error **error);
/* The private directory of an image below <root>/<drv>-images. */
int image_remove_userdata(cst_store *store, const char *root, const char *id, cst_error **error);

#endif
