/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs import-layer and applydiff: a layer tar from a file or stdin goes into the store. */
#include "command.h"
#include "create.h"
#include "pull.h"
#include <stdio.h>
#include <string.h>

/* The drivers of the Go tool that have no unpacking of their own log the failure as well. */
static int fail_to_unpack(const struct invocation *in, const cst_error *error)
{
	const char *message = error_text(in, error);
	if (in->personality == GO_STYLE && !interrupted_by() &&
	    strncmp(message, "ApplyLayer ", strlen("ApplyLayer ")) == 0) {
		_cleanup_text_ char *line = NULL;
		if (asprintf(&line, "While applying layer: %s", message) < 0)
			line = NULL;
		log_text(CST_LOG_ERROR, line ? line : message);
	}
	return fail(in, error);
}

/* The options of cstorage are NULL in the other personality. */
static bool has_text(const struct invocation *in, enum option_id id)
{
	const char *text = text_of(in, id);
	return text && *text;
}

/* A negative code of the library, or an exit code. */
static int make_layer(const struct invocation *in, const cst_layer_options *options,
                      struct input *input, cst_layer **ret, cst_error **error)
{
	if (has_text(in, OPT_URL))
		return pull_from_url(in, options, ret, error);
	if (has_text(in, OPT_TOC_DIGEST))
		return pull_from_file(in, options, input->fd, ret, error);
	return cst_store_create_layer(in->store, options, &input->source, ret, error);
}

static int open_archive(const struct invocation *in, struct input *input, struct progress *progress)
{
	if (!has_text(in, OPT_URL))
		return input_open(in, text_of(in, OPT_FILE), input, progress);
	if (!has_text(in, OPT_FILE))
		return 0;
	complain(in, "import-layer: either --url or --file");
	return EXIT_USAGE;
}

int run_import_layer(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_id_maps_ struct id_maps maps = {0};
	_cleanup_input_ struct input input = {.fd = -1};
	struct progress progress;
	progress_start(in, &progress);
	int code = open_archive(in, &input, &progress);
	code = code ? code : id_maps_from_options(in, &maps);
	if (code)
		return code;
	cst_layer_options options;
	layer_options_from(in, &maps, &options);
	options.progress = &progress.hook;
	options.expected_digest = text_of(in, OPT_EXPECT_DIGEST);
	options.archive_name = input.shown;
	cst_layer *layer = NULL;
	int result = make_layer(in, &options, &input, &layer, &error);
	progress_end(&progress);
	if (result != 0)
		return result < 0 ? fail_to_unpack(in, error) : result;
	code = print_new_layer(in, layer);
	cst_layer_free(layer);
	return code;
}

/* Prints the record after the change. cstorage only. */
static int print_changed_layer(const struct invocation *in, const char *id)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_layer *layer = NULL;
	if (cst_store_layer(in->store, id, &layer, &error) < 0)
		return fail(in, error);
	int code = json_print_layer(in, layer);
	putchar('\n');
	cst_layer_free(layer);
	return code;
}

int run_apply_diff(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_input_ struct input input = {.fd = -1};
	struct progress progress;
	const char *id = in->operands[0];
	progress_start(in, &progress);
	int code = input_open(in, text_of(in, OPT_FILE), &input, &progress);
	if (code)
		return code;
	int result = cst_store_apply_diff(in->store, id, &input.source, &progress.hook, &error);
	progress_end(&progress);
	if (result < 0)
		return fail_to_unpack(in, error);
	return is_on(in, OPT_JSON) ? print_changed_layer(in, id) : 0;
}
