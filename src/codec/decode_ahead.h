/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a stream decoded in parallel (gzip members, zstd frames). The stream is cut where a member seems to begin, and
 * tasks decode the pieces. What a task made counts only if the piece really began where a member ends, and ended so itself:
 * any other piece goes through the decoder of the stream, so that bytes and errors are those of one thread.
 */
#ifndef CST_CODEC_DECODE_AHEAD_H
#define CST_CODEC_DECODE_AHEAD_H

#include "base/pool.h"
#include "codec/decompress.h"

struct decode_ahead;
/* `state` is the decoder's own of the whole stream, and stays the caller's. */
int decode_ahead_new(const struct decoder *decoder, void *state, struct pool *pool, struct decode_ahead **ret,
                     cst_error **error);
int decode_ahead_run(struct decode_ahead *ahead, struct decode_step *step, cst_error **error);
void decode_ahead_free(struct decode_ahead *ahead); /* NULL allowed */

#endif
