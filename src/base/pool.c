/* SPDX-License-Identifier: Apache-2.0 */
/* The worker threads of a pool, its buffers, and the queues of its strands. A task runs without the lock of the
 * pool, so that it may queue others. */
#include "base/pool.h"
#include "base/mem.h"
#include "base/thread.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define POOL_DESCRIPTORS 512 /* more than are open while a layer is unpacked */

struct spare {
	struct spare *next;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;   /* something was queued, or the end */
	pthread_cond_t change; /* for pool_wait: the same, or a task finished */
	struct task *head, *tail;
	unsigned idle, waiters;
	struct spare *spares;
	unsigned n_spares, n_kept; /* there are; there may be */
	bool stopping;
	unsigned n_threads;
	pthread_t threads[];
};

/* ---- how many ---- */

static unsigned affinity_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)MAX(CPU_COUNT(&set), 1);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (unsigned)online : 1;
}

static ssize_t read_small_file(const char *path, char *buffer, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);

	buffer[MAX(n, 0)] = '\0';
	return n;
}

/* CPUs that cpu.max of one cgroup directory allows, rounded up; 0 when there is no limit. */
static unsigned quota_count(const char *directory)
{
	char path[4200], text[64];
	unsigned long long quota, period;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", directory);
	if (read_small_file(path, text, sizeof(text)) <= 0)
		return 0;
	if (sscanf(text, "%llu %llu", &quota, &period) != 2 || period == 0)
		return 0; /* "max 100000" */
	return (unsigned)MIN((quota + period - 1) / period, 4096ULL);
}

unsigned pool_cpu_count(void)
{
	unsigned count = affinity_count();
	char text[4096];

	if (read_small_file("/proc/self/cgroup", text, sizeof(text)) <= 0)
		return count;
	char *path = strstr(text, "0::/");
	if (!path)
		/* A cgroup of version 1. Its quota is not read: that would be a second protocol for
		 * old systems. */
		return count;
	path += 3;
	path[strcspn(path, "\n")] = '\0';
	/* Every level up to the root may limit. */
	for (;;) {
		unsigned quota = quota_count(path);
		if (quota > 0)
			count = MIN(count, quota);
		char *slash = strrchr(path, '/');
		if (!slash || !*path)
			break;
		*slash = '\0';
	}
	return MAX(count, 1U);
}

/* ---- queue ---- */

static struct task *take_task(struct pool *pool)
{
	struct task *task = pool->head;

	if (task) {
		pool->head = task->next;
		if (!pool->head)
			pool->tail = NULL;
	}
	return task;
}

static void wake_one(struct pool *pool)
{
	if (pool->idle > 0)
		pthread_cond_signal(&pool->work);
	else if (pool->waiters > 0)
		pthread_cond_signal(&pool->change);
}

static void put_task(struct pool *pool, struct task *task)
{
	task->next = NULL;
	if (pool->tail)
		pool->tail->next = task;
	else
		pool->head = task;
	pool->tail = task;
	wake_one(pool);
}

static void put_first(struct pool *pool, struct task *task)
{
	task->next = pool->head;
	pool->head = task;
	if (!pool->tail)
		pool->tail = task;
	wake_one(pool);
}

/* Called and returns with the lock held. */
static void run_unlocked(struct pool *pool, struct task *task)
{
	pthread_mutex_unlock(&pool->lock);
	task->run(task);
	pthread_mutex_lock(&pool->lock);
	if (pool->waiters > 0)
		pthread_cond_broadcast(&pool->change);
}

static void *worker(void *arg)
{
	struct pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct task *task = take_task(pool);
		if (task) {
			run_unlocked(pool, task);
			continue;
		}
		if (pool->stopping)
			break;
		pool->idle++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->idle--;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- buffers ---- */

static struct spare *take_spare(struct pool *pool)
{
	struct spare *spare = pool->spares;
	if (spare) {
		pool->spares = spare->next;
		pool->n_spares--;
	}
	return spare;
}

void *pool_buffer_take(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	void *buffer = take_spare(pool);
	pthread_mutex_unlock(&pool->lock);
	return buffer ? buffer : malloc(POOL_BUFFER);
}

void pool_buffer_give(struct pool *pool, void *buffer)
{
	if (!buffer)
		return;
	pthread_mutex_lock(&pool->lock);
	bool kept = pool->n_spares < pool->n_kept;
	if (kept) {
		struct spare *spare = buffer;
		spare->next = pool->spares;
		pool->spares = spare;
		pool->n_spares++;
	}
	pthread_mutex_unlock(&pool->lock);
	if (!kept)
		free(buffer);
}

void pool_keep_buffers(struct pool *pool, unsigned n)
{
	pthread_mutex_lock(&pool->lock);
	pool->n_kept = n;
	pthread_mutex_unlock(&pool->lock);
}

/* ---- start and end ---- */

/* When the table of descriptors grows, a process of several threads waits until the kernel knows that all processors saw it, which
 * takes ten milliseconds and more. So it grows before there are several. */
static void grow_descriptor_table(void)
{
	_cleanup_close_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, POOL_DESCRIPTORS - 1);
	closep(&high);
}

int pool_new(unsigned workers, struct pool **ret, cst_error **error)
{
	_cleanup_pool_ struct pool *pool = calloc(1, sizeof(*pool) + workers * sizeof(pthread_t));
	int r = 0;

	if (!pool)
		return error_oom(error);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->change, NULL);
	if (workers > 0)
		grow_descriptor_table();
	for (; r == 0 && pool->n_threads < workers; pool->n_threads += r == 0)
		r = thread_start(&pool->threads[pool->n_threads], worker, pool);
	if (r != 0 && pool->n_threads == 0 && r != EAGAIN)
		return error_sys(error, r, "pthread_create");
	/* If fewer threads could be started than asked for (a process limit), the pool is slower,
	 * but works. */
	*ret = steal_ptr(&pool);
	return 0;
}

static bool queue_empty(void *arg)
{
	const struct pool *pool = arg;
	return !pool->head;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	pool_wait(pool, queue_empty, pool);
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	/* The last tasks may have queued more, and no thread is left to run that: run it here. */
	pool_wait(pool, queue_empty, pool);
	while (pool->spares)
		free(take_spare(pool));
	pthread_cond_destroy(&pool->change);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void pool_freep(struct pool **pool)
{
	pool_free(*pool);
}

unsigned pool_threads(const struct pool *pool)
{
	return pool->n_threads;
}

void pool_submit(struct pool *pool, struct task *task)
{
	pthread_mutex_lock(&pool->lock);
	put_task(pool, task);
	pthread_mutex_unlock(&pool->lock);
}

void pool_wait(struct pool *pool, bool (*done)(void *arg), void *arg)
{
	pthread_mutex_lock(&pool->lock);
	while (!done(arg)) {
		struct task *task = take_task(pool);
		if (task) {
			run_unlocked(pool, task);
			continue;
		}
		pool->waiters++;
		pthread_cond_wait(&pool->change, &pool->lock);
		pool->waiters--;
	}
	pthread_mutex_unlock(&pool->lock);
}

/* ---- strands ---- */

static void put_strand(struct strand *strand)
{
	if (strand->urgent)
		put_first(strand->pool, &strand->self);
	else
		put_task(strand->pool, &strand->self);
}

static void strand_run(struct task *self)
{
	struct strand *strand = (struct strand *)((char *)self - offsetof(struct strand, self));
	struct pool *pool = strand->pool;

	pthread_mutex_lock(&pool->lock);
	struct task *task = strand->head;
	strand->head = task->next;
	if (!strand->head)
		strand->tail = NULL;
	pthread_mutex_unlock(&pool->lock);

	task->run(task);

	/* Run one task, then go to the end of the queue, so that a long strand does not starve the
	 * others. */
	pthread_mutex_lock(&pool->lock);
	if (strand->head)
		put_strand(strand);
	else
		strand->scheduled = false;
	pthread_mutex_unlock(&pool->lock);
}

void strand_init(struct strand *strand, struct pool *pool)
{
	*strand = (struct strand){.pool = pool, .self = {.run = strand_run}};
}

void strand_submit(struct strand *strand, struct task *task)
{
	struct pool *pool = strand->pool;

	pthread_mutex_lock(&pool->lock);
	task->next = NULL;
	if (strand->tail)
		strand->tail->next = task;
	else
		strand->head = task;
	strand->tail = task;
	if (!strand->scheduled) {
		strand->scheduled = true;
		put_strand(strand);
	}
	pthread_mutex_unlock(&pool->lock);
}
