/* SPDX-License-Identifier: Apache-2.0 */
/* Which images and containers use which layer. */
#ifndef CST_CLI_USES_H
#define CST_CLI_USES_H

#include <cstorage/cstorage.h>
#include <stdbool.h>
#include <stddef.h>

/* One of `image` and `container` is set. */
struct use {
	const char *layer;
	size_t order; /* among the images, then the containers, as the store lists them */
	const cst_image *image;
	const cst_container *container;
};

/* Sorted by layer, then by order. An image uses its top layer and its mapped copies. */
struct uses {
	struct use *items;
	size_t n;
	cst_image_list *images;
	cst_container_list *containers;
};

/* Finds them. If a list cannot be read, the layers are shown without these users, as the Go tool
 * does. False: out of memory. */
bool uses_find(cst_store *store, struct uses *uses);
void uses_done(struct uses *uses);
/* The first use of a layer; if there is none, the end. */
const struct use *uses_first(const struct uses *uses, const char *layer);

#endif
