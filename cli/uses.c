/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the users of layers in one pass over images, containers and layers. */
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
	free(uses->layers);
	free(uses->table);
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

static bool list_uses(cst_store *store, struct uses *uses)
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

/* ---- by the layer ---- */

static size_t hash_of(const char *text)
{
	uint64_t sum = 0, word;
	size_t left = strlen(text);
	for (; left > 0; left -= left < 8 ? left : 8, text += 8) {
		word = 0;
		memcpy(&word, text, left < 8 ? left : 8);
		sum = (sum ^ word) * 0x9e3779b97f4a7c15U;
		sum ^= sum >> 32;
	}
	return sum;
}

/* Its place in the table; where there is none, the place for it. */
static uint32_t *place_of(const struct uses *uses, const char *layer)
{
	size_t at = hash_of(layer) & uses->mask;
	while (uses->table[at] && strcmp(uses->layers[uses->table[at] - 1].layer, layer) != 0)
		at = (at + 1) & uses->mask;
	return &uses->table[at];
}

static struct layer_users *users_of(struct uses *uses, const char *layer)
{
	uint32_t *place = place_of(uses, layer);
	if (!*place) {
		uses->layers[uses->n_layers++] = (struct layer_users){.layer = layer};
		*place = (uint32_t)uses->n_layers;
	}
	return &uses->layers[*place - 1];
}

static bool make_table(struct uses *uses, size_t most)
{
	size_t size = 16;
	while (size < 2 * most)
		size *= 2;
	uses->mask = size - 1;
	uses->table = calloc(size, sizeof(*uses->table));
	uses->layers = calloc(most + 1, sizeof(*uses->layers));
	return uses->table && uses->layers;
}

/* Most layers stand right behind their parent, so the table need not know them. */
static bool is_behind_parent(const cst_layer_list *layers, size_t row)
{
	return row > 0 && strcmp(cst_layer_parent(cst_layer_list_get(layers, row)),
	                         cst_layer_id(cst_layer_list_get(layers, row - 1))) == 0;
}

static bool is_apart_from_parent(const cst_layer_list *layers, size_t row)
{
	return cst_layer_parent(cst_layer_list_get(layers, row))[0] &&
	       !is_behind_parent(layers, row);
}

bool uses_find(cst_store *store, const cst_layer_list *layers, struct uses *uses)
{
	size_t n_layers = cst_layer_list_size(layers), n_apart = 0;
	for (size_t i = 0; i < n_layers; i++)
		n_apart += is_apart_from_parent(layers, i);
	if (!list_uses(store, uses) || !make_table(uses, uses->n + n_apart))
		return false;
	for (size_t i = 0; i < uses->n; i++) {
		struct layer_users *users = users_of(uses, uses->items[i].layer);
		users->uses = users->n ? users->uses : &uses->items[i];
		users->n++;
	}
	for (size_t i = 0; n_apart && i < n_layers; i++) {
		if (is_apart_from_parent(layers, i))
			users_of(uses, cst_layer_parent(cst_layer_list_get(layers, i)))->n_apart++;
	}
	return true;
}

const struct layer_users *uses_of(const struct uses *uses, const char *layer)
{
	static const struct layer_users nobody;
	uint32_t place = *place_of(uses, layer);
	return place ? &uses->layers[place - 1] : &nobody;
}

size_t uses_children(const struct layer_users *users, const cst_layer_list *layers, size_t row)
{
	bool next = row + 1 < cst_layer_list_size(layers) && is_behind_parent(layers, row + 1);
	return users->n_apart + next;
}
