/* SPDX-License-Identifier: Apache-2.0 */
/* The source to chunks: reading, finding out the compression, decompressing, parsing. */
#include "archive/unpack/stream.h"
#include "base/types.h"
#include "codec/compress.h"
#include <errno.h>

#define INPUT_SIZE ((size_t)128 * 1024)
_Static_assert(INPUT_SIZE <= POOL_BUFFER, "an input is in a buffer of the pool");

/* A failure of the stream, not of what is made out of it. */
static void stream_failed(struct stream *s, enum unpack_fault fault, uint64_t number,
                          cst_error *error)
{
	s->fault = fault;
	s->fault_at = number;
	work_fail(s->work, number, error);
}

static void parse_failed(struct stream *s, cst_error *error)
{
	stream_failed(s, s->parser.damaged ? UNPACK_BAD_TAR : UNPACK_TARGET, s->parser.entries,
	              error);
}

static int report_progress(struct stream *s, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state),
	        .what = "import",
	        .bytes_done = s->bytes_in,
	        .entries_done = s->parser.entries,
	};
	return progress_tell(s->options->progress, &state, error);
}

/* Up to `size` bytes of the source, 0 at its end. */
static int64_t read_source(struct stream *s, uint8_t *buffer, size_t size, cst_error **error)
{
	if (s->n_detected > 0) {
		size_t n = s->n_detected;
		memcpy(buffer, s->detected, n);
		s->n_detected = 0;
		return (int64_t)n;
	}
	int r = report_progress(s, error);
	if (r < 0)
		return r;
	int64_t n = source_read(s->source, buffer, size, error);
	if (n > 0)
		s->bytes_in += (uint64_t)n;
	return n;
}

/* A short first read must not hide the compression (docs/format/archive.md, "Damaged and unusual
 * streams"). */
static int detect(struct stream *s, cst_error **error)
{
	size_t n = 0;

	while (n < COMPRESSION_DETECT_SIZE) {
		int64_t got =
		        source_read(s->source, s->detected + n, COMPRESSION_DETECT_SIZE - n, error);
		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	s->bytes_in = s->n_detected = n;
	s->kind = compression_detect(s->detected, n);
	if (s->kind == CST_PLAIN)
		return 0;
	int r = decompressor_new(s->kind, &s->decompressor, error);
	return r < 0 ? r : decompressor_use_pool(s->decompressor, s->work->pool, error);
}

static int take_op(struct op_sink *sink, struct op *op, cst_error **error)
{
	struct stream *s = (struct stream *)((char *)sink - offsetof(struct stream, ops));
	struct chunk *chunk = s->filling;

	op->next = NULL;
	if (chunk->last)
		chunk->last->next = op;
	else
		chunk->first = op;
	chunk->last = op;
	return 0;
}

/* Hands a filled chunk on; takes over its reference. */
static void submit_chunk(struct stream *s, struct chunk *chunk)
{
	chunk->number = s->parser.entries;
	recording_submit(s->recording, chunk);
	namespace_submit(s->namespace, chunk);
}

static void parse_chunk(struct stream *s, struct chunk *chunk)
{
	cst_error *error = NULL;

	s->bytes_out += chunk->len;
	s->filling = chunk;
	s->ops.arena = &chunk->arena;
	if (!work_failed(s->work, UINT64_MAX - 1) &&
	    unpack_parse(&s->parser, chunk->data, chunk->len, &s->ops, &error) < 0)
		parse_failed(s, error);
	submit_chunk(s, chunk);
}

/* ---- plain input: read into chunks ---- */

static int fill_chunk(struct stream *s, struct chunk *chunk, bool *end, cst_error **error)
{
	/* Full chunks, or a pipe's small pieces would make small tasks. */
	while (chunk->len < CHUNK_SIZE) {
		int64_t n =
		        read_source(s, chunk->data + chunk->len, CHUNK_SIZE - chunk->len, error);
		if (n < 0)
			return (int)n;
		if (n == 0) {
			*end = true;
			return 0;
		}
		chunk->len += (size_t)n;
	}
	return 0;
}

static int run_plain(struct stream *s, cst_error **error)
{
	bool end = false;

	while (!end && !work_failed(s->work, UINT64_MAX - 1)) {
		struct chunk *chunk = chunk_take(s->work);
		if (!chunk)
			return error_oom(error);
		int r = fill_chunk(s, chunk, &end, error);
		if (r < 0) {
			chunk_unref(chunk);
			return r;
		}
		parse_chunk(s, chunk);
	}
	return 0;
}

/* ---- compressed input: read into inputs, decompress into chunks ---- */

static void digest_input(struct task *task)
{
	struct input *input = (struct input *)((char *)task - offsetof(struct input, task));
	struct work *work = input->stream->work;

	digester_update(input->stream->input_digest, input->data, input->len);
	atomic_store_explicit(&input->busy, false, memory_order_release);
	work_end_task(work);
}

static bool input_is_free(void *arg)
{
	struct input *input = arg;
	return !atomic_load_explicit(&input->busy, memory_order_acquire);
}

static int read_input(struct stream *s, struct input **ret, cst_error **error)
{
	struct input *input = &s->inputs[s->next_input++ % INPUT_COUNT];

	pool_wait(s->work->pool, input_is_free, input);
	if (!input->data) {
		input->data = pool_buffer_take(s->work->pool);
		if (!input->data)
			return error_oom(error);
		input->stream = s;
		input->task.run = digest_input;
	}
	int64_t n = read_source(s, input->data, INPUT_SIZE, error);
	if (n < 0)
		return (int)n;
	input->len = (size_t)n;
	if (n > 0 && s->input_digest) {
		atomic_store_explicit(&input->busy, true, memory_order_relaxed);
		work_begin_task(s->work);
		strand_submit(&s->input_strand, &input->task);
	}
	*ret = input;
	return 0;
}

/* Decompresses one input, all of it, into as many chunks as it takes. */
static int decompress_input(struct stream *s, const struct input *input, struct chunk **chunk,
                            bool *done, cst_error **error)
{
	size_t used = 0;
	bool last = input->len == 0;

	for (;;) {
		size_t made;
		if (!*chunk) {
			*chunk = chunk_take(s->work);
			if (!*chunk)
				return error_oom(error);
		}
		int r = decompressor_run(s->decompressor, input->data, input->len, &used, last,
		                         (*chunk)->data + (*chunk)->len, CHUNK_SIZE - (*chunk)->len,
		                         &made, done, error);
		if (r < 0)
			return r;
		(*chunk)->len += made;
		bool full = (*chunk)->len == CHUNK_SIZE;
		if (full)
			parse_chunk(s, steal_ptr(chunk));
		if (*done || work_failed(s->work, UINT64_MAX - 1) || (!full && used == input->len))
			return 0;
	}
}

static int run_compressed(struct stream *s, cst_error **error)
{
	struct chunk *chunk = NULL;
	bool done = false;
	int r = 0;

	while (r == 0 && !done && !work_failed(s->work, UINT64_MAX - 1)) {
		struct input *input = NULL;
		r = read_input(s, &input, error);
		if (r == 0)
			r = decompress_input(s, input, &chunk, &done, error);
	}
	/* What came out before a damaged place is parsed too: the tar may tell more about it. */
	if (chunk)
		parse_chunk(s, chunk);
	return r;
}

/* The tar's end, in a chunk without data: its ops come after all others. */
static void finish_stream(struct stream *s)
{
	cst_error *error = NULL;

	if (work_failed(s->work, UINT64_MAX - 1))
		return;
	struct chunk *chunk = chunk_take(s->work);
	if (!chunk) {
		error_oom(&error);
		work_fail(s->work, s->parser.entries + 1, error);
		return;
	}
	s->filling = chunk;
	s->ops.arena = &chunk->arena;
	if (unpack_parse_end(&s->parser, &s->ops, &error) < 0)
		parse_failed(s, error);
	submit_chunk(s, chunk);
}

/* ---- all of it ---- */

int stream_open(struct stream *s, cst_error **error)
{
	s->ops.take = take_op;
	s->fault_at = UINT64_MAX;
	strand_init(&s->input_strand, s->work->pool);
	int r = unpack_parser_init(&s->parser, s->options, error);
	if (r == 0)
		r = detect(s, error);
	if (r == 0 && s->kind != CST_PLAIN && !s->options->original_digest)
		r = digester_new(DIGEST_SHA256, &s->input_digest, error);
	return r;
}

void stream_free(struct stream *s)
{
	unpack_parser_free(&s->parser);
	decompressor_free(s->decompressor);
	digester_free(s->input_digest);
	for (size_t i = 0; i < INPUT_COUNT; i++)
		pool_buffer_give(s->work->pool, s->inputs[i].data);
}

static void input_failed(struct stream *s, int r, cst_error *error)
{
	if (r == CST_ECANCELED)
		work_fail(s->work, 0, error);
	else
		stream_failed(s,
		              tar_reader_end(s->parser.reader, NULL) == 0 ? UNPACK_INPUT_AT_ENTRY
		                                                          : UNPACK_INPUT_CUT,
		              s->parser.entries + 1, error);
}

void stream_run(struct stream *s)
{
	cst_error *error = NULL;
	int r = s->decompressor ? run_compressed(s, &error) : run_plain(s, &error);

	if (r < 0)
		input_failed(s, r, error);
	else
		finish_stream(s);
}
