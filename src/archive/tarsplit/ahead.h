/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and the content of files, one after the other, into a sink. Tasks open and read the files ahead, and compute the digest
 * behind; the sink is called in the caller's thread, and gets what one thread would give it. */
#ifndef CST_ARCHIVE_TARSPLIT_AHEAD_H
#define CST_ARCHIVE_TARSPLIT_AHEAD_H

#include "archive/tarsplit/tarsplit.h"
#include "base/mem.h"

struct ahead;
/* `reading` and `sink` must live as long. */
int ahead_new(const struct tarsplit_reading *reading, const cst_sink *sink, struct ahead **ret, cst_error **error);
int ahead_write(struct ahead *a, const void *data, size_t n, cst_error **error);
int ahead_zeros(struct ahead *a, uint64_t n, cst_error **error);
/* `size` > 0 bytes of a file, of which the sink gets the last only if all have this CRC-64. */
int ahead_file(struct ahead *a, const char *name, int64_t size, uint64_t crc, cst_error **error);
/* All that was put in is with the sink and in the digest. Call it after an error of the caller's, too: a fault in what comes
 * before is the first one. */
int ahead_finish(struct ahead *a, cst_error **error);
void ahead_free(struct ahead *a);
/* "file integrity checksum failed for ..." */
int ahead_checksum_error(const char *name, cst_error **error);
DEFINE_CLEANUP(struct ahead *, ahead_free)

#endif
