/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of a stream in a ring: workers compress them in any order, and the caller's thread
 * writes them in order. */
#include "codec/gzip_parallel.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/types.h"
#include "codec/deflate.h"
#include "codec/gzip_frame.h"
#include <pthread.h>
#include <stdatomic.h>

#define THREADS_MAX 16 /* what one reader can feed */
#define PIECES_MAX  (2 * THREADS_MAX + 1)

struct piece {
	struct task task;
	struct gzip_parallel *stream;
	/* The tail is in place before the piece is filled. */
	unsigned char text[DEFLATE_TAIL_SIZE + DEFLATE_PIECE_SIZE];
	size_t tail, n;
	bool last;
	/* What the task made. `done` is set last. */
	struct deflate_output output;
	bool failed; /* out of memory */
	atomic_bool done;
};

struct gzip_parallel {
	cst_sink sink;
	unsigned threads;
	struct pool *pool;
	uint32_t crc, total;
	bool broken; /* an error was reported */
	atomic_bool cancelled;

	/* A ring. The oldest is at first % n_pieces; the one that is being filled is at (first +
	 * in_flight) % n_pieces. */
	struct piece *pieces[PIECES_MAX];
	unsigned n_pieces, first, in_flight;

	/* Deflaters that no task uses, the one used last on top, since its memory is in the
	 * cache. */
	pthread_mutex_t lock;
	struct deflater *idle[THREADS_MAX + 1];
	unsigned n_idle;
};

/* ---- in any thread ---- */

static struct deflater *take_deflater(struct gzip_parallel *w)
{
	struct deflater *deflater = NULL;

	pthread_mutex_lock(&w->lock);
	if (w->n_idle > 0)
		deflater = w->idle[--w->n_idle];
	pthread_mutex_unlock(&w->lock);
	return deflater ? deflater : deflater_new();
}

static void give_back(struct gzip_parallel *w, struct deflater *deflater)
{
	pthread_mutex_lock(&w->lock);
	w->idle[w->n_idle++] = deflater;
	pthread_mutex_unlock(&w->lock);
}

static bool compress_piece(struct piece *piece)
{
	struct gzip_parallel *w = piece->stream;

	if (atomic_load_explicit(&w->cancelled, memory_order_relaxed))
		return false;
	struct deflater *deflater = take_deflater(w);
	if (!deflater)
		return false;
	bool good = deflate_piece(deflater, piece->text + DEFLATE_TAIL_SIZE - piece->tail,
	                          piece->tail, piece->n, piece->last, &piece->output);
	give_back(w, deflater);
	return good;
}

static void run_piece(struct task *task)
{
	struct piece *piece = (struct piece *)((char *)task - offsetof(struct piece, task));

	piece->failed = !compress_piece(piece);
	atomic_store_explicit(&piece->done, true, memory_order_release);
}

/* ---- in the caller's ---- */

static bool piece_done(void *arg)
{
	struct piece *piece = arg;
	return atomic_load_explicit(&piece->done, memory_order_acquire);
}

static struct piece *oldest(const struct gzip_parallel *w)
{
	return w->pieces[w->first % w->n_pieces];
}

static int write_oldest(struct gzip_parallel *w, cst_error **error)
{
	struct piece *piece = oldest(w);

	pool_wait(w->pool, piece_done, piece);
	if (piece->failed)
		return error_oom(error);
	w->first++;
	w->in_flight--;
	return sink_write(&w->sink, piece->output.data, piece->output.n, error);
}

/* Makes room for one more piece, and writes the pieces that are ready. */
static int drain(struct gzip_parallel *w, unsigned keep, cst_error **error)
{
	int r = 0;

	while (r == 0 && w->in_flight > 0 && (w->in_flight > keep || piece_done(oldest(w))))
		r = write_oldest(w, error);
	return r;
}

/* The place in the ring for a piece to fill. */
static struct piece *fresh_piece(struct gzip_parallel *w)
{
	struct piece **place = &w->pieces[(w->first + w->in_flight) % w->n_pieces];

	if (!*place) {
		*place = malloc(sizeof(**place));
		if (!*place)
			return NULL;
		(*place)->output = (struct deflate_output){0};
	}
	struct piece *piece = *place;
	piece->task = (struct task){.run = run_piece};
	piece->stream = w;
	piece->tail = piece->n = 0;
	piece->output.n = 0;
	piece->last = piece->failed = false;
	atomic_init(&piece->done, false);
	return piece;
}

static struct piece *filling(const struct gzip_parallel *w)
{
	return w->pieces[(w->first + w->in_flight) % w->n_pieces];
}

static int start_pool(struct gzip_parallel *w, bool last, cst_error **error)
{
	if (w->pool)
		return 0;
	/* A stream of one piece is not worth a thread: the caller compresses it while it waits. */
	return pool_new(last || w->threads == 1 ? 0 : w->threads, &w->pool, error);
}

/* Queues the piece that is full, or is the last one. */
static int submit(struct gzip_parallel *w, bool last, cst_error **error)
{
	struct piece *piece = filling(w);
	int r = start_pool(w, last, error);

	if (r < 0)
		return r;
	piece->last = last;
	w->in_flight++;
	pool_submit(w->pool, &piece->task);
	if (last)
		return drain(w, 0, error);
	r = drain(w, w->n_pieces - 1, error);
	if (r < 0)
		return r;
	struct piece *next = fresh_piece(w);
	if (!next)
		return error_oom(error);
	memcpy(next->text, piece->text + DEFLATE_PIECE_SIZE, DEFLATE_TAIL_SIZE);
	next->tail = DEFLATE_TAIL_SIZE;
	return 0;
}

static int check_whole(const struct gzip_parallel *w, cst_error **error)
{
	return w->broken ? error_set(error, CST_EINVAL, "gzip: the stream has failed before") : 0;
}

static int write_pieces(struct gzip_parallel *w, const unsigned char *data, size_t n,
                        cst_error **error)
{
	while (n > 0) {
		struct piece *piece = filling(w);
		size_t part = MIN(n, DEFLATE_PIECE_SIZE - piece->n);
		memcpy(piece->text + DEFLATE_TAIL_SIZE + piece->n, data, part);
		piece->n += part;
		data += part;
		n -= part;
		int r = piece->n == DEFLATE_PIECE_SIZE ? submit(w, false, error) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int gzip_parallel_write(struct gzip_parallel *w, const void *data, size_t n, cst_error **error)
{
	int r = check_whole(w, error);

	if (r == 0)
		r = write_pieces(w, data, n, error);
	w->crc = crc32_gzip(w->crc, data, n);
	w->total += (uint32_t)n;
	w->broken = r < 0;
	return r;
}

int gzip_parallel_finish(struct gzip_parallel *w, cst_error **error)
{
	int r = check_whole(w, error);

	if (r == 0)
		r = submit(w, true, error);
	if (r == 0)
		r = gzip_write_trailer(&w->sink, w->crc, w->total, error);
	w->broken = true;
	return r;
}

int gzip_parallel_new(unsigned threads, const cst_sink *sink, struct gzip_parallel **ret,
                      cst_error **error)
{
	_cleanup_(gzip_parallel_freep) struct gzip_parallel *w = new0(struct gzip_parallel, 1);

	if (!w)
		return error_oom(error);
	pthread_mutex_init(&w->lock, NULL);
	w->sink = *sink;
	w->threads = MIN(threads ? threads : pool_cpu_count(), (unsigned)THREADS_MAX);
	w->n_pieces = 2 * w->threads + 1;
	if (!fresh_piece(w))
		return error_oom(error);
	int r = gzip_write_header(&w->sink, GZIP_DEFAULT, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&w);
	return 0;
}

void gzip_parallel_free(struct gzip_parallel *w)
{
	if (!w)
		return;
	atomic_store(&w->cancelled, true);
	pool_free(w->pool);
	for (unsigned i = 0; i < w->n_pieces; i++)
		if (w->pieces[i]) {
			free(w->pieces[i]->output.data);
			free(w->pieces[i]);
		}
	while (w->n_idle > 0)
		deflater_free(w->idle[--w->n_idle]);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void gzip_parallel_freep(struct gzip_parallel **w)
{
	gzip_parallel_free(*w);
}
