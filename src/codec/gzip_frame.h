/* SPDX-License-Identifier: Apache-2.0 */
/* What is around the deflate stream in a gzip member (RFC 1952), filled in as Go's writer does. */
#ifndef CST_CODEC_GZIP_FRAME_H
#define CST_CODEC_GZIP_FRAME_H

#include "base/error.h"
#include <cstorage/types.h>

enum gzip_effort { GZIP_DEFAULT = 0, GZIP_BEST_SPEED = 4 }; /* the XFL byte */
/* Here MTIME is Go's zero time cut to 32 bits, and OS is 255, unknown (docs/format/archive.md,
 * "tar-split"). */
int gzip_write_header(const cst_sink *sink, enum gzip_effort effort, cst_error **error);
/* `total`: bytes of plain text, modulo 2^32. */
int gzip_write_trailer(const cst_sink *sink, uint32_t crc, uint32_t total, cst_error **error);

#endif
