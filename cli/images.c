/* SPDX-License-Identifier: Apache-2.0 */
/* images, images-by-digest, image and the directories of an image. */
#include "command.h"
#include <inttypes.h>
#include <stdio.h>

static void print_listed(const cst_image *image, bool quiet)
{
	const char *const *items = NULL;
	print_field("", cst_image_id(image));
	if (quiet)
		return;
	size_t n = cst_image_names(image, &items);
	print_fields("\tname: ", items, n);
	n = cst_image_digests(image, &items);
	print_fields("\tdigest: ", items, n);
	n = cst_image_data_names(image, &items);
	print_fields("\tdata: ", items, n);
}

static int print_images(const struct invocation *in, const cst_image_list *list,
                        const char *if_empty)
{
	size_t n = cst_image_list_size(list);
	bool json = is_on(in, OPT_JSON);
	for (size_t i = 0; i < n; i++) {
		const cst_image *image = cst_image_list_get(list, i);
		if (!json) {
			print_listed(image, is_on(in, OPT_QUIET));
			continue;
		}
		putchar(i ? ',' : '[');
		int code = json_print_image(in, image);
		if (code)
			return code;
	}
	if (json)
		printf("%s\n", n ? "]" : if_empty);
	return 0;
}

int run_images(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_image_list *list = NULL;
	if (cst_store_images(in->store, &list, &error) < 0)
		return fail(in, error);
	int code = print_images(in, list, "null");
	cst_image_list_free(list);
	return code;
}

int run_images_by_digest(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_image_list *list = NULL;
	if (cst_store_images_by_digest(in->store, in->operands[0], &list, &error) < 0)
		return fail(in, error);
	int code = print_images(in, list, "[]");
	cst_image_list_free(list);
	return code;
}

static void print_size(const struct invocation *in, const char *id)
{
	_cleanup_error_ cst_error *error = NULL;
	int64_t size = 0;
	if (cst_store_image_size(in->store, id, &size, &error) < 0)
		print_field("Size unknown: ", error_text(in, error));
	else
		printf("Size: %" PRId64 "\n", size);
}

static void print_image(const struct invocation *in, const cst_image *image)
{
	const char *const *items = NULL;
	print_field("ID: ", cst_image_id(image));
	size_t n = cst_image_names(image, &items);
	print_fields("Name: ", items, n);
	print_field("Top Layer: ", cst_image_top_layer(image));
	n = cst_image_mapped_layers(image, &items);
	print_fields("Top Layer: ", items, n);
	n = cst_image_digests(image, &items);
	print_fields("Digest: ", items, n);
	n = cst_image_data_names(image, &items);
	print_fields("Data: ", items, n);
	print_size(in, cst_image_id(image));
	if (cst_image_read_only(image))
		printf("Read Only: true\n");
}

int run_image(struct invocation *in)
{
	size_t found = 0;
	int code = 0;
	bool json = is_on(in, OPT_JSON);
	for (size_t i = 0; i < in->n_operands; i++) {
		cst_image *image = NULL;
		if (cst_store_image(in->store, in->operands[i], &image, NULL) < 0)
			continue;
		if (json) {
			putchar(found ? ',' : '[');
			code = json_print_image(in, image) ? 1 : code;
		} else {
			print_image(in, image);
		}
		found++;
		cst_image_free(image);
	}
	if (json)
		fputs(found ? "]\n" : "[]\n", stdout);
	return found == in->n_operands ? code : 1;
}
