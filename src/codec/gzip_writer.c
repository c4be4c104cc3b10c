/* SPDX-License-Identifier: Apache-2.0 */
/* A gzip member at best speed, deflated by ISA-L or zlib. */
#include "codec/gzip_writer.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "base/types.h"
#include "codec/gzip_frame.h"
#include "config.h"

#define OUTPUT_SIZE (64 * 1024)

#if HAVE_ISAL
#include "base/isal.h"

struct gzip_writer {
	cst_sink sink;
	const struct isal *isal;
	struct isal_zstream stream;
	unsigned char *level_buffer;
	unsigned char output[OUTPUT_SIZE];
};

static int start_deflate(struct gzip_writer *w, cst_error **error)
{
	uint32_t size = ISAL_DEF_LVL1_DEFAULT;

	int r = isal_load(&w->isal, error);
	if (r < 0)
		return r;
	w->level_buffer = malloc(size);
	if (!w->level_buffer)
		return error_oom(error);
	w->isal->deflate_init(&w->stream);
	w->stream.level = 1;
	w->stream.level_buf = w->level_buffer;
	w->stream.level_buf_size = size;
	w->stream.gzip_flag = IGZIP_GZIP_NO_HDR; /* the trailer only */
	w->stream.flush = NO_FLUSH;
	return 0;
}

static void stop_deflate(struct gzip_writer *w)
{
	free(w->level_buffer);
}

static int run_deflate(struct gzip_writer *w, const void *data, size_t n, bool last,
                       cst_error **error)
{
	w->stream.next_in = (uint8_t *)data;
	w->stream.avail_in = (uint32_t)n;
	w->stream.end_of_stream = last;
	do {
		w->stream.next_out = w->output;
		w->stream.avail_out = OUTPUT_SIZE;
		if (w->isal->deflate(&w->stream) != COMP_OK)
			return error_set(error, CST_EINVAL, "gzip: cannot compress");
		size_t made = OUTPUT_SIZE - w->stream.avail_out;
		int r = made ? sink_write(&w->sink, w->output, made, error) : 0;
		if (r < 0)
			return r;
	} while (w->stream.avail_in > 0 || w->stream.avail_out == 0 ||
	         (last && w->stream.internal_state.state != ZSTATE_END));
	return 0;
}
#else
#include <zlib.h>

struct gzip_writer {
	cst_sink sink;
	z_stream stream;
	uint32_t crc, total;
	unsigned char output[OUTPUT_SIZE];
};

static int start_deflate(struct gzip_writer *w, cst_error **error)
{
	if (deflateInit2(&w->stream, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return error_oom(error);
	return 0;
}

static void stop_deflate(struct gzip_writer *w)
{
	deflateEnd(&w->stream);
}

static int run_deflate(struct gzip_writer *w, const void *data, size_t n, bool last,
                       cst_error **error)
{
	int z;

	w->crc = crc32_gzip(w->crc, data, n);
	w->total += (uint32_t)n;
	w->stream.next_in = (unsigned char *)data;
	w->stream.avail_in = (uInt)n;
	do {
		w->stream.next_out = w->output;
		w->stream.avail_out = OUTPUT_SIZE;
		z = deflate(&w->stream, last ? Z_FINISH : Z_NO_FLUSH);
		if (z == Z_STREAM_ERROR)
			return error_set(error, CST_EINVAL, "gzip: cannot compress");
		size_t made = OUTPUT_SIZE - w->stream.avail_out;
		int r = made ? sink_write(&w->sink, w->output, made, error) : 0;
		if (r < 0)
			return r;
	} while (last ? z != Z_STREAM_END : w->stream.avail_out == 0);
	return last ? gzip_write_trailer(&w->sink, w->crc, w->total, error) : 0;
}
#endif

int gzip_writer_new(const cst_sink *sink, struct gzip_writer **ret, cst_error **error)
{
	_cleanup_(gzip_writer_freep) struct gzip_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return error_oom(error);
	w->sink = *sink;
	int r = start_deflate(w, error);
	if (r < 0)
		return r;
	r = gzip_write_header(&w->sink, GZIP_BEST_SPEED, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&w);
	return 0;
}

int gzip_writer_write(struct gzip_writer *w, const void *data, size_t n, cst_error **error)
{
	const unsigned char *p = data;

	/* The libraries count in 32 bits. */
	while (n > 0) {
		size_t piece = MIN(n, (size_t)1 << 30);
		int r = run_deflate(w, p, piece, false, error);
		if (r < 0)
			return r;
		p += piece;
		n -= piece;
	}
	return 0;
}

int gzip_writer_finish(struct gzip_writer *w, cst_error **error)
{
	return run_deflate(w, "", 0, true, error);
}

void gzip_writer_free(struct gzip_writer *w)
{
	if (!w)
		return;
	stop_deflate(w);
	free(w);
}

void gzip_writer_freep(struct gzip_writer **w)
{
	gzip_writer_free(*w);
}
