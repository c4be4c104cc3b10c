/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of composefs images. They need no store. */
#include "command.h"
#include <stdio.h>

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
	if (cst_composefs_create(&input.source, &sink, &error) < 0)
		return fail(in, error);
	return output_commit(in, &output);
}
