/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs images, images-by-digest, image, and those for directories of an image. */
#include "command.h"
#include "list.h"
#include "objects.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- cstorage ---- */

enum {
	ID,
	CREATED,
	SIZE,
	USED,
	NAMES,
	AGE,
	CONTAINERS,
	LAYER,
	DIGEST,
	DIGESTS,
	DATA,
	READ_ONLY,
	METADATA
};

static const struct field fields[] = {
        [ID] = {"id", "ID", FIELD_ID},
        [CREATED] = {"created", "AGE", FIELD_TIME},
        [SIZE] = {"size", "SIZE", FIELD_SIZE},
        [USED] = {"used", "USED BY", FIELD_TEXT},
        [NAMES] = {"names", "NAMES", FIELD_TEXTS},
        [AGE] = {"age", NULL, FIELD_AGE},
        [CONTAINERS] = {"containers", NULL, FIELD_NUMBER},
        [LAYER] = {"layer", NULL, FIELD_ID},
        [DIGEST] = {"digest", NULL, FIELD_TEXT},
        [DIGESTS] = {"digests", NULL, FIELD_TEXTS},
        [DATA] = {"data", NULL, FIELD_TEXTS},
        [READ_ONLY] = {"readonly", NULL, FIELD_BOOL},
        [METADATA] = {"metadata", NULL, FIELD_TEXT},
};

/* Found when a field first asks for them. */
struct late {
	cst_container_list *containers;
	const cst_container **by_image; /* sorted by image, then as listed */
	size_t n;
	int64_t *sizes; /* of each row */
	bool looked_for_users, looked_for_sizes;
};

struct image_rows {
	const cst_image_list *images;
	cst_store *store;
	struct late *late;
};

static int by_image(const void *a, const void *b)
{
	const cst_container *const *left = a, *const *right = b;
	int order = strcmp(cst_container_image(*left), cst_container_image(*right));
	return order ? order : (*left > *right) - (*left < *right); /* the list is one array */
}

/* If the containers cannot be read, the images are listed without their users. */
static void need_users(const struct image_rows *rows)
{
	struct late *late = rows->late;
	if (late->looked_for_users)
		return;
	late->looked_for_users = true;
	(void)cst_store_containers(rows->store, &late->containers, NULL);
	size_t n = cst_container_list_size(late->containers);
	late->by_image = calloc(n + 1, sizeof(const cst_container *));
	for (; late->by_image && late->n < n; late->n++)
		late->by_image[late->n] = cst_container_list_get(late->containers, late->n);
	if (late->n)
		qsort(late->by_image, late->n, sizeof(const cst_container *), by_image);
}

static size_t first_user(const struct late *late, const char *id)
{
	size_t low = 0, high = late->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(cst_container_image(late->by_image[middle]), id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void find_users(const struct image_rows *rows, const char *id, struct value *ret)
{
	struct users users = {0};
	const char *const *names = NULL;
	const cst_container *last = NULL;
	need_users(rows);
	for (size_t i = first_user(rows->late, id); i < rows->late->n; i++) {
		const cst_container *container = rows->late->by_image[i];
		if (strcmp(cst_container_image(container), id) != 0)
			break;
		last = container;
		ret->number++;
	}
	size_t n = last ? cst_container_names(last, &names) : 0;
	users_add(&users, "container", (size_t)ret->number, last ? cst_container_id(last) : "",
	          names, n);
	ret->text = ret->owned = users_done(&users);
}

static int64_t size_of(const struct image_rows *rows, size_t row)
{
	struct late *late = rows->late;
	if (!late->looked_for_sizes) {
		late->looked_for_sizes = true;
		late->sizes = calloc(cst_image_list_size(rows->images) + 1, sizeof(int64_t));
		if (late->sizes &&
		    cst_store_image_sizes(rows->store, rows->images, late->sizes, NULL) < 0) {
			free(late->sizes);
			late->sizes = NULL;
		}
	}
	return late->sizes ? late->sizes[row] : -1;
}

static void find_value(const struct list *list, size_t row, size_t field, struct value *ret)
{
	const struct image_rows *rows = list->source;
	const cst_image *image = cst_image_list_get(rows->images, row);
	switch (field) {
	case ID: ret->text = cst_image_id(image); break;
	case CREATED:
	case AGE: ret->number = cst_image_created(image, NULL); break;
	case SIZE: ret->number = size_of(rows, row); break;
	case USED:
	case CONTAINERS: find_users(rows, cst_image_id(image), ret); break;
	case NAMES: ret->n_texts = cst_image_names(image, &ret->texts); break;
	case LAYER: ret->text = cst_image_top_layer(image); break;
	case DIGEST: ret->text = cst_image_digest(image); break;
	case DIGESTS: ret->n_texts = cst_image_digests(image, &ret->texts); break;
	case DATA: ret->n_texts = cst_image_data_names(image, &ret->texts); break;
	case READ_ONLY: ret->number = cst_image_read_only(image); break;
	case METADATA: ret->text = cst_image_metadata(image); break;
	}
}

static int print_row_json(const struct list *list, size_t row)
{
	const struct image_rows *rows = list->source;
	return json_print_image(list->in, cst_image_list_get(rows->images, row));
}

static int list_images(const struct invocation *in, const cst_image_list *images,
                       const char *if_empty)
{
	struct late late = {0};
	const struct image_rows rows = {.images = images, .store = in->store, .late = &late};
	struct list list = {.fields = fields,
	                    .n_fields = sizeof(fields) / sizeof(fields[0]),
	                    .n_rows = cst_image_list_size(images),
	                    .find = find_value,
	                    .print_json = print_row_json,
	                    .json_if_empty = if_empty,
	                    .in = in,
	                    .source = &rows};
	int code = list_print(&list);
	cst_container_list_free(late.containers);
	free(late.by_image);
	free(late.sizes);
	return code;
}

static int show_images(const struct invocation *in, const cst_image_list *images,
                       const char *if_empty)
{
	return (in->personality == GNU_STYLE ? list_images : print_images)(in, images, if_empty);
}

int run_images(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_image_list *list = NULL;
	if (cst_store_images(in->store, &list, &error) < 0)
		return fail(in, error);
	int code = show_images(in, list, "null");
	cst_image_list_free(list);
	return code;
}

int run_images_by_digest(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_image_list *list = NULL;
	if (cst_store_images_by_digest(in->store, in->operands[0], &list, &error) < 0)
		return fail(in, error);
	int code = show_images(in, list, "[]");
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
		if (cst_store_image(in->store, in->operands[i], &image, NULL) < 0) {
			complain_unknown(in, in->operands[i]);
			continue;
		}
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
