/* SPDX-License-Identifier: Apache-2.0 */
/* A layer of a blob of which parts may be left alone, in a file or behind a URL. */
#include "pull.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- --header ---- */

struct headers {
	char *files[16]; /* what the lines point into */
	size_t n_files;
	struct option_value lines;
};

static void headers_done(struct headers *headers)
{
	for (size_t i = 0; i < headers->n_files; i++)
		free(headers->files[i]);
	free(headers->lines.items);
}

static int add_lines(const struct invocation *in, struct headers *headers, char *text)
{
	for (char *line; (line = strsep(&text, "\n"));) {
		line[strcspn(line, "\r")] = '\0';
		if (*line && !option_append(&headers->lines, line))
			return fail_out_of_memory(in);
	}
	return 0;
}

/* "@FILE" stands for the lines of a file: what is on a command line anybody can see. */
static int read_headers(const struct invocation *in, struct headers *headers)
{
	const struct option_value *given = &in->options.values[OPT_HEADER];
	for (size_t i = 0; i < given->n_items; i++) {
		size_t size;
		if (*given->items[i] != '@') {
			if (!option_append(&headers->lines, given->items[i]))
				return fail_out_of_memory(in);
			continue;
		}
		if (headers->n_files == sizeof(headers->files) / sizeof(headers->files[0])) {
			complain(in, "import-layer: --header: too many files");
			return EXIT_USAGE;
		}
		char **file = &headers->files[headers->n_files];
		int code = read_whole_file(in, given->items[i] + 1, file, &size);
		if (code)
			return code;
		headers->n_files++;
		code = add_lines(in, headers, *file);
		if (code)
			return code;
	}
	return 0;
}

/* ---- the layer ---- */

static int pull(const struct invocation *in, const cst_layer_options *layer,
                const cst_range_source *source, cst_layer **ret, cst_error **error)
{
	cst_stage_options stage = CST_STAGE_OPTIONS_INIT;
	cst_staged_commit_options commit = CST_STAGED_COMMIT_OPTIONS_INIT;
	cst_pull_options options = CST_PULL_OPTIONS_INIT;
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
	return cst_store_pull_layer(in->store, source, &options, ret, NULL, error);
}

int pull_from_file(const struct invocation *in, const cst_layer_options *layer, int fd,
                   cst_layer **ret, cst_error **error)
{
	cst_range_file file = {0};
	cst_range_source source;
	int result = cst_range_source_fd(fd, &file, &source, error);
	return result < 0 ? result : pull(in, layer, &source, ret, error);
}

int pull_from_url(const struct invocation *in, const cst_layer_options *layer, cst_layer **ret,
                  cst_error **error)
{
	__attribute__((cleanup(headers_done))) struct headers headers = {0};
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	cst_http_blob *blob;
	int code = read_headers(in, &headers);
	if (code)
		return code;
	options.headers = headers.lines.items;
	options.n_headers = headers.lines.n_items;
	options.ca_file = text_of(in, OPT_CA_FILE);
	int result = cst_http_blob_open(text_of(in, OPT_URL), &options, &blob, error);
	if (result < 0)
		return result;
	const cst_range_source source = cst_http_blob_source(blob);
	result = pull(in, layer, &source, ret, error);
	cst_http_blob_free(blob);
	return result;
}
