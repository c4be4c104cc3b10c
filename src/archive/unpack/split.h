/* SPDX-License-Identifier: Apache-2.0 */
/* The tar-split of a layer tar, and the tar's digest, without unpacking it. */
#ifndef CST_ARCHIVE_UNPACK_SPLIT_H
#define CST_ARCHIVE_UNPACK_SPLIT_H

#include "base/digest.h"
#include "base/mem.h"
#include <cstorage/types.h>

struct tar_split;
/* `fd`: where the tar-split goes. It stays the caller's. */
int tar_split_new(int fd, struct tar_split **ret, cst_error **error);
/* The write function of a cst_sink whose userdata is the struct tar_split. */
int tar_split_write(void *split, const void *data, size_t n, cst_error **error);
/* At the end of the tar. */
int tar_split_finish(struct tar_split *split, char digest[DIGEST_TEXT_MAX], int64_t *size, uint64_t *entries,
		     cst_error **error);
void tar_split_free(struct tar_split *split);
DEFINE_CLEANUP(struct tar_split *, tar_split_free)

#endif
