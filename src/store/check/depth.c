/* SPDX-License-Identifier: Apache-2.0 */
/* Depths of layers, as they are at one moment. */
#include "store/check/depth.h"
#include "base/error.h"

int depths_read(cst_store *store, struct depths *ret, cst_error **error)
{
	int r = cst_store_layers(store, &ret->layers, error);
	for (size_t i = 0; r == 0 && i < cst_layer_list_size(ret->layers); i++) {
		const cst_layer *layer = cst_layer_list_get(ret->layers, i);
		if (!hashmap_contains(&ret->by_id, cst_layer_id(layer)) &&
		    !hashmap_put(&ret->by_id, cst_layer_id(layer), (void *)layer))
			r = error_oom(error);
	}
	return r;
}

/* A record that is its own ancestor ends the walk. */
size_t depth_of(const struct depths *depths, const char *id)
{
	size_t depth = 0;
	const cst_layer *layer = hashmap_get(&depths->by_id, id);
	while (layer && *cst_layer_parent(layer) && depth < depths->by_id.len) {
		layer = hashmap_get(&depths->by_id, cst_layer_parent(layer));
		depth++;
	}
	return depth;
}

void depths_done(struct depths *depths)
{
	hashmap_free(&depths->by_id);
	cst_layer_list_free(depths->layers);
	*depths = (struct depths){0};
}
