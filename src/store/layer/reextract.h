/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking the archive of a damaged layer once more. */
#ifndef CST_STORE_LAYER_REEXTRACT_H
#define CST_STORE_LAYER_REEXTRACT_H

#include "records/record.h"
#include <cstorage/store.h>

/* A layer that can get its content anew: a copy of its record. Not if it is no layer of this store, has no sha256 diff digest,
 * or is a container's. Locks L r, C r. CST_ELAYER_UNKNOWN, CST_ENOTSUP, CST_ELAYER_USED_BY_CONTAINER. */
int layer_to_reextract(cst_store *store, const char *id, cst_layer **ret, cst_error **error);

/* Unpacks `archive` in a staging place, without a lock, and compares the digest with the recorded one. If it is the same, the
 * content and the tar-split take the place of those that the layer has; its record stays, but for a wrong size. If somebody
 * works in the layer, or in one that is built on it, only the tar-split takes its place, and only if the files that are there
 * give the archive back by it: *in_use tells. CST_EARCHIVE: not the layer's archive. CST_EBUSY: it is in use, and its files are damaged. */
int layer_reextract(cst_store *store, const char *id, const cst_source *archive, const cst_progress *progress,
		    bool *in_use, cst_error **error);

/* For a layer whose tar-split is lost, or cannot be read: packs the files that are there, and makes a tar-split of that. If the
 * archive comes out with another digest, the record gets that one (*digest, which the caller frees), and what it says of the
 * compressed blob is dropped. CST_EINVAL: the tar-split can be read. CST_ECORRUPT: files are missing. */
int layer_repack(cst_store *store, const char *id, char **digest, cst_error **error);

#endif
