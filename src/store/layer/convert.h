/* SPDX-License-Identifier: Apache-2.0 */
/* The TOC of a layer that is unpacked from an archive: with it a later pull can take files and chunks from the layer, as if it had been
 * fetched in parts (docs/format/chunked.md, "convert_images"). It is made beside the unpacking. What a TOC cannot hold is no failure:
 * the layer is whole without one. */
#ifndef CST_STORE_LAYER_CONVERT_H
#define CST_STORE_LAYER_CONVERT_H

#include "store/layer/create.h"

struct chunked_writer;
struct converter {
	struct chunked_writer *writer; /* NULL: no TOC is made */
	cst_sink sink;                 /* takes the plain tar */
	bool of_blob;
};
/* If a TOC is wanted: by the store's options, or by `how`. */
int converter_begin(const cst_store *store, const struct layer_unpacking *how, struct converter *ret, cst_error **error);
/* All of the tar came. Stages the data items that a layer with a TOC has. */
int converter_end(struct converter *converter, cst_store *store, struct new_layer *layer, cst_error **error);
void converter_free(struct converter *converter);

/* The data items of a layer with this TOC. */
int new_layer_stage_toc(cst_store *store, struct new_layer *layer, const char *json, size_t size, cst_error **error);

#endif
