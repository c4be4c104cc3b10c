/* SPDX-License-Identifier: Apache-2.0 */
/* usage: keep GRAPH-ROOT RUN-ROOT DRIVER ARCHIVE     Stages a layer, keeps it and prints its ID: staged.sh. */
#include <cstorage/cstorage.h>
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_stage_options empty = CST_STAGE_OPTIONS_INIT;
	cst_error *error = NULL;
	cst_store *store = NULL;
	cst_staged_layer *staged = NULL;
	char *id = NULL;
	if (argc != 5)
		return 2;
	options.graph_root = argv[1];
	options.run_root = argv[2];
	options.driver = argv[3];
	int fd = open(argv[4], O_RDONLY | O_CLOEXEC);
	cst_source source = cst_source_fd(fd);
	if (cst_store_open(&options, &store, &error) < 0 ||
	    cst_store_stage_layer(store, &empty, &staged, &error) < 0 ||
	    cst_staged_layer_apply(staged, &source, NULL, &error) < 0 ||
	    cst_staged_layer_keep(staged, &id, &error) < 0) {
		fprintf(stderr, "keep: %s\n", cst_error_message(error));
		return 1;
	}
	puts(id);
	cst_free(id);
	cst_staged_layer_free(staged);
	cst_store_close(store);
	return 0;
}
