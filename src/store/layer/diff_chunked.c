/* SPDX-License-Identifier: Apache-2.0 */
/* A layer as a zstd:chunked blob. */
#include "chunked/public.h"
#include "store/core/store.h"
#include <cstorage/chunked.h>

static int write_tar(void *userdata, const void *data, size_t size, cst_error **error)
{
	return chunked_writer_write(userdata, data, size, error);
}

int cst_store_diff_chunked(cst_store *store, const char *id, const cst_sink *blob,
                           const cst_chunked_options *given, cst_chunked_result *result,
                           cst_error **error)
{
	_cleanup_(chunked_writer_freep) struct chunked_writer *writer = NULL;
	struct chunked_written written;
	cst_chunked_options options;
	int r = chunked_options_take(&options, given, result, error);
	if (r == 0)
		r = chunked_writer_new(options.level, blob, &writer, error);
	if (r < 0)
		return r;
	const cst_sink tar = {.write = write_tar, .userdata = writer};
	cst_diff_options plain = CST_DIFF_OPTIONS_INIT;
	plain.compression = CST_PLAIN;
	plain.progress = options.progress;
	r = cst_store_diff(store, NULL, id, &plain, &tar, error);
	if (r == 0)
		r = chunked_writer_finish(writer, &written, error);
	if (r == 0)
		chunked_result_give(&written, result);
	return r;
}
