/* SPDX-License-Identifier: Apache-2.0 */
/* xz by liblzma, with its memory bounded. */
#include "base/library.h"
#include "base/mem.h"
#include "codec/decompress.h"
#include "config.h"

#if HAVE_LZMA
#include <lzma.h>

LIBRARY_NOTE("xz", "recommended", "[\"liblzma.so.5\"]");

static struct {
	__typeof__(lzma_stream_decoder) *stream_decoder;
	__typeof__(lzma_code) *code;
	__typeof__(lzma_end) *end;
	__typeof__(lzma_memusage) *memusage;
} lzma;

static const struct library_symbol symbols[] = {
        {"lzma_stream_decoder", &lzma.stream_decoder},
        {"lzma_code", &lzma.code},
        {"lzma_end", &lzma.end},
        {"lzma_memusage", &lzma.memusage},
        {NULL, NULL},
};

/* The largest preset, -9, has a dictionary of 64 MiB; the rest is the library's tables. */
#define MEMORY_MAX ((uint64_t)68 << 20)

static struct library library = {
        .needed_for = "to read xz",
        .sonames = (const char *const[]){"liblzma.so.5", NULL},
        .symbols = symbols,
};

static void xz_destroy(void *state)
{
	lzma.end(state);
	free(state);
}

static int xz_create(void **ret, cst_error **error)
{
	int r = library_load(&library, error);
	if (r < 0)
		return r;
	lzma_stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return error_oom(error);
	*stream = (lzma_stream)LZMA_STREAM_INIT;
	if (lzma.stream_decoder(stream, MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK) {
		xz_destroy(stream);
		return error_oom(error);
	}
	*ret = stream;
	return 0;
}

static int too_large(const lzma_stream *stream, cst_error **error)
{
	error_set(error, CST_EARCHIVE,
	          "xz: its dictionary needs %llu MiB of memory, and %llu MiB is the most it gets",
	          (unsigned long long)(lzma.memusage(stream) >> 20),
	          (unsigned long long)(MEMORY_MAX >> 20));
	return error_go_words(error, CST_EARCHIVE, NULL, "window size exceeded");
}

static int xz_error(const lzma_stream *stream, lzma_ret result, cst_error **error)
{
	switch (result) {
	case LZMA_MEM_ERROR: return error_oom(error);
	case LZMA_MEMLIMIT_ERROR: return too_large(stream, error);
	case LZMA_BUF_ERROR: return decode_error_eof(error);
	case LZMA_FORMAT_ERROR:
		return error_set(error, CST_EARCHIVE, "xz: invalid header magic bytes");
	case LZMA_OPTIONS_ERROR: return error_set(error, CST_EARCHIVE, "xz: unsupported filter");
	default: return error_set(error, CST_EARCHIVE, "xz: data is corrupt");
	}
}

static int xz_run(void *state, struct decode_step *step, cst_error **error)
{
	lzma_stream *stream = state;
	lzma_ret r = LZMA_OK;

	if (step->in == step->in_end && !step->last && step->out == step->out_end)
		return 0;
	stream->next_in = step->in;
	stream->avail_in = (size_t)(step->in_end - step->in);
	stream->next_out = step->out;
	stream->avail_out = (size_t)(step->out_end - step->out);
	while (r == LZMA_OK && stream->avail_out > 0 && (stream->avail_in > 0 || step->last))
		r = lzma.code(stream, step->last ? LZMA_FINISH : LZMA_RUN);
	step->in = stream->next_in;
	step->out = stream->next_out;
	step->done = r == LZMA_STREAM_END;
	if (r == LZMA_OK || r == LZMA_STREAM_END)
		return 0;
	return xz_error(stream, r, error);
}

const struct decoder decoder_xz = {xz_create, xz_run, xz_destroy};
#endif
