/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's thread: source, decompression, parsing; it starts the rest and waits by helping. */
#include "archive/unpack/unpack.h"
#include "archive/pack/pack.h"
#include "archive/unpack/internal.h"
#include "base/id.h"
#include "base/log.h"
#include "base/types.h"
#include "codec/compress.h"
#include <errno.h>
#include <unistd.h>

/* 16 chunks of the plain stream and 4 of the compressed one: enough to keep a few cores busy, small
 * enough that all of unpacking stays below 24 MiB. */
#define CHUNK_COUNT 16
#define INPUT_SIZE  ((size_t)128 * 1024)
#define INPUT_COUNT 4
#define DETECT_SIZE 10

/* ---- errors and tasks ---- */

void unpack_fail(struct unpacker *u, uint64_t number, cst_error *error)
{
	pthread_mutex_lock(&u->lock);
	if (number < atomic_load_explicit(&u->failed_at, memory_order_relaxed)) {
		atomic_store_explicit(&u->failed_at, number, memory_order_relaxed);
		cst_error *later = u->error;
		u->error = error;
		error = later;
	}
	pthread_mutex_unlock(&u->lock);
	cst_error_free(error);
}

void unpack_task_begin(struct unpacker *u)
{
	atomic_fetch_add_explicit(&u->running, 1, memory_order_relaxed);
}

void unpack_task_end(struct unpacker *u)
{
	atomic_fetch_sub_explicit(&u->running, 1, memory_order_release);
}

/* ---- chunks ---- */

void chunk_ref(struct chunk *chunk)
{
	atomic_fetch_add_explicit(&chunk->references, 1, memory_order_relaxed);
}

void chunk_unref(struct chunk *chunk)
{
	struct unpacker *u = chunk->unpacker;

	if (atomic_fetch_sub_explicit(&chunk->references, 1, memory_order_acq_rel) > 1)
		return;
	arena_clear(&chunk->arena);
	pthread_mutex_lock(&u->lock);
	chunk->next = u->free_chunks;
	u->free_chunks = chunk;
	pthread_mutex_unlock(&u->lock);
	atomic_fetch_add_explicit(&u->n_free, 1, memory_order_release);
}

static bool has_free_chunk(void *arg)
{
	struct unpacker *u = arg;
	return atomic_load_explicit(&u->n_free, memory_order_acquire) > 0;
}

static struct chunk *chunk_new(struct unpacker *u)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (chunk)
		chunk->data = malloc(CHUNK_SIZE);
	if (!chunk || !chunk->data) {
		free(chunk);
		return NULL;
	}
	chunk->unpacker = u;
	chunk->record_task.run = record_chunk;
	u->n_chunks++;
	return chunk;
}

/* A chunk with one reference; waits until there is one. NULL: out of memory. */
static struct chunk *chunk_take(struct unpacker *u)
{
	struct chunk *chunk;

	if (!has_free_chunk(u) && u->n_chunks < CHUNK_COUNT) {
		chunk = chunk_new(u);
	} else {
		pool_wait(u->pool, has_free_chunk, u);
		atomic_fetch_sub_explicit(&u->n_free, 1, memory_order_relaxed);
		pthread_mutex_lock(&u->lock);
		chunk = u->free_chunks;
		u->free_chunks = chunk->next;
		pthread_mutex_unlock(&u->lock);
	}
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->first = chunk->last = NULL;
	chunk->len = 0;
	atomic_store_explicit(&chunk->references, 1, memory_order_relaxed);
	return chunk;
}

/* ---- the stream ---- */

struct input { /* a piece of the compressed stream, being digested */
	struct task task;
	struct stream *stream;
	_Atomic bool busy;
	size_t len;
	uint8_t *data;
};

struct stream {
	struct unpacker *unpacker;
	const cst_source *source;
	enum cst_compression kind;
	struct decompressor *decompressor; /* NULL: plain */
	struct unpack_parser parser;
	struct op_sink ops;
	struct chunk *filling; /* what ops of the parser go to */

	uint8_t detected[DETECT_SIZE]; /* read to find out the compression, not yet used */
	size_t n_detected;
	uint64_t bytes_in, bytes_out;

	struct strand input_strand;
	struct digester *input_digest;
	struct input inputs[INPUT_COUNT];
	unsigned next_input;

	enum unpack_fault fault; /* of the failure at this entry */
	uint64_t fault_at;
};

/* A failure of the stream, not of what is made out of it. */
static void stream_failed(struct stream *s, enum unpack_fault fault, uint64_t number,
                          cst_error *error)
{
	s->fault = fault;
	s->fault_at = number;
	unpack_fail(s->unpacker, number, error);
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
	return progress_tell(s->unpacker->options->progress, &state, error);
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

	while (n < DETECT_SIZE) {
		int64_t got = source_read(s->source, s->detected + n, DETECT_SIZE - n, error);
		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	s->bytes_in = s->n_detected = n;
	s->kind = compression_detect(s->detected, n);
	return s->kind == CST_PLAIN ? 0 : decompressor_new(s->kind, &s->decompressor, error);
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
	struct unpacker *u = s->unpacker;

	chunk->number = s->parser.entries;
	if (u->plain_digest || u->recorder.writer) {
		chunk_ref(chunk);
		unpack_task_begin(u);
		strand_submit(&u->record_strand, &chunk->record_task);
	}
	namespace_submit(u, chunk);
}

static void parse_chunk(struct stream *s, struct chunk *chunk)
{
	struct unpacker *u = s->unpacker;
	cst_error *error = NULL;

	s->bytes_out += chunk->len;
	s->filling = chunk;
	s->ops.arena = &chunk->arena;
	if (!unpack_failed(u, UINT64_MAX - 1) &&
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

	while (!end && !unpack_failed(s->unpacker, UINT64_MAX - 1)) {
		struct chunk *chunk = chunk_take(s->unpacker);
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
	struct unpacker *u = input->stream->unpacker;

	digester_update(input->stream->input_digest, input->data, input->len);
	atomic_store_explicit(&input->busy, false, memory_order_release);
	unpack_task_end(u);
}

static bool input_is_free(void *arg)
{
	struct input *input = arg;
	return !atomic_load_explicit(&input->busy, memory_order_acquire);
}

static int read_input(struct stream *s, struct input **ret, cst_error **error)
{
	struct input *input = &s->inputs[s->next_input++ % INPUT_COUNT];

	pool_wait(s->unpacker->pool, input_is_free, input);
	if (!input->data) {
		input->data = malloc(INPUT_SIZE);
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
		unpack_task_begin(s->unpacker);
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
			*chunk = chunk_take(s->unpacker);
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
		if (*done || unpack_failed(s->unpacker, UINT64_MAX - 1) ||
		    (!full && used == input->len))
			return 0;
	}
}

static int run_compressed(struct stream *s, cst_error **error)
{
	struct chunk *chunk = NULL;
	bool done = false;
	int r = 0;

	while (r == 0 && !done && !unpack_failed(s->unpacker, UINT64_MAX - 1)) {
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
	struct unpacker *u = s->unpacker;
	cst_error *error = NULL;

	if (unpack_failed(u, UINT64_MAX - 1))
		return;
	struct chunk *chunk = chunk_take(u);
	if (!chunk) {
		error_oom(&error);
		unpack_fail(u, s->parser.entries + 1, error);
		return;
	}
	s->filling = chunk;
	s->ops.arena = &chunk->arena;
	if (unpack_parse_end(&s->parser, &s->ops, &error) < 0)
		parse_failed(s, error);
	submit_chunk(s, chunk);
}

/* ---- set up, wait, clean up ---- */

static bool is_idle(void *arg)
{
	struct stream *s = arg;
	struct unpacker *u = s->unpacker;

	/* A strand is looked at after its last task ended: "running" alone would free it too early.
	 */
	return atomic_load_explicit(&u->running, memory_order_acquire) == 0 &&
	       !u->record_strand.scheduled && !s->input_strand.scheduled;
}

static int stream_init(struct stream *s, struct unpacker *u, const cst_source *source,
                       cst_error **error)
{
	const struct unpack_options *options = u->options;

	s->unpacker = u;
	s->source = source;
	s->ops.take = take_op;
	strand_init(&s->input_strand, u->pool);
	int r = unpack_parser_init(&s->parser, options, error);
	if (r == 0)
		r = detect(s, error);
	bool needs_plain = !options->uncompressed_digest ||
	                   (s->kind == CST_PLAIN && !options->original_digest);
	bool needs_input = s->kind != CST_PLAIN && !options->original_digest;
	if (r == 0 && needs_plain)
		r = digester_new(DIGEST_SHA256, &u->plain_digest, error);
	if (r == 0 && needs_input)
		r = digester_new(DIGEST_SHA256, &s->input_digest, error);
	if (r == 0 && u->track_names)
		r = tarsplit_writer_new(options->tarsplit_fd, &u->recorder.writer, error);
	return r;
}

static void stream_free(struct stream *s)
{
	unpack_parser_free(&s->parser);
	decompressor_free(s->decompressor);
	digester_free(s->input_digest);
	for (size_t i = 0; i < INPUT_COUNT; i++)
		free(s->inputs[i].data);
}

static int unpacker_init(struct unpacker *u, int root_fd, const struct unpack_options *options,
                         struct pool *pool, cst_error **error)
{
	u->root_fd = root_fd;
	u->options = options;
	u->pool = pool;
	u->track_names = options->tarsplit_fd >= 0;
	u->content_size_known = true;
	u->times.spill_fd = -1;
	unpack_share_descriptors(u);
	atomic_init(&u->failed_at, UINT64_MAX);
	pthread_mutex_init(&u->lock, NULL);
	strand_init(&u->record_strand, pool);
	u->namespace_task.run = namespace_run;
	return random_bytes(u->hash_key, sizeof(u->hash_key), error);
}

static void unpacker_free(struct unpacker *u)
{
	for (struct chunk *chunk = u->free_chunks; chunk;) {
		struct chunk *next = chunk->next;
		free(chunk->data);
		free(chunk);
		chunk = next;
	}
	for (size_t i = 0; i < u->n_saved; i++)
		close(u->saved[i].fd);
	directory_cache_clear(u);
	digester_free(u->plain_digest);
	recorder_free(&u->recorder);
	strbuf_free(&u->times.records);
	closep(&u->times.spill_fd);
	sync_list_give_up(u);
	place_end(u);
	hash_set_free(&u->made);
	hash_set_free(&u->own);
	cst_error_free(u->error);
	pthread_mutex_destroy(&u->lock);
}

/* Everything that was started ends here, whatever happened. */
static void drain(struct stream *s)
{
	struct unpacker *u = s->unpacker;

	pool_wait(u->pool, is_idle, s);
	if (u->current) { /* the archive ended inside its body */
		out_file_release(steal_ptr(&u->current));
		pool_wait(u->pool, is_idle, s);
	}
}

static void input_failed(struct stream *s, int r, cst_error *error)
{
	if (r == CST_ECANCELED)
		unpack_fail(s->unpacker, 0, error);
	else
		stream_failed(s,
		              tar_reader_end(s->parser.reader, NULL) == 0 ? UNPACK_INPUT_AT_ENTRY
		                                                          : UNPACK_INPUT_CUT,
		              s->parser.entries + 1, error);
}

static int run_stream(struct stream *s)
{
	cst_error *error = NULL;
	int r = s->decompressor ? run_compressed(s, &error) : run_plain(s, &error);

	if (r < 0)
		input_failed(s, r, error);
	else
		finish_stream(s);
	drain(s);
	return cst_error_code(s->unpacker->error);
}

static int finish_tree(struct unpacker *u, cst_error **error)
{
	if (atomic_load(&u->xattrs_ignored))
		log_warning(
		        "ignored xattrs in archive: underlying filesystem doesn't support them");
	place_end(u);
	int r = u->recorder.writer ? tarsplit_finish(u->recorder.writer, error) : 0;
	if (r == 0)
		r = saved_bodies_rewrite(u, error);
	if (r == 0)
		r = metadata_override_root(u, error);
	if (r == 0)
		r = directory_times_apply(u, error);
	return r < 0 ? r : sync_content(u, error);
}

static void take_digest(char ret[DIGEST_TEXT_MAX], const char *text)
{
	size_t n = MIN(strlen(text), (size_t)DIGEST_TEXT_MAX - 1);

	memcpy(ret, text, n);
	ret[n] = '\0';
}

static int fill_result(struct stream *s, struct unpack_result *ret, cst_error **error)
{
	struct unpacker *u = s->unpacker;
	const struct unpack_options *options = u->options;
	struct unpack_result result = {
	        .compression = s->kind,
	        .compressed_size = (int64_t)s->bytes_in,
	        .diff_size = (int64_t)s->bytes_out,
	        .content_size = u->content_size,
	        .entries = s->parser.entries,
	};
	char plain[DIGEST_TEXT_MAX] = "", input[DIGEST_TEXT_MAX] = "";
	int r = 0;

	if (!u->content_size_known)
		r = usage_tree(u->root_fd, &result.content_size, &(int64_t){0}, error);
	if (r == 0 && u->plain_digest)
		r = digester_finish(u->plain_digest, plain, error);
	if (r == 0 && s->input_digest)
		r = digester_finish(s->input_digest, input, error);
	if (r < 0)
		return r;
	take_digest(result.diff_digest,
	            options->uncompressed_digest ? options->uncompressed_digest : plain);
	take_digest(result.compressed_digest, options->original_digest ? options->original_digest
	                                      : s->kind == CST_PLAIN   ? plain
	                                                               : input);
	result.uids = s->parser.uids;
	result.gids = s->parser.gids;
	s->parser.uids = s->parser.gids = (struct idset){0};
	*ret = result;
	return 0;
}

static int unpack_with_pool(int root_fd, const cst_source *source,
                            const struct unpack_options *options, struct pool *pool,
                            struct unpack_result *ret, cst_error **error)
{
	_cleanup_(unpacker_free) struct unpacker u = UNPACKER_INIT;
	_cleanup_(stream_free) struct stream s = {.fault_at = UINT64_MAX};

	ret->fault = UNPACK_NO_INPUT;
	int r = unpacker_init(&u, root_fd, options, pool, error);
	if (r == 0)
		r = stream_init(&s, &u, source, error);
	if (r < 0)
		return r;
	ret->fault = UNPACK_TARGET;
	if ((r = place_begin(&u, error)) < 0)
		return r;
	if (run_stream(&s) < 0) {
		if (atomic_load(&u.failed_at) == s.fault_at)
			ret->fault = s.fault;
		return error_propagate(error, steal_ptr(&u.error));
	}
	r = finish_tree(&u, error);
	return r < 0 ? r : fill_result(&s, ret, error);
}

int unpack_layer(int root_fd, const cst_source *source, const struct unpack_options *options,
                 struct unpack_result *ret, cst_error **error)
{
	_cleanup_pool_ struct pool *own = NULL;

	if (!options->pool) { /* the same tasks, run while waiting for them */
		int r = pool_new(0, &own, error);
		if (r < 0)
			return r;
	}
	return unpack_with_pool(root_fd, source, options, options->pool ? options->pool : own, ret,
	                        error);
}

void unpack_result_free(struct unpack_result *result)
{
	idset_free(&result->uids);
	idset_free(&result->gids);
}
