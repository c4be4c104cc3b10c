/* SPDX-License-Identifier: Apache-2.0 */
/* bzip2 by libbz2. Streams one after the other are one; garbage behind the first is an error, as
 * for the Go tools. */
#include "base/library.h"
#include "base/mem.h"
#include "codec/decompress.h"
#include "config.h"

#if HAVE_BZIP2
#include <bzlib.h>

LIBRARY_NOTE("bzip2", "recommended", "[\"libbz2.so.1.0\",\"libbz2.so.1\"]");

static struct {
	__typeof__(BZ2_bzDecompressInit) *init;
	__typeof__(BZ2_bzDecompress) *decompress;
	__typeof__(BZ2_bzDecompressEnd) *end;
} bz2;

static const struct library_symbol symbols[] = {
        {"BZ2_bzDecompressInit", &bz2.init},
        {"BZ2_bzDecompress", &bz2.decompress},
        {"BZ2_bzDecompressEnd", &bz2.end},
        {NULL, NULL},
};

static struct library library = {
        .needed_for = "to read bzip2",
        .sonames = (const char *const[]){"libbz2.so.1.0", "libbz2.so.1", NULL},
        .symbols = symbols,
};

struct bzip2_state {
	bz_stream stream;
	bool inside; /* a stream is being read */
	bool first;  /* it is the first one */
};

static void bzip2_destroy(void *state)
{
	struct bzip2_state *b = state;

	if (b->inside)
		bz2.end(&b->stream);
	free(b);
}

static int bzip2_create(void **ret, cst_error **error)
{
	int r = library_load(&library, error);
	if (r < 0)
		return r;
	struct bzip2_state *b = calloc(1, sizeof(*b));
	if (!b)
		return error_oom(error);
	b->first = true;
	*ret = b;
	return 0;
}

static int bzip2_begin(struct bzip2_state *b, cst_error **error)
{
	memset(&b->stream, 0, sizeof(b->stream));
	if (bz2.init(&b->stream, 0, 0) != BZ_OK)
		return error_oom(error);
	b->inside = true;
	return 0;
}

static int bzip2_error(const struct bzip2_state *b, int result, cst_error **error)
{
	if (result == BZ_MEM_ERROR)
		return error_oom(error);
	if (result == BZ_DATA_ERROR_MAGIC && !b->first)
		return error_set(error, CST_EARCHIVE,
		                 "bzip2 data invalid: bad magic value in continuation file");
	return error_set(error, CST_EARCHIVE, "bzip2 data invalid: %s",
	                 result == BZ_DATA_ERROR_MAGIC ? "bad magic value" : "corrupt data");
}

static int bzip2_run(void *state, struct decode_step *step, cst_error **error)
{
	struct bzip2_state *b = state;

	for (;;) {
		if (!b->inside && step->in == step->in_end) {
			step->done = step->last && !b->first;
			return step->last && b->first ? decode_error_eof(error) : 0;
		}
		int r = b->inside ? 0 : bzip2_begin(b, error);
		if (r < 0)
			return r;
		b->stream.next_in = (char *)step->in;
		b->stream.avail_in =
		        (unsigned)MIN((size_t)(step->in_end - step->in), (size_t)1 << 30);
		b->stream.next_out = (char *)step->out;
		b->stream.avail_out =
		        (unsigned)MIN((size_t)(step->out_end - step->out), (size_t)1 << 30);
		r = bz2.decompress(&b->stream);
		bool moved = (uint8_t *)b->stream.next_out != step->out ||
		             (const uint8_t *)b->stream.next_in != step->in;
		step->in = (const uint8_t *)b->stream.next_in;
		step->out = (uint8_t *)b->stream.next_out;
		if (r == BZ_STREAM_END) {
			bz2.end(&b->stream);
			b->inside = b->first = false;
		} else if (r != BZ_OK) {
			return bzip2_error(b, r, error);
		} else if (step->out == step->out_end) {
			return 0;
		} else if (step->in == step->in_end && (!step->last || !moved)) {
			return step->last ? decode_error_eof(error) : 0;
		}
	}
}

const struct decoder decoder_bzip2 = {bzip2_create, bzip2_run, bzip2_destroy};
#endif
