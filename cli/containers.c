/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs containers and container. */
#include "command.h"
#include "list.h"
#include "objects.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- cstorage ---- */

enum { ID, IMAGE, CREATED, SIZE, MOUNTED, NAMES, AGE, IMAGE_ID, LAYER, DATA, VOLATILE, METADATA };

static const struct field fields[] = {
        [ID] = {"id", "ID", FIELD_ID},
        [IMAGE] = {"image", "IMAGE", FIELD_TEXT},
        [CREATED] = {"created", "AGE", FIELD_TIME},
        [SIZE] = {"size", "SIZE", FIELD_SIZE},
        [MOUNTED] = {"mounted", "MOUNTED", FIELD_BOOL},
        [NAMES] = {"names", "NAMES", FIELD_TEXTS},
        [AGE] = {"age", NULL, FIELD_AGE},
        [IMAGE_ID] = {"image-id", NULL, FIELD_ID},
        [LAYER] = {"layer", NULL, FIELD_ID},
        [DATA] = {"data", NULL, FIELD_TEXTS},
        [VOLATILE] = {"volatile", NULL, FIELD_BOOL},
        [METADATA] = {"metadata", NULL, FIELD_TEXT},
};

/* The images, and the layers that are mounted, by ID. Found when a field first asks for them. */
struct late {
	cst_image_list *images;
	cst_layer_list *layers;
	const cst_image **by_id;
	const cst_layer **mounted;
	size_t n_images, n_mounted;
	bool looked_for_images, looked_for_mounts;
};

struct container_rows {
	const cst_container_list *containers;
	struct late *late;
};

/* Of equal IDs the first one in the list, which is one array, comes first. */
static int compare_images(const void *a, const void *b)
{
	const cst_image *const *left = a, *const *right = b;
	int order = strcmp(cst_image_id(*left), cst_image_id(*right));
	return order ? order : (*left > *right) - (*left < *right);
}

static int compare_layers(const void *a, const void *b)
{
	const cst_layer *const *left = a, *const *right = b;
	return strcmp(cst_layer_id(*left), cst_layer_id(*right));
}

static int compare_id_of_image(const void *id, const void *image)
{
	return strcmp(id, cst_image_id(*(const cst_image *const *)image));
}

static int compare_id_of_layer(const void *id, const void *layer)
{
	return strcmp(id, cst_layer_id(*(const cst_layer *const *)layer));
}

/* What cannot be read is left out: the containers are listed without it. */
static void need_images(cst_store *store, struct late *late)
{
	if (late->looked_for_images)
		return;
	late->looked_for_images = true;
	(void)cst_store_images(store, &late->images, NULL);
	size_t n = cst_image_list_size(late->images);
	late->by_id = calloc(n + 1, sizeof(const cst_image *));
	for (size_t i = 0; late->by_id && i < n; i++)
		late->by_id[late->n_images++] = cst_image_list_get(late->images, i);
	if (late->n_images)
		qsort(late->by_id, late->n_images, sizeof(const cst_image *), compare_images);
}

static void need_mounts(cst_store *store, struct late *late)
{
	if (late->looked_for_mounts)
		return;
	late->looked_for_mounts = true;
	(void)cst_store_layers_with(store, 0, &late->layers, NULL);
	size_t n = cst_layer_list_size(late->layers);
	late->mounted = calloc(n + 1, sizeof(const cst_layer *));
	for (size_t i = 0; late->mounted && i < n; i++) {
		const cst_layer *layer = cst_layer_list_get(late->layers, i);
		if (cst_layer_mount_count(layer) > 0)
			late->mounted[late->n_mounted++] = layer;
	}
	if (late->n_mounted)
		qsort(late->mounted, late->n_mounted, sizeof(const cst_layer *), compare_layers);
}

/* The image's first name, or the beginning of its ID. Programs that need all of it have
 * `image-id`. */
static char *image_text(const struct invocation *in, struct late *late, const char *id)
{
	const char *const *names = NULL;
	need_images(in->store, late);
	const cst_image *const *image =
	        late->n_images ? bsearch(id, late->by_id, late->n_images, sizeof(const cst_image *),
	                                 compare_id_of_image)
	                       : NULL;
	size_t n = image ? cst_image_names(*image, &names) : 0;
	return n > 0 ? strdup(names[0]) : strndup(id, SHORT_ID);
}

static int64_t size_of(const struct invocation *in, const char *id)
{
	int64_t size = -1;
	return cst_store_container_size(in->store, id, &size, NULL) == 0 ? size : -1;
}

static bool is_mounted(const struct invocation *in, struct late *late, const char *layer)
{
	need_mounts(in->store, late);
	return late->n_mounted && bsearch(layer, late->mounted, late->n_mounted,
	                                  sizeof(const cst_layer *), compare_id_of_layer);
}

static void find_value(const struct list *list, size_t row, size_t field, struct value *ret)
{
	const struct container_rows *rows = list->source;
	const cst_container *container = cst_container_list_get(rows->containers, row);
	const char *image = cst_container_image(container);
	switch (field) {
	case ID: ret->text = cst_container_id(container); break;
	case IMAGE: ret->text = ret->owned = image_text(list->in, rows->late, image); break;
	case CREATED:
	case AGE: ret->number = cst_container_created(container, NULL); break;
	case SIZE: ret->number = size_of(list->in, cst_container_id(container)); break;
	case MOUNTED:
		ret->number = is_mounted(list->in, rows->late, cst_container_layer(container));
		break;
	case NAMES: ret->n_texts = cst_container_names(container, &ret->texts); break;
	case IMAGE_ID: ret->text = image; break;
	case LAYER: ret->text = cst_container_layer(container); break;
	case DATA: ret->n_texts = cst_container_data_names(container, &ret->texts); break;
	case VOLATILE: ret->number = cst_container_volatile(container); break;
	case METADATA: ret->text = cst_container_metadata(container); break;
	}
}

static int print_row_json(const struct list *list, size_t row)
{
	const struct container_rows *rows = list->source;
	return json_print_container(list->in, cst_container_list_get(rows->containers, row));
}

static int list_containers(const struct invocation *in, const cst_container_list *containers)
{
	struct late late = {0};
	const struct container_rows rows = {.containers = containers, .late = &late};
	struct list list = {.fields = fields,
	                    .n_fields = sizeof(fields) / sizeof(fields[0]),
	                    .n_rows = cst_container_list_size(containers),
	                    .find = find_value,
	                    .print_json = print_row_json,
	                    .json_if_empty = "[]",
	                    .in = in,
	                    .source = &rows};
	int code = list_print(&list);
	cst_image_list_free(late.images);
	cst_layer_list_free(late.layers);
	free(late.by_id);
	free(late.mounted);
	return code;
}

int run_containers(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_container_list *list = NULL;
	if (cst_store_containers(in->store, &list, &error) < 0)
		return fail(in, error);
	int code = (in->personality == GNU_STYLE ? list_containers : print_containers)(in, list);
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

/* containers-storage makes the private directories to measure them. */
static int make_directories(const struct invocation *in, const char *id, cst_error **error)
{
	char *path = NULL, *run_path = NULL;
	if (in->personality != GO_STYLE)
		return 0;
	int result = cst_store_container_directory(in->store, id, &path, error);
	if (result == 0)
		result = cst_store_container_run_directory(in->store, id, &run_path, error);
	cst_free(path);
	cst_free(run_path);
	return result;
}

static void print_container(const struct invocation *in, const cst_container *container)
{
	_cleanup_error_ cst_error *error = NULL;
	const char *const *items = NULL;
	int64_t size = 0;
	const char *id = cst_container_id(container);
	print_field("ID: ", id);
	size_t n = cst_container_names(container, &items);
	print_fields("Name: ", items, n);
	print_field("Image: ", cst_container_image(container));
	print_image_names(in->store, cst_container_image(container));
	int result = cst_store_container_size(in->store, id, &size, &error);
	if (result == 0)
		result = make_directories(in, id, &error);
	if (result < 0)
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
		if (cst_store_container(in->store, in->operands[i], &container, NULL) < 0) {
			complain_unknown(in, in->operands[i]);
			continue;
		}
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
