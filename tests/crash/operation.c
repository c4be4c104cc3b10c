/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that the library has and the command has not, for the crash tests:
 *
 *   operation -g GRAPHROOT -R RUNROOT -s DRIVER image ID NAME LAYER FILE...
 *   operation -g GRAPHROOT -R RUNROOT -s DRIVER container ID NAME IMAGE FILE...
 *
 * Makes an image or a container whose data items are the files, in one call, and prints its ID.
 */
#include <cstorage/cstorage.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ITEMS 16

static cst_data_item items[MAX_ITEMS];
static size_t n_items;

static int read_item(const char *path)
{
	const char *slash = strrchr(path, '/');
	FILE *file = fopen(path, "re");
	size_t room = 1 << 20;
	char *data = malloc(room);

	if (!file || !data || n_items == MAX_ITEMS) {
		perror(path);
		return -1;
	}
	items[n_items].key = slash ? slash + 1 : path;
	items[n_items].data = data;
	items[n_items].data_size = fread(data, 1, room, file);
	n_items++;
	fclose(file);
	return 0;
}

static int make(cst_store *store, char **argv, cst_error **error)
{
	const char *names[] = {argv[2]};

	if (strcmp(argv[0], "image") == 0) {
		cst_image_options options = CST_IMAGE_OPTIONS_INIT;

		options.id = argv[1];
		options.names = names;
		options.n_names = 1;
		options.layer = argv[3];
		options.data = items;
		options.n_data = n_items;
		return cst_image_create(store, &options, NULL, error);
	} else {
		cst_container_options options = CST_CONTAINER_OPTIONS_INIT;

		options.id = argv[1];
		options.names = names;
		options.n_names = 1;
		options.image = argv[3];
		options.data = items;
		options.n_data = n_items;
		return cst_container_create(store, &options, NULL, error);
	}
}

int main(int argc, char **argv)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_store *store = NULL;
	cst_error *error = NULL;

	if (argc < 11) {
		fprintf(stderr, "usage: see operation.c\n");
		return 2;
	}
	options.graph_root = argv[2];
	options.run_root = argv[4];
	options.driver = argv[6];
	for (int i = 11; i < argc; i++)
		if (read_item(argv[i]) < 0)
			return 2;
	if (cst_store_open(&options, &store, &error) < 0 || make(store, argv + 7, &error) < 0) {
		fprintf(stderr, "%s\n", cst_error_message(error));
		return 1;
	}
	puts(argv[8]);
	fflush(stdout);
	cst_store_close(store);
	return 0;
}
