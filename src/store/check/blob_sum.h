/* SPDX-License-Identifier: Apache-2.0 */
/* The digests of a blob: of its bytes, and of what they are when they are decompressed. */
#ifndef CST_STORE_CHECK_BLOB_SUM_H
#define CST_STORE_CHECK_BLOB_SUM_H

#include "base/digest.h"
#include "codec/compress.h"


struct blob_sum {
	struct digester *bytes, *plain; /* plain NULL: not wanted, or given up */
	struct decompressor *decompressor;
	uint8_t first[COMPRESSION_DETECT_SIZE];
	size_t n_first;
	bool detected;
	uint64_t plain_left; /* bytes that may still come out: a few bytes can be made to inflate to any number */
	uint8_t *out;
};
void blob_sum_free(struct blob_sum *sum);
#define _cleanup_blob_sum_ _cleanup_(blob_sum_free)

/* `plain_max`: what decompresses to more has no plain digest. 0: no plain digest is wanted. `algorithm` is that of the bytes;
 * the plain digest is a sha256. */
int blob_sum_begin(struct blob_sum *sum, enum digest_algorithm algorithm, uint64_t plain_max, cst_error **error);
int blob_sum_add(struct blob_sum *sum, const void *data, size_t n, cst_error **error);
/* plain "": it cannot be decompressed to its end, or was not wanted. */
int blob_sum_end(struct blob_sum *sum, char bytes[DIGEST_TEXT_MAX], char plain[DIGEST_TEXT_MAX], cst_error **error);

#endif
