/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the users of layers in one pass over images and containers. */
#include "uses.h"
#include <stdlib.h>
#include <string.h>

static int by_layer(const void *a, const void *b)
{
	const struct use *left = a, *right = b;
	int order = strcmp(left->layer, right->layer);
	if (order)
		return order;
	return left->order < right->order ? -1 : left->order > right->order;
}

void uses_done(struct uses *uses)
{
	free(uses->items);
	cst_image_list_free(uses->images);
	cst_container_list_free(uses->containers);
}

static void add_image(struct uses *uses, const cst_image *image)
{
	const char *const *mapped = NULL;
	size_t n = cst_image_mapped_layers(image, &mapped);
	struct use use = {.layer = cst_image_top_layer(image), .image = image};
	for (size_t i = 0; i <= n; i++) {
		use.order = uses->n;
		uses->items[uses->n++] = use;
		use.layer = i < n ? mapped[i] : "";
	}
}

bool uses_find(cst_store *store, struct uses *uses)
{
	(void)cst_store_images(store, &uses->images, NULL);
	(void)cst_store_containers(store, &uses->containers, NULL);
	size_t n = cst_container_list_size(uses->containers);
	for (size_t i = 0; i < cst_image_list_size(uses->images); i++) {
		const char *const *mapped = NULL;
		n += 1 + cst_image_mapped_layers(cst_image_list_get(uses->images, i), &mapped);
	}
	uses->items = calloc(n ? n : 1, sizeof(*uses->items));
	if (!uses->items)
		return false;
	for (size_t i = 0; i < cst_image_list_size(uses->images); i++)
		add_image(uses, cst_image_list_get(uses->images, i));
	for (size_t i = 0; i < cst_container_list_size(uses->containers); i++) {
		const cst_container *container = cst_container_list_get(uses->containers, i);
		uses->items[uses->n] = (struct use){.layer = cst_container_layer(container),
		                                    .order = uses->n,
		                                    .container = container};
		uses->n++;
	}
	qsort(uses->items, uses->n, sizeof(*uses->items), by_layer);
	return true;
}

const struct use *uses_first(const struct uses *uses, const char *layer)
{
	size_t low = 0, high = uses->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(uses->items[middle].layer, layer) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return uses->items + low;
}
