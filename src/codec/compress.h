/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed streams, by content (docs/format/archive.md, "Compression"). */
#ifndef CST_CODEC_COMPRESS_H
#define CST_CODEC_COMPRESS_H

#include "base/error.h"
#include <cstorage/records.h>
#include <cstorage/types.h>

/* By the first bytes (at least 10 unless the stream is shorter). CST_PLAIN if none of the magics. */
enum cst_compression compression_detect(const void *data, size_t n);

/* Decoder: push compressed bytes in, get plain bytes out. Concatenated members are one stream. */
struct decompressor;
int decompressor_new(enum cst_compression kind, struct decompressor **ret, cst_error **error);
/* Consumes from in[*in_used..in_len), fills out; *out_len is what was written. At the end of input (in_len == 0 and
 * `last`) an incomplete stream fails with CST_EARCHIVE. *done: the stream's end was reached and no more
 * output follows. */
int decompressor_run(struct decompressor *d, const void *in, size_t in_len, size_t *in_used, bool last, void *out,
		     size_t out_size, size_t *out_len, bool *done, cst_error **error);
void decompressor_free(struct decompressor *d);
void decompressor_freep(struct decompressor **d);

/* Encoder in front of a sink, which is called from the caller's thread only. Gzip comes out as the Go tools write it, byte for
 * byte (deflate.h). Only plain, gzip and zstd; else CST_ENOTSUP "unsupported compression format tar.bz2". */
struct compressor;
int compressor_new(enum cst_compression kind, const cst_sink *sink, struct compressor **ret, cst_error **error);
int compressor_write(struct compressor *c, const void *data, size_t n, cst_error **error);
int compressor_finish(struct compressor *c, cst_error **error); /* trailer; not called after an error: no valid end then */
void compressor_free(struct compressor *c);
void compressor_freep(struct compressor **c);

#endif
