/* SPDX-License-Identifier: Apache-2.0 */
/* The verb import: a whole image, from an OCI image layout or a tar, goes into the store. */
#include "command.h"

int run_import(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	struct progress progress;
	cst_image *image = NULL;
	cst_import_options options = CST_IMPORT_OPTIONS_INIT;
	options.names = in->operands + 1;
	options.n_names = in->n_operands - 1;
	options.architecture = text_of(in, OPT_ARCHITECTURE);
	options.os = text_of(in, OPT_OS);
	progress_start(in, &progress);
	options.progress = &progress.hook;
	int r = cst_store_import_image(in->store, in->operands[0], &options, &image, &error);
	progress_end(&progress);
	if (r < 0)
		return fail(in, error);
	int code = print_new_image(in, image);
	cst_image_free(image);
	return code;
}
