/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of worker threads for short tasks, and strands: queues whose tasks run one at a time, in
 * order, on whichever worker is free. A task never blocks to wait for another task. A producer that
 * must wait (for memory, or until everything is done) runs tasks itself meanwhile. So a pool with
 * no workers works too, and there is no second code path for a single thread. */
#ifndef CST_BASE_POOL_H
#define CST_BASE_POOL_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

struct pool;

/* The structure that contains it owns the memory, which must live until run() is called. run() may
 * free it. */
struct task {
	void (*run)(struct task *task);
	struct task *next;
};

struct strand {
	struct pool *pool;
	struct task self; /* scheduled on the pool while the queue is not empty */
	struct task *head, *tail;
	bool scheduled;
	bool urgent; /* set before the first task: the queue goes before all that is not */
};

/* How many CPUs this process may use: affinity mask and cgroup cpu.max. At least 1. */
unsigned pool_cpu_count(void);

/* Starts `workers` threads besides the caller's; 0 is allowed. They have all signals blocked. */
int pool_new(unsigned workers, struct pool **ret, cst_error **error);
void pool_free(struct pool *pool); /* runs what is queued, joins; NULL allowed */
void pool_freep(struct pool **pool);
#define _cleanup_pool_ __attribute__((cleanup(pool_freep)))

unsigned pool_threads(const struct pool *pool); /* besides those that wait in pool_wait() */

void pool_submit(struct pool *pool, struct task *task);

/* The pool still looks at a strand after the last task of the strand has returned. Free a strand
 * only when a condition of pool_wait() has seen `scheduled` false. */
void strand_init(struct strand *strand, struct pool *pool);
void strand_submit(struct strand *strand, struct task *task);

/* Memory for a piece of a stream: POOL_BUFFER bytes. NULL: out of memory. */
#define POOL_BUFFER ((size_t)256 * 1024)
void *pool_buffer_take(struct pool *pool);
void pool_buffer_give(struct pool *pool, void *buffer); /* NULL allowed */
/* From now on up to `n` of them that were given back are kept, for one stream after the other: fresh memory costs a page fault
 * for each page. */
void pool_keep_buffers(struct pool *pool, unsigned n);

/* Runs queued tasks until done(arg) is true. `done` is called with the pool's lock held, and again
 * after any task finished. It must be quick and must not call the pool. */
void pool_wait(struct pool *pool, bool (*done)(void *arg), void *arg);

#endif
