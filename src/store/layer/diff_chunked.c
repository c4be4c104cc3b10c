/* SPDX-License-Identifier: Apache-2.0 */
/* A layer as a zstd:chunked blob. */
#include "chunked/public.h"
#include "store/core/store.h"
#include <cstorage/chunked.h>

struct layer_of {
	cst_store *store;
	const char *id;
};

static int put_layer(void *userdata, const cst_sink *tar, const cst_progress *progress,
                     cst_error **error)
{
	const struct layer_of *layer = userdata;
	cst_diff_options plain = CST_DIFF_OPTIONS_INIT;
	plain.compression = CST_PLAIN;
	plain.progress = progress;
	return cst_store_diff(layer->store, NULL, layer->id, &plain, tar, error);
}

int cst_store_diff_chunked(cst_store *store, const char *id, const cst_sink *blob,
                           const cst_chunked_options *options, cst_chunked_result *result,
                           cst_error **error)
{
	struct layer_of layer = {.store = store, .id = id};
	return chunked_create(blob, options, result, put_layer, &layer, error);
}
