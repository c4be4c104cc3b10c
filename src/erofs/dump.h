/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of an image, a line for each entry (composefs-dump(5); docs/format/chunked.md, "The dump"). */
#ifndef CST_EROFS_DUMP_H
#define CST_EROFS_DUMP_H

#include "erofs/writer.h"

/* Adds every line to an image. CST_EINVAL: a line is no entry, or the image cannot take it; the message has its number. */
int dump_read(const cst_source *source, struct erofs_writer *writer, cst_error **error);

#endif
