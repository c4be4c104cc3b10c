/* SPDX-License-Identifier: Apache-2.0 */
/* The checksums of the formats. To begin, pass 0; to continue, pass what the last call returned. */
#ifndef CST_BASE_CHECKSUM_H
#define CST_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of gzip (RFC 1952). */
uint32_t crc32_gzip(uint32_t crc, const void *data, size_t n);
/* CRC-64/ISO of tar-split: reflected, initial value and final xor all ones (docs/format/archive.md,
 * "tar-split"). */
uint64_t crc64_iso(uint64_t crc, const void *data, size_t n);

#endif
