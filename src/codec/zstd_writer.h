/* SPDX-License-Identifier: Apache-2.0 */
/* One zstd frame with a checksum in front of a sink, compressed by libzstd's own threads. The bytes
 * depend on the content and on the version of libzstd, not on the number of threads. */
#ifndef CST_CODEC_ZSTD_WRITER_H
#define CST_CODEC_ZSTD_WRITER_H

#include "base/error.h"
#include <cstorage/types.h>

struct zstd_writer;
/* `threads` besides the caller's; 0: one for each processor. The sink is copied, and called from the
 * caller's thread only. CST_ENOTSUP: libzstd cannot be loaded. */
int zstd_writer_new(unsigned threads, const cst_sink *sink, struct zstd_writer **ret, cst_error **error);
int zstd_writer_write(struct zstd_writer *w, const void *data, size_t n, cst_error **error);
/* Completes the frame. Do not call it after an error: the stream must not get a valid end then. */
int zstd_writer_finish(struct zstd_writer *w, cst_error **error);
void zstd_writer_free(struct zstd_writer *w); /* NULL allowed */
void zstd_writer_freep(struct zstd_writer **w);

#endif
