/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed streams, by content (docs/format/archive.md, "Compression"). */
#ifndef CST_CODEC_COMPRESS_H
#define CST_CODEC_COMPRESS_H

#include "base/error.h"
#include "base/pool.h"
#include <cstorage/records.h>
#include <cstorage/types.h>

#define COMPRESSION_DETECT_SIZE 10
/* Finds the format by the first bytes (at least so many, unless the stream is shorter). CST_PLAIN:
 * no known magic number. */
enum cst_compression compression_detect(const void *data, size_t n);

/* A decoder: it is given compressed bytes and gives plain bytes. Members one after the other are
 * one stream. */
struct decompressor;
int decompressor_new(enum cst_compression kind, struct decompressor **ret, cst_error **error);
/* Before the first byte: tasks of the pool decode the members behind the first one. Call it by a thread that may wait for the pool
 * (pool_wait), and free the decompressor before the pool. */
int decompressor_use_pool(struct decompressor *d, struct pool *pool, cst_error **error);
/* Consumes from in[*in_used..in_len) and fills out; *out_len says how much was written. At the end
 * of the input (in_len == 0 and `last`) an incomplete stream fails with CST_EARCHIVE. *done: the
 * stream has ended, and no more output follows. */
int decompressor_run(struct decompressor *d, const void *in, size_t in_len, size_t *in_used, bool last, void *out,
		     size_t out_size, size_t *out_len, bool *done, cst_error **error);
void decompressor_free(struct decompressor *d);
void decompressor_freep(struct decompressor **d);

/* An encoder in front of a sink, which is called from the caller's thread only. Gzip is what the Go
 * tools write, byte for byte (deflate.h). Only plain, gzip and zstd can be written; else
 * CST_ENOTSUP "unsupported compression format tar.bz2". */
struct compressor;
int compressor_new(enum cst_compression kind, const cst_sink *sink, struct compressor **ret, cst_error **error);
int compressor_write(struct compressor *c, const void *data, size_t n, cst_error **error);
/* Writes the trailer. Do not call it after an error: the stream must not get a valid end then. */
int compressor_finish(struct compressor *c, cst_error **error);
void compressor_free(struct compressor *c);
void compressor_freep(struct compressor **c);

#endif
