/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed output: one gzip member (the bytes that the Go tools write, deflate.h), one zstd frame
 * with a checksum, or plain. */
#include "base/mem.h"
#include "base/types.h"
#include "codec/compress.h"
#include "codec/gzip_parallel.h"
#include "codec/zstd_writer.h"

struct compressor {
	enum cst_compression kind;
	cst_sink sink;
	struct gzip_parallel *gzip;
	struct zstd_writer *zstd;
};

int compressor_new(enum cst_compression kind, const cst_sink *sink, struct compressor **ret,
                   cst_error **error)
{
	if (kind == CST_BZIP2 || kind == CST_XZ)
		return error_set(error, CST_ENOTSUP, "unsupported compression format %s",
		                 kind == CST_BZIP2 ? "tar.bz2" : "tar.xz");
	if (kind != CST_PLAIN && kind != CST_GZIP && kind != CST_ZSTD)
		return error_set(error, CST_ENOTSUP, "unsupported compression format %d",
		                 (int)kind);
	_cleanup_(compressor_freep) struct compressor *c = new0(struct compressor, 1);
	if (!c)
		return error_oom(error);
	c->kind = kind;
	c->sink = *sink;
	int r = 0;
	if (kind == CST_GZIP)
		r = gzip_parallel_new(0, &c->sink, &c->gzip, error);
	else if (kind == CST_ZSTD)
		r = zstd_writer_new(0, &c->sink, &c->zstd, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&c);
	return 0;
}

int compressor_write(struct compressor *c, const void *data, size_t n, cst_error **error)
{
	switch (c->kind) {
	case CST_GZIP: return gzip_parallel_write(c->gzip, data, n, error);
	case CST_ZSTD: return zstd_writer_write(c->zstd, data, n, error);
	default: return n ? sink_write(&c->sink, data, n, error) : 0;
	}
}

int compressor_finish(struct compressor *c, cst_error **error)
{
	switch (c->kind) {
	case CST_GZIP: return gzip_parallel_finish(c->gzip, error);
	case CST_ZSTD: return zstd_writer_finish(c->zstd, error);
	default: return 0;
	}
}

void compressor_free(struct compressor *c)
{
	if (!c)
		return;
	gzip_parallel_free(c->gzip);
	zstd_writer_free(c->zstd);
	free(c);
}

void compressor_freep(struct compressor **c)
{
	compressor_free(*c);
}
