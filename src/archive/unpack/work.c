/* SPDX-License-Identifier: Apache-2.0 */
/* The first error in archive order, counting tasks, and chunks that are used again. */
#include "archive/unpack/work.h"

/* 12 chunks of the plain stream and 4 of the compressed one: enough to keep a few cores busy, small
 * enough that all of unpacking stays below 20 MiB. */
#define CHUNK_COUNT 12

void work_init(struct work *work, struct pool *pool)
{
	work->pool = pool;
	atomic_init(&work->failed_at, UINT64_MAX);
	pthread_mutex_init(&work->lock, NULL);
}

void work_free(struct work *work)
{
	for (struct chunk *chunk = work->free_chunks; chunk;) {
		struct chunk *next = chunk->next;
		pool_buffer_give(work->pool, chunk->data);
		free(chunk);
		chunk = next;
	}
	cst_error_free(work->error);
	pthread_mutex_destroy(&work->lock);
}

void work_fail(struct work *work, uint64_t number, cst_error *error)
{
	pthread_mutex_lock(&work->lock);
	if (number < atomic_load_explicit(&work->failed_at, memory_order_relaxed)) {
		atomic_store_explicit(&work->failed_at, number, memory_order_relaxed);
		cst_error *later = work->error;
		work->error = error;
		error = later;
	}
	pthread_mutex_unlock(&work->lock);
	cst_error_free(error);
}

void work_begin_task(struct work *work)
{
	atomic_fetch_add_explicit(&work->running, 1, memory_order_relaxed);
}

void work_end_task(struct work *work)
{
	atomic_fetch_sub_explicit(&work->running, 1, memory_order_release);
}

/* ---- chunks ---- */

void chunk_ref(struct chunk *chunk)
{
	atomic_fetch_add_explicit(&chunk->references, 1, memory_order_relaxed);
}

void chunk_unref(struct chunk *chunk)
{
	struct work *work = chunk->work;

	if (atomic_fetch_sub_explicit(&chunk->references, 1, memory_order_acq_rel) > 1)
		return;
	arena_clear(&chunk->arena);
	pthread_mutex_lock(&work->lock);
	chunk->next = work->free_chunks;
	work->free_chunks = chunk;
	pthread_mutex_unlock(&work->lock);
	atomic_fetch_add_explicit(&work->n_free, 1, memory_order_release);
}

static bool has_free_chunk(void *arg)
{
	struct work *work = arg;
	return atomic_load_explicit(&work->n_free, memory_order_acquire) > 0;
}

static struct chunk *chunk_new(struct work *work)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (chunk)
		chunk->data = pool_buffer_take(work->pool);
	if (!chunk || !chunk->data) {
		free(chunk);
		return NULL;
	}
	chunk->work = work;
	work->n_chunks++;
	return chunk;
}

struct chunk *chunk_take(struct work *work)
{
	struct chunk *chunk;

	if (!has_free_chunk(work) && work->n_chunks < CHUNK_COUNT) {
		chunk = chunk_new(work);
	} else {
		pool_wait(work->pool, has_free_chunk, work);
		atomic_fetch_sub_explicit(&work->n_free, 1, memory_order_relaxed);
		pthread_mutex_lock(&work->lock);
		chunk = work->free_chunks;
		work->free_chunks = chunk->next;
		pthread_mutex_unlock(&work->lock);
	}
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->first = chunk->last = NULL;
	chunk->len = 0;
	atomic_store_explicit(&chunk->references, 1, memory_order_relaxed);
	return chunk;
}
