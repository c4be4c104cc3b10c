/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums. Those of the formats begin with 0, and go on with what the last call returned. */
#ifndef CST_BASE_CHECKSUM_H
#define CST_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of gzip (RFC 1952). */
uint32_t crc32_gzip(uint32_t crc, const void *data, size_t n);
/* CRC-64/ISO of tar-split: reflected, initial value and final xor all ones (docs/format/archive.md,
 * "tar-split"). */
uint64_t crc64_iso(uint64_t crc, const void *data, size_t n);
/* The sum of two texts, the first with the sum `crc`, the other, of n bytes, with `next`. */
uint64_t crc64_iso_join(uint64_t crc, uint64_t next, uint64_t n);

/* A quick checksum of our own, for damage that is nobody's intention. Another `start` gives another sum. */
uint64_t sum64(uint64_t start, const void *data, size_t n);

#endif
