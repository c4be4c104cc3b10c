/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a store, as one JSON object of three lists that fit together: no layer of an image is missing because it was
 * deleted between the first list and the second. Reads only, and makes nothing.
 *
 *     cc list-json.c $(pkg-config --cflags --libs libcstorage) -o list-json
 *     ./list-json [GRAPHROOT RUNROOT [DRIVER]]
 *
 * Without arguments it is the store that storage.conf tells of, as for podman.
 */
#include <cstorage/cstorage.h>
#include <stdio.h>
#include <string.h>

static int open_store(int argc, char **argv, cst_store **store, cst_error **error)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_config *config = NULL;
	int r = 0;
	if (argc > 2) {
		options.graph_root = argv[1];
		options.run_root = argv[2];
		options.driver = argc > 3 ? argv[3] : NULL;
	} else {
		r = cst_config_load(NULL, &config, error);
		if (r == 0)
			r = cst_config_options(config, &options, error);
	}
	options.read_only = true;
	if (r == 0)
		r = cst_store_open(&options, store, error);
	cst_config_free(config); /* the options pointed into it */
	return r;
}

/* Prints one record and frees its text. */
static int print(int r, char *json, size_t size, size_t index)
{
	if (r == 0) {
		printf("%s\n    ", index ? "," : "");
		fwrite(json, 1, size, stdout);
	}
	cst_free(json);
	return r;
}

static int print_layers(const cst_layer_list *list, cst_error **error)
{
	int r = 0;
	printf("{\n  \"layers\": [");
	for (size_t i = 0; r == 0 && i < cst_layer_list_size(list); i++) {
		char *json = NULL;
		size_t size = 0;
		r = cst_layer_json(cst_layer_list_get(list, i), &json, &size, error);
		r = print(r, json, size, i);
	}
	return r;
}

static int print_images(const cst_image_list *list, cst_error **error)
{
	int r = 0;
	printf("],\n  \"images\": [");
	for (size_t i = 0; r == 0 && i < cst_image_list_size(list); i++) {
		char *json = NULL;
		size_t size = 0;
		r = cst_image_json(cst_image_list_get(list, i), &json, &size, error);
		r = print(r, json, size, i);
	}
	return r;
}

static int print_containers(const cst_container_list *list, cst_error **error)
{
	int r = 0;
	printf("],\n  \"containers\": [");
	for (size_t i = 0; r == 0 && i < cst_container_list_size(list); i++) {
		char *json = NULL;
		size_t size = 0;
		r = cst_container_json(cst_container_list_get(list, i), &json, &size, error);
		r = print(r, json, size, i);
	}
	printf("]\n}\n");
	return r;
}

int main(int argc, char **argv)
{
	cst_store *store = NULL;
	cst_layer_list *layers = NULL;
	cst_image_list *images = NULL;
	cst_container_list *containers = NULL;
	cst_error *error = NULL;
	int r = open_store(argc, argv, &store, &error);
	if (r == 0)
		r = cst_store_snapshot(store, &layers, &images, &containers, &error);
	if (r == 0)
		r = print_layers(layers, &error);
	if (r == 0)
		r = print_images(images, &error);
	if (r == 0)
		r = print_containers(containers, &error);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], cst_error_message(error));
	cst_error_free(error);
	cst_layer_list_free(layers);
	cst_image_list_free(images);
	cst_container_list_free(containers);
	cst_store_close(store);
	return r < 0 ? 1 : 0;
}
