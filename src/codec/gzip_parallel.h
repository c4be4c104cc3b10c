/* SPDX-License-Identifier: Apache-2.0 */
/* One gzip member in front of a sink, compressed on all processors. The bytes are those that
 * containers-storage writes (deflate.h). The stream is cut into pieces, any free thread compresses
 * a piece, and the thread of the caller writes them in order. Threads are started with the second
 * piece. At most two pieces for each thread and the one that is being filled are in memory. */
#ifndef CST_CODEC_GZIP_PARALLEL_H
#define CST_CODEC_GZIP_PARALLEL_H

#include "base/error.h"
#include <cstorage/types.h>

struct gzip_parallel;
/* Writes the header. The sink is copied; its userdata must live as long as the writer. `threads` 0:
 * as many as there are processors. */
int gzip_parallel_new(unsigned threads, const cst_sink *sink, struct gzip_parallel **ret,
                      cst_error **error);
int gzip_parallel_write(struct gzip_parallel *w, const void *data, size_t n, cst_error **error);
/* Writes what is left, and the trailer. Fails after an error, so that a failed stream has no valid
 * end. */
int gzip_parallel_finish(struct gzip_parallel *w, cst_error **error);
/* Stops the compression that is still going on. NULL allowed. */
void gzip_parallel_free(struct gzip_parallel *w);
void gzip_parallel_freep(struct gzip_parallel **w);

#endif
