/* SPDX-License-Identifier: Apache-2.0 */
/* Names come and go (create, link, replace, delete), in the order of the archive. */
#ifndef CST_ARCHIVE_UNPACK_NAMESPACE_H
#define CST_ARCHIVE_UNPACK_NAMESPACE_H

#include "archive/unpack/file.h"
#include "archive/unpack/rewrite.h"
#include "archive/unpack/share.h"
#include "archive/unpack/target.h"
#include "archive/unpack/times.h"
#include "archive/unpack/whiteout.h"

struct namespace {
	struct work *work;
	struct target *target;
	struct writers *writers;
	struct directory_times *times;
	struct saved_bodies *saved; /* NULL: there is no tar-split that would need them */

	struct whiteouts whiteouts;
	struct shared_files shared;
	struct task task;
	struct chunk *queue_head, *queue_tail; /* work->lock */
	bool active;                           /* work->lock */
	const struct op *cursor;               /* in the chunk at the head; NULL: at its start */
	struct out_file *current;              /* file whose body goes on */
	int64_t content_size;
	bool content_size_unknown;
	bool root_named; /* by an entry that says how it is */
};
void namespace_init(struct namespace *ns);
void namespace_submit(struct namespace *ns, struct chunk *chunk); /* takes over one reference */
void namespace_free(struct namespace *ns);

#endif
