/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of composefs images. They need no store. */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int run_create_composefs(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_input_ struct input input = {.fd = -1};
	_cleanup_output_ struct output output = {.fd = -1};
	struct progress progress;
	if (is_standard_stream(in, text_of(in, OPT_FILE)) && is_terminal(stdout)) {
		complain(in, "create-composefs: a terminal cannot show an image; -f FILE or > FILE "
		             "keeps it");
		return 1;
	}
	int code = input_open(in, in->n_operands > 0 ? in->operands[0] : NULL, &input, &progress);
	code = code ? code : output_open(in, text_of(in, OPT_FILE), &output);
	if (code)
		return code;
	cst_sink sink = {.write = output_write, .userdata = &output};
	cst_composefs_options options = CST_COMPOSEFS_OPTIONS_INIT;
	options.layer = is_on(in, OPT_LAYER);
	if (cst_composefs_create(&input.source, &sink, &options, &error) < 0)
		return fail(in, error);
	return output_commit(in, &output);
}

int run_dump_composefs(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_output_ struct output output = {.fd = -1};
	const char *image = in->operands[0], *path = in->n_operands > 1 ? in->operands[1] : NULL;
	int fd = open(image, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail_errno(in, errno, "open", image);
	int code = output_open(in, text_of(in, OPT_FILE), &output);
	cst_sink sink = {.write = output_write, .userdata = &output};
	cst_composefs_options options = CST_COMPOSEFS_OPTIONS_INIT;
	options.layer = is_on(in, OPT_LAYER);
	int result = code ? 0 : cst_composefs_dump(fd, path, &sink, &options, &error);
	close(fd);
	if (code)
		return code;
	return result < 0 ? fail(in, error) : output_commit(in, &output);
}
