/* SPDX-License-Identifier: Apache-2.0 */
/* What is recorded of the stream: its tar-split and its digest. */
#ifndef CST_ARCHIVE_UNPACK_RECORD_H
#define CST_ARCHIVE_UNPACK_RECORD_H

#include "archive/tarsplit/tarsplit.h"
#include "archive/unpack/work.h"
#include "base/digest.h"

/* Ops to tar-split. */
struct recorder {
	struct tarsplit_writer *writer;
	struct strbuf name;
	int64_t size;
	uint64_t crc;
	bool raw, line;
};
int recorder_take(struct recorder *recorder, const struct op *op, cst_error **error);
void recorder_free(struct recorder *recorder);

/* The same for each chunk, and the digest of the plain stream, on a strand each. The digest takes longer than all else that has to be
 * done in order, so it goes first. */
struct recording {
	struct work *work;
	struct strand strand, digest_strand;
	struct digester *plain_digest; /* NULL: not wanted */
	struct recorder recorder;      /* writer NULL: not wanted */
	const cst_sink *copy;          /* NULL: not wanted */
};
void recording_init(struct recording *recording, struct work *work);
void recording_submit(struct recording *recording, struct chunk *chunk);
bool recording_is_idle(const struct recording *recording); /* of no strand the pool looks at (base/pool.h) */
void recording_free(struct recording *recording);

#endif
