/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs import-layer and applydiff: a layer tar from a file or stdin goes into the store. */
#include "command.h"
#include "create.h"
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

/* A blob of which parts may be left alone. */
static int pull_layer(const struct invocation *in, const cst_layer_options *layer, int fd,
                      cst_layer **ret, cst_error **error)
{
	cst_stage_options stage = CST_STAGE_OPTIONS_INIT;
	cst_staged_commit_options commit = CST_STAGED_COMMIT_OPTIONS_INIT;
	cst_pull_options options = CST_PULL_OPTIONS_INIT;
	cst_range_file file = {0};
	cst_range_source source;
	stage.parent = layer->parent;
	stage.mount_label = layer->mount_label;
	stage.writable = layer->writable;
	stage.host_uid_map = layer->host_uid_map;
	stage.host_gid_map = layer->host_gid_map;
	stage.uid_map = layer->uid_map;
	stage.n_uid_map = layer->n_uid_map;
	stage.gid_map = layer->gid_map;
	stage.n_gid_map = layer->n_gid_map;
	commit.id = layer->id;
	commit.names = layer->names;
	commit.n_names = layer->n_names;
	options.stage = &stage;
	options.commit = &commit;
	options.toc_digest = text_of(in, OPT_TOC_DIGEST);
	options.diff_digest = layer->expected_digest;
	options.progress = layer->progress;
	int result = cst_range_source_fd(fd, &file, &source, error);
	return result < 0 ? result
	                  : cst_store_pull_layer(in->store, &source, &options, ret, NULL, error);
}

int run_import_layer(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_id_maps_ struct id_maps maps = {0};
	_cleanup_input_ struct input input = {.fd = -1};
	struct progress progress;
	progress_start(in, &progress);
	int code = input_open(in, text_of(in, OPT_FILE), &input, &progress);
	code = code ? code : id_maps_from_options(in, &maps);
	if (code)
		return code;
	cst_layer_options options;
	layer_options_from(in, &maps, &options);
	options.progress = &progress.hook;
	options.expected_digest = text_of(in, OPT_EXPECT_DIGEST);
	cst_layer *layer = NULL;
	/* NULL: this personality has no such option. */
	const char *toc_digest = text_of(in, OPT_TOC_DIGEST);
	int result = toc_digest && *toc_digest
	                     ? pull_layer(in, &options, input.fd, &layer, &error)
	                     : cst_store_create_layer(in->store, &options, &input.source, &layer,
	                                              &error);
	progress_end(&progress);
	if (result < 0)
		return fail_to_unpack(in, error);
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
