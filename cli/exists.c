/* SPDX-License-Identifier: Apache-2.0 */
/* The verb exists: no output, only an exit code. */
#include "command.h"
#include <stdio.h>

/* Is there such an item, and is it of each kind asked for? */
static bool exists(const struct invocation *in, const char *operand)
{
	bool found = cst_store_exists(in->store, operand);
	if (found && is_on(in, OPT_CONTAINER)) {
		cst_container *container = NULL;
		found = cst_store_container(in->store, operand, &container, NULL) == 0;
		cst_container_free(container);
	}
	if (found && is_on(in, OPT_IMAGE)) {
		cst_image *image = NULL;
		found = cst_store_image(in->store, operand, &image, NULL) == 0;
		cst_image_free(image);
	}
	if (found && is_on(in, OPT_LAYER)) {
		cst_layer *layer = NULL;
		found = cst_store_layer(in->store, operand, &layer, NULL) == 0;
		cst_layer_free(layer);
	}
	return found;
}

static int print_json(const struct invocation *in)
{
	const char **sorted = NULL;
	size_t n = sorted_operands(in, &sorted);
	int code = 0;
	putchar('{');
	for (size_t i = 0; i < n; i++) {
		bool found = exists(in, sorted[i]);
		if (i)
			putchar(',');
		json_print_string(sorted[i]);
		fputs(found ? ":true" : ":false", stdout);
		code = found ? code : 1;
	}
	fputs("}\n", stdout);
	free(sorted);
	return code;
}

/* "No" would be a wrong answer where nobody could look. The Go command gives it. */
static int can_look(const struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	char *id = NULL;
	int r = in->n_operands && in->personality != GO_STYLE
	                ? cst_store_lookup(in->store, in->operands[0], &id, &error)
	                : 0;
	cst_free(id);
	return r < 0 && r != CST_ELAYER_UNKNOWN ? fail(in, error) : 0;
}

int run_exists(struct invocation *in)
{
	int code = can_look(in);
	if (code)
		return code;
	if (is_on(in, OPT_JSON))
		return print_json(in);
	for (size_t i = 0; i < in->n_operands; i++) {
		if (is_repeated_operand(in, i))
			continue;
		bool found = exists(in, in->operands[i]);
		if (!is_on(in, OPT_QUIET))
			show_keyed(stdout, in->operands[i], found ? "true" : "false");
		code = found ? code : 1;
	}
	return code;
}
