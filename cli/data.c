/* SPDX-License-Identifier: Apache-2.0 */
/* Data items of layers, images and containers: list, get, set, size, digest. */
#include "command.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static int list_data(const struct invocation *in, enum cst_kind kind)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_strings_ cst_strings *names = NULL;
	if (cst_store_data_names(in->store, kind, in->operands[0], &names, &error) < 0)
		return fail(in, error);
	if (is_on(in, OPT_JSON)) {
		json_print_strings(names, "null");
		putchar('\n');
		return 0;
	}
	for (size_t i = 0; i < cst_strings_size(names); i++)
		print_field("", cst_strings_get(names, i));
	return 0;
}

static bool object_exists(cst_store *store, enum cst_kind kind, const char *id, cst_error **error)
{
	_cleanup_strings_ cst_strings *names = NULL;
	return cst_store_data_names(store, kind, id, &names, error) == 0;
}

/* The item as one JSON object: content is bytes, hence base64. */
static void print_json_data(const struct invocation *in, const void *data, size_t size)
{
	fputs("{\"key\":", stdout);
	json_print_string(in->operands[1]);
	printf(",\"size\":%zu,\"data\":", size);
	json_print_base64(data, size);
	fputs("}\n", stdout);
}

static int write_data(const struct invocation *in, struct output *output, const void *data,
                      size_t size)
{
	_cleanup_error_ cst_error *error = NULL;
	if (is_on(in, OPT_JSON) && output->fd == STDOUT_FILENO) {
		print_json_data(in, data, size);
		return 0;
	}
	if (output_write(output, data, size, &error) < 0)
		return fail(in, error);
	return output_commit(in, output);
}

static int get_data(const struct invocation *in, enum cst_kind kind)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_output_ struct output output = {.fd = -1};
	void *data = NULL;
	size_t size = 0;
	if (!object_exists(in->store, kind, in->operands[0], &error))
		return fail(in, error);
	int code = output_open(in, text_of(in, OPT_FILE), &output);
	if (code)
		return code;
	if (cst_store_data(in->store, kind, in->operands[0], in->operands[1], &data, &size,
	                   &error) < 0)
		return fail(in, error);
	code = write_data(in, &output, data, size);
	cst_free(data);
	return code;
}

/* Looks for the object before it reads stdin, so that a missing one is reported at once. */
static int set_data(const struct invocation *in, enum cst_kind kind)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_text_ char *data = NULL;
	size_t size = 0;
	if (!object_exists(in->store, kind, in->operands[0], &error))
		return fail(in, error);
	int code = read_whole_file(in, text_of(in, OPT_FILE), &data, &size);
	if (code)
		return code;
	if (cst_store_set_data(in->store, kind, in->operands[0], in->operands[1], data, size,
	                       &error) < 0)
		return fail(in, error);
	return 0;
}

static int print_data_size(const struct invocation *in, enum cst_kind kind)
{
	_cleanup_error_ cst_error *error = NULL;
	int64_t size = 0;
	if (cst_store_data_size(in->store, kind, in->operands[0], in->operands[1], &size, &error) <
	    0)
		return fail(in, error);
	printf(is_on(in, OPT_JSON) ? "{\"size\":%" PRId64 "}\n" : "%" PRId64 "\n", size);
	return 0;
}

static int print_data_digest(const struct invocation *in, enum cst_kind kind)
{
	_cleanup_error_ cst_error *error = NULL;
	char *digest = NULL;
	if (cst_store_data_digest(in->store, kind, in->operands[0], in->operands[1], &digest,
	                          &error) < 0)
		return fail(in, error);
	if (is_on(in, OPT_JSON)) {
		fputs("{\"digest\":", stdout);
		json_print_string(digest);
		fputs("}\n", stdout);
	} else {
		print_field("", digest);
	}
	cst_free(digest);
	return 0;
}

int run_list_layer_data(struct invocation *in)
{
	return list_data(in, CST_KIND_LAYER);
}

int run_get_layer_data(struct invocation *in)
{
	return get_data(in, CST_KIND_LAYER);
}

int run_set_layer_data(struct invocation *in)
{
	return set_data(in, CST_KIND_LAYER);
}

int run_list_image_data(struct invocation *in)
{
	return list_data(in, CST_KIND_IMAGE);
}

int run_get_image_data(struct invocation *in)
{
	return get_data(in, CST_KIND_IMAGE);
}

int run_get_image_data_size(struct invocation *in)
{
	return print_data_size(in, CST_KIND_IMAGE);
}

int run_get_image_data_digest(struct invocation *in)
{
	return print_data_digest(in, CST_KIND_IMAGE);
}

int run_set_image_data(struct invocation *in)
{
	return set_data(in, CST_KIND_IMAGE);
}

int run_list_container_data(struct invocation *in)
{
	return list_data(in, CST_KIND_CONTAINER);
}

int run_get_container_data(struct invocation *in)
{
	return get_data(in, CST_KIND_CONTAINER);
}

int run_get_container_data_size(struct invocation *in)
{
	return print_data_size(in, CST_KIND_CONTAINER);
}

int run_get_container_data_digest(struct invocation *in)
{
	return print_data_digest(in, CST_KIND_CONTAINER);
}

int run_set_container_data(struct invocation *in)
{
	return set_data(in, CST_KIND_CONTAINER);
}
