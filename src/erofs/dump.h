/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of an image, a line for each entry (composefs-dump(5); docs/format/chunked.md, "The dump"). */
#ifndef CST_EROFS_DUMP_H
#define CST_EROFS_DUMP_H

#include "erofs/reader.h"

/* Adds every line to an image. `layer`: whiteouts and trusted.overlay.opaque are for overlay, not content. CST_EINVAL: a line is no entry, or the image cannot take it; the message has its number. */
int dump_read(const cst_source *source, bool layer, struct erofs_writer *writer, cst_error **error);
/* Writes the lines of what is at and below a path of an image. `layer`: with what is for overlay. */
int dump_write(struct erofs_image *image, const char *path, bool layer, const cst_sink *sink, cst_error **error);

#endif
