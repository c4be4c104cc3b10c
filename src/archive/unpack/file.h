/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are being written, in parallel. */
#ifndef CST_ARCHIVE_UNPACK_FILE_H
#define CST_ARCHIVE_UNPACK_FILE_H

#include "archive/unpack/metadata.h"
#include "archive/unpack/place.h"
#include "archive/unpack/work.h"
#include "archive/unpack/writeback.h"

struct writers {
	struct work *work;
	struct metadata *metadata;
	const struct making *making;
	bool sync;
	struct writeback writeback;
	unsigned open_files;     /* work->lock */
	unsigned open_files_max; /* with more, the namespace part writes a file itself instead of opening more */
	struct task *waiting;    /* work->lock: is submitted when no file is open any more; NULL: nobody waits */
	struct write_batch *batch;
};

struct out_file {
	struct writers *writers;
	int fd;
	_Atomic unsigned parts; /* pieces on their way, and one for the end not yet seen */
	struct entry *entry;
	int parent_fd;      /* where its name will be; borrowed from the cache of directories */
	struct chunk *home; /* holds the entry */
	bool begun, cloned; /* cloned: what comes is there already */
	bool linked;        /* its attributes, too: it is another's file */
};
struct out_file *out_file_new(struct writers *w, struct chunk *chunk, struct entry *entry, int parent_fd, int fd);
void out_file_release(struct out_file *file); /* lets go of one part; the last one finishes the file */
/* Ops [first, end) of the chunk hold a piece of the file's body; the batch takes one part. */
int out_file_add(struct writers *w, struct chunk *chunk, struct out_file *file, const struct op *first,
		 const struct op *end, size_t bytes);
void writers_flush(struct writers *w); /* submits the batch that is being gathered */
/* Is a file still open? Then the task is submitted when the last one is done. */
bool writers_wait(struct writers *w, struct task *task);
/* How many files and directories may be open at a time. */
void writers_share_descriptors(struct writers *w, int root_fd, size_t *ret_directories);

#endif
