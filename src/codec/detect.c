/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the compression of a stream by its first bytes. */
#include "base/mem.h"
#include "codec/compress.h"

static const struct magic {
	enum cst_compression kind;
	unsigned char len, bytes[6];
} magics[] = {
        {CST_BZIP2, 3, {0x42, 0x5a, 0x68}},
        {CST_GZIP, 3, {0x1f, 0x8b, 0x08}},
        {CST_XZ, 6, {0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00}},
        {CST_ZSTD, 4, {0x28, 0xb5, 0x2f, 0xfd}},
};

enum cst_compression compression_detect(const void *data, size_t n)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (n >= magics[i].len && memcmp(p, magics[i].bytes, magics[i].len) == 0)
			return magics[i].kind;
	/* A zstd stream may begin with a skippable frame: 184d2a50 to 184d2a5f, little endian. */
	if (n >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18)
		return CST_ZSTD;
	return CST_PLAIN;
}
