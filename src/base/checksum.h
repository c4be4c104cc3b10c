/* SPDX-License-Identifier: Apache-2.0 */
/* The CRCs of the formats. Both start with 0 and go on with what the last call returned. */
#ifndef CST_BASE_CHECKSUM_H
#define CST_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as gzip has it (RFC 1952). */
uint32_t crc32_gzip(uint32_t crc, const void *data, size_t n);
/* CRC-64/ISO as tar-split has it: reflected, initial and final xor all ones
 * (docs/format/archive.md, "tar-split"). */
uint64_t crc64_iso(uint64_t crc, const void *data, size_t n);

#endif
