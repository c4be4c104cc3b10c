/* SPDX-License-Identifier: Apache-2.0 */
/* What all parts share that run at the same time: the pool, the first error, the pieces of the stream. */
#ifndef CST_ARCHIVE_UNPACK_WORK_H
#define CST_ARCHIVE_UNPACK_WORK_H

#include "archive/unpack/entry.h"
#include "base/error.h"
#include "base/pool.h"
#include <pthread.h>
#include <stdatomic.h>

#define CHUNK_SIZE POOL_BUFFER

struct work {
	struct pool *pool;
	_Atomic unsigned running; /* tasks submitted and not ended; the last thing that a task touches */
	pthread_mutex_t lock;

	cst_error *error;           /* the first one in archive order */
	_Atomic uint64_t failed_at; /* UINT64_MAX: nowhere */

	struct chunk *free_chunks; /* lock */
	_Atomic unsigned n_free;
	unsigned n_chunks;
};
void work_init(struct work *work, struct pool *pool);
void work_free(struct work *work);

/* Takes ownership of `error`. The unpacking goes on with what comes before `number` in the archive. */
void work_fail(struct work *work, uint64_t number, cst_error *error);
static inline bool work_failed(const struct work *work, uint64_t number)
{
	return atomic_load_explicit(&((struct work *)work)->failed_at, memory_order_relaxed) <= number;
}
void work_begin_task(struct work *work);
void work_end_task(struct work *work);

/* A piece of the plain stream with the ops that were found in it. The strands walk the ops of a chunk each on its own; when
 * the last one lets go of the chunk it is used again. */
struct chunk {
	struct work *work;
	struct chunk *next; /* free list, queue of the namespace part */
	_Atomic unsigned references;
	struct arena arena;
	struct op *first, *last;
	uint64_t number; /* entries seen before this chunk's end: where an error in it belongs */
	size_t len;
	struct recording *recording; /* of the two tasks */
	struct task record_task, digest_task;
	uint8_t *data;
};
/* A chunk with one reference; waits until there is one. NULL: out of memory. */
struct chunk *chunk_take(struct work *work);
void chunk_ref(struct chunk *chunk);
void chunk_unref(struct chunk *chunk);

#endif
