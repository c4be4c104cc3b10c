/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a stream on their way through tasks (decode_ahead.h). */
#include "codec/decode_ahead.h"
#include "base/mem.h"
#include <stdatomic.h>

/* Pieces together stay below 7 MiB, whatever the stream: a piece whose content has no room is decoded with the stream. */
#define PIECE_COUNT 6
#define PIECE_GOAL  ((size_t)64 * 1024) /* from here on, the next member begins a new piece */
#define PIECE_MAX   ((size_t)256 * 1024)
#define CONTENT_MAX ((size_t)896 * 1024)
/* A stream in which so many pieces were decoded in vain is decoded by one thread to its end. */
#define VAIN_MAX 8

struct piece {
	struct task task;
	struct decode_ahead *ahead;
	_Atomic bool busy;
	bool tried; /* by a task */
	bool good;  /* `content` is all of it, if a member begins with it */
	void *state;
	uint8_t *data, *content;
	size_t len, content_len;
	size_t given; /* of the content, or of the data through the stream's decoder */
};

struct decode_ahead {
	const struct decoder *decoder;
	void *state;
	struct pool *pool;
	struct piece pieces
	        [PIECE_COUNT]; /* a ring: those in the queue, and the one that is gathered behind them */
	unsigned first, queued;
	bool gathering; /* else the stream's decoder is given the input itself */
	bool between;   /* what was given out ends with a member */
	unsigned vain;
};

static struct piece *piece_at(struct decode_ahead *a, unsigned i)
{
	return &a->pieces[(a->first + i) % PIECE_COUNT];
}

/* ---- a piece alone ---- */

static bool decode_alone(struct piece *piece)
{
	const struct decoder *decoder = piece->ahead->decoder;
	struct decode_step step = {
	        .in = piece->data,
	        .in_end = piece->data + piece->len,
	        .out = piece->content,
	        .out_end = piece->content + CONTENT_MAX,
	};

	if (!piece->state && decoder->create(&piece->state, NULL) < 0)
		return false;
	int r = decoder->run(piece->state, &step, NULL);
	piece->content_len = (size_t)(step.out - piece->content);
	if (r == 0 && step.in == step.in_end && step.between)
		return true;
	decoder->destroy(steal_ptr(&piece->state)); /* it is inside of a member */
	return false;
}

static void run_piece(struct task *task)
{
	struct piece *piece = (struct piece *)((char *)task - offsetof(struct piece, task));

	piece->good = decode_alone(piece);
	atomic_store_explicit(&piece->busy, false, memory_order_release);
}

static bool piece_is_done(void *arg)
{
	return !atomic_load_explicit(&((struct piece *)arg)->busy, memory_order_acquire);
}

/* ---- cutting ---- */

/* The piece that was gathered goes into the queue. */
static void queue_piece(struct decode_ahead *a, bool alone)
{
	struct piece *piece = piece_at(a, a->queued++);

	piece->good = false;
	piece->tried = alone;
	piece->given = 0;
	if (a->queued < PIECE_COUNT)
		piece_at(a, a->queued)->len = 0;
	if (!alone)
		return;
	atomic_store_explicit(&piece->busy, true, memory_order_relaxed);
	pool_submit(a->pool, &piece->task);
}

static void stop_gathering(struct decode_ahead *a)
{
	if (a->gathering && piece_at(a, a->queued)->len > 0)
		queue_piece(a, false);
	a->gathering = false;
}

/* Takes input until a member seems to begin behind the goal. */
static int gather(struct decode_ahead *a, struct decode_step *step, cst_error **error)
{
	struct piece *piece = piece_at(a, a->queued), *next;
	const size_t magic_len = a->decoder->magic_len;

	if (!piece->data)
		piece->data = malloc(PIECE_MAX);
	if (!piece->content)
		piece->content = malloc(CONTENT_MAX);
	if (!piece->data || !piece->content)
		return error_oom(error);
	size_t from = MAX(piece->len, PIECE_GOAL + magic_len - 1) - (magic_len - 1);
	size_t n = MIN((size_t)(step->in_end - step->in), PIECE_MAX - piece->len);
	memcpy(piece->data + piece->len, step->in, n);
	piece->len += n;
	step->in += n;
	const uint8_t *border = piece->len <= from ? NULL
	                                           : memmem(piece->data + from, piece->len - from,
	                                                    a->decoder->magic, magic_len);
	if (!border) {
		if (piece->len == PIECE_MAX)
			stop_gathering(a);
		return 0;
	}
	/* What follows is at most what this step brought, and the beginning of a magic number. */
	size_t kept = (size_t)(border - piece->data), more = piece->len - kept;
	size_t back = MIN(more, n);
	step->in -= back;
	piece->len = kept;
	queue_piece(a, true);
	next = piece_at(a, a->queued);
	if (more > back) {
		if (!next->data && !(next->data = malloc(PIECE_MAX)))
			return error_oom(error);
		next->len = more - back;
		memcpy(next->data, border, next->len);
	}
	return 0;
}

/* ---- giving out ---- */

/* The piece is not known to begin with a member, or not to end so: the stream's decoder takes it. */
static int give_data(struct decode_ahead *a, struct piece *piece, struct decode_step *step,
                     bool *done, cst_error **error)
{
	struct decode_step inner = {
	        .in = piece->data + piece->given,
	        .in_end = piece->data + piece->len,
	        .out = step->out,
	        .out_end = step->out_end,
	};
	int r = a->decoder->run(a->state, &inner, error);

	piece->given = (size_t)(inner.in - piece->data);
	step->out = inner.out;
	a->between = inner.between;
	*done = inner.in == inner.in_end && (inner.between || inner.out < inner.out_end);
	return r;
}

static void give_content(struct piece *piece, struct decode_step *step, bool *done)
{
	size_t n = MIN((size_t)(step->out_end - step->out), piece->content_len - piece->given);

	memcpy(step->out, piece->content + piece->given, n);
	step->out += n;
	piece->given += n;
	*done = piece->given == piece->content_len;
}

static int give_first(struct decode_ahead *a, struct decode_step *step, cst_error **error)
{
	struct piece *piece = piece_at(a, 0);
	bool done;

	pool_wait(a->pool, piece_is_done, piece);
	if (piece->good && a->between) {
		give_content(piece, step, &done);
	} else {
		a->vain += piece->tried;
		piece->good = piece->tried = false;
		int r = give_data(a, piece, step, &done, error);
		if (r < 0)
			return r;
	}
	if (!done)
		return 0;
	a->first = (a->first + 1) % PIECE_COUNT;
	a->queued--;
	return 0;
}

int decode_ahead_run(struct decode_ahead *a, struct decode_step *step, cst_error **error)
{
	for (;;) {
		bool used_up = step->in == step->in_end;
		if (a->gathering && ((used_up && step->last) || a->vain >= VAIN_MAX))
			stop_gathering(a);
		/* Behind the one that is gathered another has its place. */
		if (a->queued > 0 && (!a->gathering || a->queued + 2 > PIECE_COUNT)) {
			int r = give_first(a, step, error);
			if (r < 0 || step->out == step->out_end)
				return r;
			continue;
		}
		if (a->gathering) {
			if (used_up)
				return 0;
			int r = gather(a, step, error);
			if (r < 0)
				return r;
			continue;
		}
		step->stop = a->vain < VAIN_MAX;
		int r = a->decoder->run(a->state, step, error);
		a->between = step->between;
		if (r < 0 || step->done || step->out == step->out_end)
			return r;
		a->gathering = step->stop && step->between;
		if (a->gathering)
			piece_at(a, 0)->len = 0;
		else if (step->in == step->in_end)
			return 0;
	}
}

int decode_ahead_new(const struct decoder *decoder, void *state, struct pool *pool,
                     struct decode_ahead **ret, cst_error **error)
{
	struct decode_ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return error_oom(error);
	*a = (struct decode_ahead){
	        .decoder = decoder, .state = state, .pool = pool, .between = true};
	for (size_t i = 0; i < PIECE_COUNT; i++) {
		a->pieces[i].ahead = a;
		a->pieces[i].task.run = run_piece;
	}
	*ret = a;
	return 0;
}

void decode_ahead_free(struct decode_ahead *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < PIECE_COUNT; i++) {
		struct piece *piece = &a->pieces[i];
		pool_wait(a->pool, piece_is_done, piece);
		if (piece->state)
			a->decoder->destroy(piece->state);
		free(piece->data);
		free(piece->content);
	}
	free(a);
}
