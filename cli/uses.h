/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses which layer: images, containers, and the layers on top of it. */
#ifndef CST_CLI_USES_H
#define CST_CLI_USES_H

#include <cstorage/cstorage.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of `image` and `container` is set. */
struct use {
	const char *layer;
	size_t order; /* among the images, then the containers, as the store lists them */
	const cst_image *image;
	const cst_container *container;
};

/* Those of one layer. An image uses its top layer and its mapped copies. */
struct layer_users {
	const char *layer;
	const struct use *uses; /* in their order */
	size_t n;
	size_t n_apart; /* layers on top of it that do not stand right behind it in the list */
};

struct uses {
	struct use *items; /* sorted by layer, then by order */
	size_t n;
	cst_image_list *images;
	cst_container_list *containers;
	struct layer_users *layers;
	size_t n_layers;
	uint32_t *table; /* where a layer is among `layers`, plus 1; by the hash of its ID */
	size_t mask;     /* the size of the table less 1 */
};

/* Finds them; `layers` (may be NULL) are those that may be on top of others. If a list cannot be read, the layers are shown
 * without these users, as the Go tool does. False: out of memory. */
bool uses_find(cst_store *store, const cst_layer_list *layers, struct uses *uses);
void uses_done(struct uses *uses);
const struct layer_users *uses_of(const struct uses *uses, const char *layer);
/* How many of the layers are on top of the one in this row, whose users these are? */
size_t uses_children(const struct layer_users *users, const cst_layer_list *layers, size_t row);

#endif
