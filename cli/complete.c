/* SPDX-License-Identifier: Apache-2.0 */
/* Names of what is in the store, for the completion of operands. Whatever goes wrong, nothing is
 * offered and nothing said. */
#include "command.h"
#include <string.h>

/* A shell shows its user what it is given, and takes line ends and tabs for the end of a name. */
static bool can_be_offered(const char *text)
{
	_cleanup_text_ char *plain = plain_text(text);
	return plain && text[0] && strcmp(plain, text) == 0;
}

/* The ID stands for what has no name. */
static void print_item(const char *kind, const char *id, const char *const *names, size_t n)
{
	if (!can_be_offered(id))
		return;
	for (size_t i = 0; i < n; i++)
		if (can_be_offered(names[i]))
			printf("%s\t%s %.*s\n", names[i], kind, SHORT_ID, id);
	if (n == 0)
		printf("%s\t%s\n", id, kind);
}

static void print_layers(cst_store *store)
{
	cst_layer_list *list = NULL;
	if (cst_store_layers(store, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < cst_layer_list_size(list); i++) {
		const cst_layer *layer = cst_layer_list_get(list, i);
		const char *const *names = NULL;
		size_t n = cst_layer_names(layer, &names);
		print_item("layer", cst_layer_id(layer), names, n);
	}
	cst_layer_list_free(list);
}

static void print_images(cst_store *store)
{
	cst_image_list *list = NULL;
	if (cst_store_images(store, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < cst_image_list_size(list); i++) {
		const cst_image *image = cst_image_list_get(list, i);
		const char *const *names = NULL;
		size_t n = cst_image_names(image, &names);
		print_item("image", cst_image_id(image), names, n);
	}
	cst_image_list_free(list);
}

static void print_containers(cst_store *store)
{
	cst_container_list *list = NULL;
	if (cst_store_containers(store, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < cst_container_list_size(list); i++) {
		const cst_container *container = cst_container_list_get(list, i);
		const char *const *names = NULL;
		size_t n = cst_container_names(container, &names);
		print_item("container", cst_container_id(container), names, n);
	}
	cst_container_list_free(list);
}

/* The usage line tells which kinds a verb takes; looking writes nothing. */
void print_operand_candidates(struct invocation *in)
{
	const char *operands = in->command->operands;
	if (in->n_operands >= in->command->max_operands ||
	    prepare_store_options(in, NULL, NULL) < 0)
		return;
	in->store_options.read_only = true;
	if (cst_store_open(&in->store_options, &in->store, NULL) < 0)
		return;
	if (strcasestr(operands, "layer"))
		print_layers(in->store);
	if (strcasestr(operands, "image"))
		print_images(in->store);
	if (strcasestr(operands, "container"))
		print_containers(in->store);
}
