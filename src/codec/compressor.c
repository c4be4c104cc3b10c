/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed output: one gzip member (the bytes that the Go tools write, deflate.h), one zstd frame
 * with a checksum, or plain. */
#include "base/mem.h"
#include "base/types.h"
#include "codec/compress.h"
#include "codec/gzip_parallel.h"
#include "codec/zstd_library.h"

#define ZSTD_LEVEL 3 /* the library's default, as the Go tools use theirs */

struct compressor {
	enum cst_compression kind;
	cst_sink sink;
	struct gzip_parallel *gzip;
	const struct zstd_library *library; /* zstd only, as all below */
	ZSTD_CCtx *zstd;
	char *out;
	size_t out_size;
};

static int zstd_open(struct compressor *c, cst_error **error)
{
	const struct zstd_library *library;
	int result = zstd_load(&library, error);
	if (result < 0)
		return result;
	c->library = library;
	c->zstd = library->createCCtx();
	c->out_size = library->CStreamOutSize();
	c->out = malloc(c->out_size);
	if (!c->zstd || !c->out)
		return error_oom(error);
	size_t r = library->CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	if (!library->isError(r))
		r = library->CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1);
	return library->isError(r)
	               ? error_set(error, CST_ENOTSUP, "zstd: %s", library->getErrorName(r))
	               : 0;
}

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
		r = zstd_open(c, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&c);
	return 0;
}

/* Goes on until all input is taken, and with ZSTD_e_end until the frame is complete. */
static int zstd_run(struct compressor *c, const void *data, size_t n, ZSTD_EndDirective directive,
                    cst_error **error)
{
	ZSTD_inBuffer in = {data, n, 0};
	size_t left;
	do {
		ZSTD_outBuffer out = {c->out, c->out_size, 0};
		left = c->library->compressStream2(c->zstd, &out, &in, directive);
		if (c->library->isError(left))
			return error_set(error, CST_EARCHIVE, "zstd: %s",
			                 c->library->getErrorName(left));
		int r = out.pos ? sink_write(&c->sink, c->out, out.pos, error) : 0;
		if (r < 0)
			return r;
	} while (directive == ZSTD_e_end ? left > 0 : in.pos < in.size);
	return 0;
}

int compressor_write(struct compressor *c, const void *data, size_t n, cst_error **error)
{
	switch (c->kind) {
	case CST_GZIP: return gzip_parallel_write(c->gzip, data, n, error);
	case CST_ZSTD: return zstd_run(c, data, n, ZSTD_e_continue, error);
	default: return n ? sink_write(&c->sink, data, n, error) : 0;
	}
}

int compressor_finish(struct compressor *c, cst_error **error)
{
	switch (c->kind) {
	case CST_GZIP: return gzip_parallel_finish(c->gzip, error);
	case CST_ZSTD: return zstd_run(c, NULL, 0, ZSTD_e_end, error);
	default: return 0;
	}
}

void compressor_free(struct compressor *c)
{
	if (!c)
		return;
	gzip_parallel_free(c->gzip);
	if (c->library)
		c->library->freeCCtx(c->zstd);
	free(c->out);
	free(c);
}

void compressor_freep(struct compressor **c)
{
	compressor_free(*c);
}
