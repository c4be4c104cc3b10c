/* SPDX-License-Identifier: Apache-2.0 */
/* usage: create GRAPH-ROOT RUN-ROOT DRIVER KIND ID OF [DRIVER-OPTION]     Creates an image of a layer, or a container of an image,
 * with two names and three data items in one call: flushes.sh. */
#include <cstorage/cstorage.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	static const cst_data_item items[] = {
	        {.key = "manifest", .data = "{}", .data_size = 2},
	        {.key = "config", .data = "{}", .data_size = 2},
	        {.key = "signature", .data = "x", .data_size = 1},
	};
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_image_options image = CST_IMAGE_OPTIONS_INIT;
	cst_container_options container = CST_CONTAINER_OPTIONS_INIT;
	cst_error *error = NULL;
	cst_store *store = NULL;
	if (argc != 7 && argc != 8)
		return 2;
	const char *const names[] = {argv[5], "other"};
	options.graph_root = argv[1];
	options.run_root = argv[2];
	options.driver = argv[3];
	const char *const driver_options[] = {argv[7]};
	options.driver_options = driver_options;
	options.n_driver_options = (size_t)argc - 7;
	image.id = container.id = argv[5];
	image.names = container.names = names;
	image.n_names = container.n_names = 2;
	image.data = container.data = items;
	image.n_data = container.n_data = 3;
	image.layer = container.image = argv[6];
	int r = cst_store_open(&options, &store, &error);
	if (r == 0 && strcmp(argv[4], "image") == 0)
		r = cst_store_create_image(store, &image, NULL, &error);
	else if (r == 0)
		r = cst_store_create_container(store, &container, NULL, &error);
	if (r < 0)
		fprintf(stderr, "create: %s\n", cst_error_message(error));
	cst_store_close(store);
	return r < 0;
}
