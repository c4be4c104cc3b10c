/* SPDX-License-Identifier: Apache-2.0 */
/* What digest a data item has, and what digest it should have. */
#ifndef CST_STORE_CHECK_DATA_DIGEST_H
#define CST_STORE_CHECK_DATA_DIGEST_H

#include "base/digest.h"

/* The digest in the key of an item ("sha256:<hex>", "manifest-sha256:<hex>"); borrowed. NULL: there is none. */
const char *data_key_digest(const char *key);

/* Reads the whole file and gives its digest, by the algorithm of `wanted` ("": sha256). */
int data_digest(int fd, const char *key, const char *wanted, char ret[DIGEST_TEXT_MAX], cst_error **error);

#endif
