/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up what operands name, and reports those that name nothing. */
#include "objects.h"
#include <string.h>

static void each_layer(cst_store *store, object_visitor visit, void *userdata)
{
	cst_layer_list *list = NULL;
	if (cst_store_layers_with(store, CST_LAYER_FIELD_NAMES, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < cst_layer_list_size(list); i++) {
		const cst_layer *layer = cst_layer_list_get(list, i);
		const char *const *names = NULL;
		size_t n = cst_layer_names(layer, &names);
		visit(KIND_LAYER, cst_layer_id(layer), names, n, userdata);
	}
	cst_layer_list_free(list);
}

static void each_image(cst_store *store, object_visitor visit, void *userdata)
{
	cst_image_list *list = NULL;
	if (cst_store_images(store, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < cst_image_list_size(list); i++) {
		const cst_image *image = cst_image_list_get(list, i);
		const char *const *names = NULL;
		size_t n = cst_image_names(image, &names);
		visit(KIND_IMAGE, cst_image_id(image), names, n, userdata);
	}
	cst_image_list_free(list);
}

static void each_container(cst_store *store, object_visitor visit, void *userdata)
{
	cst_container_list *list = NULL;
	if (cst_store_containers(store, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < cst_container_list_size(list); i++) {
		const cst_container *container = cst_container_list_get(list, i);
		const char *const *names = NULL;
		size_t n = cst_container_names(container, &names);
		visit(KIND_CONTAINER, cst_container_id(container), names, n, userdata);
	}
	cst_container_list_free(list);
}

void each_object(cst_store *store, unsigned kinds, size_t most, object_visitor visit,
                 void *userdata)
{
	size_t layers = 0, images = 0, containers = 0;
	(void)cst_store_count(store, kinds & KIND_LAYER ? &layers : NULL,
	                      kinds & KIND_IMAGE ? &images : NULL,
	                      kinds & KIND_CONTAINER ? &containers : NULL, NULL);
	if (kinds & KIND_LAYER && layers <= most)
		each_layer(store, visit, userdata);
	if (kinds & KIND_IMAGE && images <= most)
		each_image(store, visit, userdata);
	if (kinds & KIND_CONTAINER && containers <= most)
		each_container(store, visit, userdata);
}

unsigned object_kinds(cst_store *store, unsigned kinds, const char *text)
{
	cst_layer *layer = NULL;
	cst_image *image = NULL;
	cst_container *container = NULL;
	unsigned found = 0;
	if (kinds & KIND_LAYER && cst_store_layer(store, text, &layer, NULL) == 0)
		found |= KIND_LAYER;
	if (kinds & KIND_IMAGE && cst_store_image(store, text, &image, NULL) == 0)
		found |= KIND_IMAGE;
	if (kinds & KIND_CONTAINER && cst_store_container(store, text, &container, NULL) == 0)
		found |= KIND_CONTAINER;
	cst_layer_free(layer);
	cst_image_free(image);
	cst_container_free(container);
	return found;
}

const char *kinds_text(unsigned kinds)
{
	switch (kinds) {
	case KIND_LAYER: return "layer";
	case KIND_IMAGE: return "image";
	case KIND_CONTAINER: return "container";
	case KIND_LAYER | KIND_CONTAINER: return "layer or container";
	default: return "layer, image or container";
	}
}

void complain_unknown(const struct invocation *in, const char *operand)
{
	if (in->personality == GO_STYLE)
		return;
	unsigned kinds = in->command->kinds;
	complain(in, "there is no %s \"%s\"", kinds_text(kinds), operand);
	hint_unknown(in, kinds, operand);
}

char *layer_of_operand(const struct invocation *in, const char *operand)
{
	cst_container *container = NULL;
	unsigned kinds = in->personality == GNU_STYLE ? KIND_LAYER | KIND_CONTAINER : 0;
	if (object_kinds(in->store, kinds, operand) != KIND_CONTAINER ||
	    cst_store_container(in->store, operand, &container, NULL) < 0)
		return strdup(operand);
	char *layer = strdup(cst_container_layer(container));
	cst_container_free(container);
	return layer;
}
