/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a whole image into a store: its layers, configuration and manifest, as the Go tools would have stored it. */
#ifndef CSTORAGE_IMPORT_H
#define CSTORAGE_IMPORT_H

#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cst_import_options {
	size_t size; /* sizeof(cst_import_options), set by CST_IMPORT_OPTIONS_INIT */
	const char *const *names; /* normalised first, see cst_image_name_normalise; taken from the images that have them */
	size_t n_names;
	const char *architecture, *os; /* which image of several platforms; NULL: this machine's, and "linux" */
	const cst_progress *progress;  /* what: "import"; bytes of all layers together */
} cst_import_options;
#define CST_IMPORT_OPTIONS_INIT { .size = sizeof(cst_import_options) }

/* Imports the image that `source` names:
 *
 *     oci:DIR[:REF]   an OCI image layout; REF is the name of the image in it, and may be left out if there is one only
 *     tar:FILE        a tar of a file system, plain or compressed, becomes an image of one layer
 *
 * The records are those that the Go tools write (docs/format/config.md, "Import recipe"): the image's ID is the digest of
 * its configuration, a layer's ID comes from the layers up to it, so that images share them. Every blob is held against its
 * digest while it is read. A layer that the store has is not read again. An image that the store has gets the names.
 * *image (may be NULL) is the record. On failure the layers that this call made are deleted again.
 *
 * CST_EINVAL: `source`, a name, or the platform; several images and no REF. CST_EARCHIVE: something in the source is
 * damaged or contradicts itself. CST_ENOTSUP: a manifest or layer of a kind that is not known, such as an encrypted one.
 * CST_EDUPLICATE_ID: the store has an image of this ID with another top layer. CST_ECANCELED. Locks: as
 * cst_store_create_layer and cst_store_create_image. */
CST_PUBLIC int cst_store_import_image(cst_store *store, const char *source, const cst_import_options *options,
				      cst_image **image, cst_error **error);

/* The name that podman and skopeo use for an image that a user calls `name`: "alpine" is "docker.io/library/alpine:latest".
 * The caller frees *full with cst_free. CST_EINVAL: it cannot be an image's name. */
CST_PUBLIC int cst_image_name_normalise(const char *name, char **full, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
