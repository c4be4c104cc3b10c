/* SPDX-License-Identifier: Apache-2.0 */
/* A whole blob, looked through. */
#ifndef CST_CHUNKED_VERIFY_H
#define CST_CHUNKED_VERIFY_H

#include "chunked/place.h"

struct chunked_verified {
	char blob_digest[DIGEST_TEXT_MAX], diff_digest[DIGEST_TEXT_MAX];
	uint64_t blob_size, diff_size;
};

/* Unpacks each chunk by itself and what is between them, and looks if chunks and files have their digests, if the TOC says what the
 * tar says, and if the tar-split makes that tar. CST_EARCHIVE: not, and which entry. */
int chunked_verify(const struct chunked_blob *blob, const struct toc *toc, const cst_progress *progress,
		   struct chunked_verified *ret, cst_error **error);

#endif
