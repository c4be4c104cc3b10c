/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to import an image share: the state of one import, and the steps at its end. */
#ifndef CST_OCI_IMPORT_H
#define CST_OCI_IMPORT_H

#include "base/str.h"
#include "base/timestamp.h"
#include <cstorage/import.h>

struct import {
	cst_store *store;
	const cst_import_options *options;
	struct strv names;    /* normalised */
	struct strv made;     /* IDs of the layers that this import made, the base first */
	cst_progress progress; /* calls the caller's, counting all layers together */
	uint64_t bytes_before, bytes_total;
};

/* An image that can be recorded: all its layers exist. */
struct new_image {
	const char *id, *layer; /* layer: "" for none */
	const struct timestamp *created; /* NULL: now */
	const cst_data_item *data;
	size_t n_data;
};

int import_oci(struct import *import, const char *place, cst_image **image, cst_error **error);
int import_tar(struct import *import, const char *path, cst_image **image, cst_error **error);

/* Does the store have the layer of this ID? */
int import_has_layer(struct import *import, const char *id, bool *ret, cst_error **error);
/* Records the image. If it exists already, gives it the names. */
int import_record(struct import *import, const struct new_image *image, cst_image **ret, cst_error **error);

/* The architecture of this machine in Go's words. */
const char *import_architecture(void);

#endif
