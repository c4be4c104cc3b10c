/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of independent zstd frames in front of a sink. Frames are gathered into batches, any free thread compresses a batch, and
 * the thread of the caller writes them in order. A frame that is too long for that is compressed as it comes. */
#ifndef CST_CHUNKED_FRAMES_H
#define CST_CHUNKED_FRAMES_H

#include "base/error.h"
#include "base/mem.h"
#include <cstorage/types.h>

struct frames;
/* `level` of zstd. The sink is copied; its userdata must live as long. CST_ENOTSUP: libzstd cannot be loaded. */
int frames_new(int level, const cst_sink *sink, struct frames **ret, cst_error **error);
/* Goes on with the current frame. */
int frames_write(struct frames *frames, const void *data, size_t n, cst_error **error);
/* Ends the current frame, if it has any bytes. */
int frames_cut(struct frames *frames, cst_error **error);
/* The number of the frame that the next byte goes into. */
size_t frames_number(const struct frames *frames);
int frames_finish(struct frames *frames, cst_error **error);
/* After frames_finish(): where the frame of this number begins. The end of the last one is where the next would begin. */
uint64_t frames_offset(const struct frames *frames, size_t number);
void frames_free(struct frames *frames);
DEFINE_CLEANUP(struct frames *, frames_free)

#endif
