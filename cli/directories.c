/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs get-image-dir and its like: where an image or container keeps files of its user. */
#include "command.h"
#include <stdio.h>

typedef int (*directory_function)(cst_store *store, const char *id, char **path, cst_error **error);

static int print_directory(const struct invocation *in, directory_function find)
{
	_cleanup_error_ cst_error *error = NULL;
	char *path = NULL;
	if (find(in->store, in->operands[0], &path, &error) < 0)
		return fail(in, error);
	if (is_on(in, OPT_JSON)) {
		fputs("{\"path\":", stdout);
		json_print_string(path);
		fputs("}\n", stdout);
	} else {
		print_field("", path);
	}
	cst_free(path);
	return 0;
}

int run_get_image_directory(struct invocation *in)
{
	return print_directory(in, cst_store_image_directory);
}

int run_get_image_run_directory(struct invocation *in)
{
	return print_directory(in, cst_store_image_run_directory);
}

int run_get_container_directory(struct invocation *in)
{
	return print_directory(in, cst_store_container_directory);
}

int run_get_container_run_directory(struct invocation *in)
{
	return print_directory(in, cst_store_container_run_directory);
}
