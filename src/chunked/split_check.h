/* SPDX-License-Identifier: Apache-2.0 */
/* Does a tar-split make this tar? */
#ifndef CST_CHUNKED_SPLIT_CHECK_H
#define CST_CHUNKED_SPLIT_CHECK_H

#include "base/error.h"
#include "base/mem.h"
#include "chunked/place.h"

struct split_check;
/* Reads the tar-split of the TOC, which must have one. CST_EARCHIVE: it has another digest. */
int split_check_new(const struct chunked_blob *blob, const struct toc *toc, struct split_check **ret, cst_error **error);
/* The next bytes of the tar. */
int split_check_feed(struct split_check *check, const void *data, size_t n, cst_error **error);
int split_check_finish(struct split_check *check, cst_error **error);
void split_check_free(struct split_check *check);
DEFINE_CLEANUP(struct split_check *, split_check_free)

#endif
