/* SPDX-License-Identifier: Apache-2.0 */
/* From a plain tar to a zstd:chunked blob (docs/format/chunked.md, "The zstd:chunked layer format"). */
#ifndef CST_CHUNKED_WRITER_H
#define CST_CHUNKED_WRITER_H

#include "chunked/place.h"

struct chunked_written {
	struct toc_place place; /* with the digest of the TOC: what the annotations say */
	char blob_digest[DIGEST_TEXT_MAX], diff_digest[DIGEST_TEXT_MAX];
	uint64_t blob_size, diff_size, entries;
};

struct chunked_writer;
/* The sink is copied, and called from the caller's thread only. NULL: only the TOC is made, as of a blob that is the plain tar itself;
 * it is not compressed, and of what was written the sizes and the entries are known only. */
int chunked_writer_new(int level, const cst_sink *blob, struct chunked_writer **ret, cst_error **error);
/* The next bytes of the tar. CST_EARCHIVE, CST_ENOTSUP: what a TOC cannot hold: two entries of one name, sparse files, global
 * headers, names that are not UTF-8. */
int chunked_writer_write(struct chunked_writer *writer, const void *data, size_t n, cst_error **error);
int chunked_writer_finish(struct chunked_writer *writer, struct chunked_written *ret, cst_error **error);
/* After chunked_writer_finish(): the JSON of the TOC, which is the writer's. */
const char *chunked_writer_json(const struct chunked_writer *writer, size_t *size);
void chunked_writer_free(struct chunked_writer *writer);
DEFINE_CLEANUP(struct chunked_writer *, chunked_writer_free)

#endif
