/* SPDX-License-Identifier: Apache-2.0 */
/* Header and trailer of a gzip member. */
#include "codec/gzip_frame.h"
#include "base/types.h"
#include <endian.h>

int gzip_write_header(const cst_sink *sink, enum gzip_effort effort, cst_error **error)
{
	const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 9, 0x6e, 0x88, (unsigned char)effort,
	                                  0xff};

	return sink_write(sink, header, sizeof(header), error);
}

int gzip_write_trailer(const cst_sink *sink, uint32_t crc, uint32_t total, cst_error **error)
{
	const uint32_t trailer[2] = {htole32(crc), htole32(total)};

	return sink_write(sink, trailer, sizeof(trailer), error);
}
