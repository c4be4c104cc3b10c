/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of worker threads for short tasks, and strands: queues whose tasks run one at a time, in order, on
 * whichever worker is free. Nothing ever blocks inside a task waiting for another task. A producer that must wait
 * (for memory, for everything to be done) helps instead: it runs tasks itself, so that zero workers is a valid pool
 * and single-threaded operation needs no second code path.
 */
#ifndef CST_BASE_POOL_H
#define CST_BASE_POOL_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

struct pool;

/* The embedder owns the memory; it must live until run() is called, which may free it. */
struct task {
	void (*run)(struct task *task);
	struct task *next;
};

struct strand {
	struct pool *pool;
	struct task self; /* scheduled on the pool while the queue is not empty */
	struct task *head, *tail;
	bool scheduled;
};

/* CPUs this process may use: affinity mask and cgroup cpu.max. At least 1. */
unsigned pool_cpu_count(void);

/* `workers` threads besides the caller; 0 is allowed. Threads start with all signals blocked. */
int pool_new(unsigned workers, struct pool **ret, cst_error **error);
void pool_free(struct pool *pool); /* runs what is queued, joins; NULL allowed */
void pool_freep(struct pool **pool);
#define _cleanup_pool_ __attribute__((cleanup(pool_freep)))

void pool_submit(struct pool *pool, struct task *task);

/* The pool looks at its strand after the strand's last task has returned: free it only when `scheduled` is false, as seen
 * from a pool_wait() condition. */
void strand_init(struct strand *strand, struct pool *pool);
void strand_submit(struct strand *strand, struct task *task);

/* Waits until done(arg) is true, running queued tasks meanwhile. `done` is called with the pool's lock held, and again
 * after any task finished; it must be quick and must not call the pool. */
void pool_wait(struct pool *pool, bool (*done)(void *arg), void *arg);

#endif
