/* SPDX-License-Identifier: Apache-2.0 */
/* One gzip member in front of a sink, at best speed, for a tar-split file (docs/format/archive.md,
 * "tar-split"). Layers are compressed by gzip_parallel.h. */
#ifndef CST_CODEC_GZIP_WRITER_H
#define CST_CODEC_GZIP_WRITER_H

#include "base/error.h"
#include <cstorage/types.h>

struct gzip_writer;
/* Writes the header, 1f 8b 08 00 00 09 6e 88 04 ff. The sink is copied; its userdata must live as long as the writer. */
int gzip_writer_new(const cst_sink *sink, struct gzip_writer **ret, cst_error **error);
int gzip_writer_write(struct gzip_writer *w, const void *data, size_t n, cst_error **error);
/* Writes the last block and the trailer. Do not call it after an error: the stream must not get a
 * valid end then. */
int gzip_writer_finish(struct gzip_writer *w, cst_error **error);
void gzip_writer_free(struct gzip_writer *w); /* NULL allowed */
void gzip_writer_freep(struct gzip_writer **w);

#endif
