/* SPDX-License-Identifier: Apache-2.0 */
/* containers and container. */
#include "command.h"
#include <inttypes.h>
#include <stdio.h>

static int print_containers(const struct invocation *in, const cst_container_list *list)
{
	size_t n = cst_container_list_size(list);
	bool json = is_on(in, OPT_JSON);
	for (size_t i = 0; i < n; i++) {
		const cst_container *container = cst_container_list_get(list, i);
		if (json) {
			putchar(i ? ',' : '[');
			int code = json_print_container(in, container);
			if (code)
				return code;
			continue;
		}
		const char *const *items = NULL;
		print_field("", cst_container_id(container));
		size_t n_items = cst_container_names(container, &items);
		print_fields("\tname: ", items, n_items);
		n_items = cst_container_data_names(container, &items);
		print_fields("\tdata: ", items, n_items);
	}
	if (json)
		fputs(n ? "]\n" : "[]\n", stdout);
	return 0;
}

int run_containers(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_container_list *list = NULL;
	if (cst_store_containers(in->store, &list, &error) < 0)
		return fail(in, error);
	int code = print_containers(in, list);
	cst_container_list_free(list);
	return code;
}

static void print_image_names(cst_store *store, const char *image_id)
{
	cst_image *image = NULL;
	if (!image_id[0] || cst_store_image(store, image_id, &image, NULL) < 0)
		return;
	const char *const *names = NULL;
	size_t n = cst_image_names(image, &names);
	print_fields("Image name: ", names, n);
	cst_image_free(image);
}

static void print_container(const struct invocation *in, const cst_container *container)
{
	_cleanup_error_ cst_error *error = NULL;
	const char *const *items = NULL;
	int64_t size = 0;
	print_field("ID: ", cst_container_id(container));
	size_t n = cst_container_names(container, &items);
	print_fields("Name: ", items, n);
	print_field("Image: ", cst_container_image(container));
	print_image_names(in->store, cst_container_image(container));
	if (cst_store_container_size(in->store, cst_container_id(container), &size, &error) < 0)
		print_field("Size unknown: ", error_text(in, error));
	else
		printf("Size: %" PRId64 "\n", size);
	print_field("Layer: ", cst_container_layer(container));
	n = cst_container_data_names(container, &items);
	print_fields("Data: ", items, n);
}

int run_container(struct invocation *in)
{
	size_t found = 0;
	int code = 0;
	bool json = is_on(in, OPT_JSON);
	for (size_t i = 0; i < in->n_operands; i++) {
		cst_container *container = NULL;
		if (cst_store_container(in->store, in->operands[i], &container, NULL) < 0)
			continue;
		if (json) {
			putchar(found ? ',' : '[');
			code = json_print_container(in, container) ? 1 : code;
		} else {
			print_container(in, container);
		}
		found++;
		cst_container_free(container);
	}
	if (json)
		fputs(found ? "]\n" : "[]\n", stdout);
	return found == in->n_operands ? code : 1;
}
