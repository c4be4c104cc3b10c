/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blobs that a user gives to a repair, and finding in them what a layer was unpacked from. They are in places of four
 * kinds: a directory of blobs (an OCI layout, skopeo's `dir:`), an archive of `docker save`, and another store.
 *
 * A blob is known by the digest of its content. A name is believed only so far that the blob of that name is looked at first;
 * and manifests are not read at all, so that it does not matter what they say. Only when no name helps every blob of a place is
 * read, once.
 */
#ifndef CST_STORE_CHECK_BLOBS_H
#define CST_STORE_CHECK_BLOBS_H

#include "base/error.h"
#include <cstorage/store.h>

struct blobs_options {
	const char *const *places; /* paths */
	size_t n_places;
	uint64_t plain_max;           /* no blob that is looked for is longer, when it is decompressed */
	const cst_progress *progress; /* what: "repair"; counts the bytes of blobs that are read to find one */
};

struct blobs;
/* Opens the places. The store is where blobs of another store are put for a while. Both live as long as the blobs do.
 * CST_ESYS, CST_EINVAL, for a place that is none. */
int blobs_new(cst_store *store, const struct blobs_options *options, struct blobs **ret, cst_error **error);
void blobs_free(struct blobs *blobs); /* NULL allowed */

/* What a layer was unpacked from: the digest of the blob, and of what it decompresses to. "": not known. */
struct wanted_blob {
	const char *compressed, *plain;
};
/* Calls `use` with one blob after the other that may be the one, until `use` succeeds. CST_EDATA_UNKNOWN: there is none; the
 * message names each that did not serve, and says why. CST_ESYS: the same, but some could not be read. CST_ENOMEM, CST_ECANCELED, and CST_ESYS from `use`, end the search at once. */
typedef int (*blob_use)(void *arg, const cst_source *blob, cst_error **error);
/* *ret: which blob it was, for messages; the caller frees it. */
int blobs_find(struct blobs *blobs, const struct wanted_blob *wanted, blob_use use, void *arg, char **ret, cst_error **error);

#endif
