/* SPDX-License-Identifier: Apache-2.0 */
/* Compresses frames in batches on a pool (frames.h). */
#include "chunked/frames.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/types.h"
#include "codec/zstd_library.h"

#define BATCH_ENOUGH ((size_t)512 << 10) /* plain bytes of a batch, at the end of a frame */
#define FRAME_LONG   ((size_t)4 << 20)   /* a frame of more is compressed as it comes */

/* Frames that one task compresses. */
struct batch {
	struct task task;
	struct frames *frames;
	ZSTD_CCtx *context;
	struct strbuf plain, packed;
	size_t *ends, n_ends, ends_capacity; /* of the frames in `plain`; then in `packed` */
	const char *problem;                 /* static text of libzstd; "": out of memory */
	bool busy, done;                     /* submitted, and packed */
};

struct frames {
	cst_sink sink;
	const struct zstd_library *library;
	struct pool *pool;
	struct batch *batches; /* a ring, written from `oldest` on; `current` is being filled */
	unsigned n_batches, oldest, current;
	bool streaming; /* the current frame is too long: what comes is compressed by its batch's context */
	size_t in_frame; /* plain bytes of the current frame */
	size_t number;   /* of the current frame */
	uint64_t written;
	uint64_t *offsets; /* of the frames that were written, and of what comes next */
	size_t n_offsets, offsets_capacity;
	struct strbuf out; /* of a frame that is compressed as it comes */
};

void frames_free(struct frames *frames)
{
	if (!frames)
		return;
	pool_free(frames->pool); /* tasks that still run use the batches */
	for (unsigned i = 0; frames->batches && i < frames->n_batches; i++) {
		struct batch *batch = &frames->batches[i];
		frames->library->freeCCtx(batch->context);
		strbuf_free(&batch->plain);
		strbuf_free(&batch->packed);
		free(batch->ends);
	}
	free(frames->batches);
	free(frames->offsets);
	strbuf_free(&frames->out);
	free(frames);
}

static int zstd_failed(const char *problem, cst_error **error)
{
	return *problem ? error_set(error, CST_EARCHIVE, "zstd: %s", problem) : error_oom(error);
}

static int add_offset(struct frames *frames, cst_error **error)
{
	uint64_t *grown = grow_array(frames->offsets, &frames->offsets_capacity,
	                             frames->n_offsets + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	frames->offsets = grown;
	frames->offsets[frames->n_offsets++] = frames->written;
	return 0;
}

static int prepare_batch(struct frames *frames, struct batch *batch, int level, cst_error **error)
{
	const struct zstd_library *z = frames->library;
	batch->frames = frames;
	batch->context = z->createCCtx();
	if (!batch->context)
		return error_oom(error);
	z->CCtx_setParameter(batch->context, ZSTD_c_compressionLevel, level);
	z->CCtx_setParameter(batch->context, ZSTD_c_checksumFlag, 1);
	return 0;
}

int frames_new(int level, const cst_sink *sink, struct frames **ret, cst_error **error)
{
	const struct zstd_library *library;
	int r = zstd_load(&library, error);
	if (r < 0)
		return r;
	_cleanup_(frames_freep) struct frames *frames = new0(struct frames, 1);
	if (!frames)
		return error_oom(error);
	frames->sink = *sink;
	frames->library = library;
	unsigned threads = pool_cpu_count();
	frames->n_batches = threads + 2;
	frames->batches = new0(struct batch, frames->n_batches);
	if (!frames->batches)
		return error_oom(error);
	r = pool_new(threads - 1, &frames->pool, error);
	for (unsigned i = 0; r == 0 && i < frames->n_batches; i++)
		r = prepare_batch(frames, &frames->batches[i], level, error);
	if (r == 0)
		r = add_offset(frames, error);
	if (r == 0)
		*ret = steal_ptr(&frames);
	return r;
}

size_t frames_number(const struct frames *frames)
{
	return frames->number;
}

uint64_t frames_offset(const struct frames *frames, size_t number)
{
	return frames->offsets[number];
}

/* ---- a batch ---- */

/* Room behind what the buffer holds. */
static char *make_room(struct strbuf *buffer, size_t n)
{
	char *grown = grow_array(buffer->data, &buffer->capacity, buffer->len + n, 1);
	if (grown)
		buffer->data = grown;
	return grown ? grown + buffer->len : NULL;
}

/* Everything at once, so that the frame says how long it is. */
static const char *pack_frame(struct batch *batch, const char *data, size_t n)
{
	const struct zstd_library *z = batch->frames->library;
	size_t room = z->compressBound(n);
	char *to = make_room(&batch->packed, room);
	if (!to)
		return "";
	ZSTD_inBuffer in = {data, n, 0};
	ZSTD_outBuffer out = {to, room, 0};
	size_t left = z->compressStream2(batch->context, &out, &in, ZSTD_e_end);
	if (z->isError(left))
		return z->getErrorName(left);
	batch->packed.len += out.pos;
	return NULL;
}

static void pack_batch(struct task *task)
{
	struct batch *batch = (struct batch *)((char *)task - offsetof(struct batch, task));
	size_t begin = 0;
	for (size_t i = 0; i < batch->n_ends && !batch->problem; i++) {
		size_t end = batch->ends[i];
		batch->problem = pack_frame(batch, batch->plain.data + begin, end - begin);
		begin = end;
		batch->ends[i] = batch->packed.len;
	}
	__atomic_store_n(&batch->done, true, __ATOMIC_RELEASE);
}

static bool is_done(void *arg)
{
	const struct batch *batch = arg;
	return __atomic_load_n(&batch->done, __ATOMIC_ACQUIRE);
}

static int write_batch(struct frames *frames, struct batch *batch, cst_error **error)
{
	pool_wait(frames->pool, is_done, batch);
	if (batch->problem)
		return zstd_failed(batch->problem, error);
	uint64_t base = frames->written;
	int r = sink_write(&frames->sink, batch->packed.data, batch->packed.len, error);
	for (size_t i = 0; r == 0 && i < batch->n_ends; i++) {
		frames->written = base + batch->ends[i];
		r = add_offset(frames, error);
	}
	batch->plain.len = batch->packed.len = batch->n_ends = 0;
	batch->busy = batch->done = false;
	return r;
}

static int write_oldest(struct frames *frames, cst_error **error)
{
	int r = write_batch(frames, &frames->batches[frames->oldest], error);
	frames->oldest = (frames->oldest + 1) % frames->n_batches;
	return r;
}

/* Hands the current batch to the pool, and makes sure that the next one is free. */
static int submit(struct frames *frames, cst_error **error)
{
	struct batch *batch = &frames->batches[frames->current];
	if (batch->n_ends == 0)
		return 0;
	batch->busy = true;
	batch->task.run = pack_batch;
	pool_submit(frames->pool, &batch->task);
	frames->current = (frames->current + 1) % frames->n_batches;
	return frames->batches[frames->current].busy ? write_oldest(frames, error) : 0;
}

static int write_all(struct frames *frames, cst_error **error)
{
	int r = submit(frames, error);
	while (r == 0 && frames->oldest != frames->current)
		r = write_oldest(frames, error);
	return r;
}

/* ---- a frame that is compressed as it comes ---- */

static int stream(struct frames *frames, const void *data, size_t n, ZSTD_EndDirective directive,
                  cst_error **error)
{
	const struct zstd_library *z = frames->library;
	struct batch *batch = &frames->batches[frames->current];
	ZSTD_inBuffer in = {data, n, 0};
	size_t left;
	do {
		char *to = make_room(&frames->out, z->CStreamOutSize());
		if (!to)
			return error_oom(error);
		ZSTD_outBuffer out = {to, frames->out.capacity, 0};
		left = z->compressStream2(batch->context, &out, &in, directive);
		if (z->isError(left))
			return zstd_failed(z->getErrorName(left), error);
		int r = sink_write(&frames->sink, to, out.pos, error);
		if (r < 0)
			return r;
		frames->written += out.pos;
	} while (directive == ZSTD_e_end ? left > 0 : in.pos < in.size);
	return 0;
}

/* The current frame got too long. What was before it is written first. */
static int begin_stream(struct frames *frames, cst_error **error)
{
	struct batch *batch = &frames->batches[frames->current];
	size_t begin = batch->plain.len - frames->in_frame;
	_cleanup_strbuf_ struct strbuf frame = {0};
	strbuf_add(&frame, batch->plain.data + begin, frames->in_frame);
	if (frame.failed)
		return error_oom(error);
	batch->plain.len = begin;
	int r = write_all(frames, error);
	frames->streaming = true;
	return r == 0 ? stream(frames, frame.data, frame.len, ZSTD_e_continue, error) : r;
}

/* ---- for the caller ---- */

int frames_write(struct frames *frames, const void *data, size_t n, cst_error **error)
{
	frames->in_frame += n;
	if (frames->streaming)
		return stream(frames, data, n, ZSTD_e_continue, error);
	struct batch *batch = &frames->batches[frames->current];
	char *to = make_room(&batch->plain, n);
	if (!to)
		return error_oom(error);
	memcpy(to, data, n);
	batch->plain.len += n;
	return frames->in_frame > FRAME_LONG ? begin_stream(frames, error) : 0;
}

int frames_cut(struct frames *frames, cst_error **error)
{
	struct batch *batch = &frames->batches[frames->current];
	if (frames->in_frame == 0)
		return 0;
	frames->in_frame = 0;
	frames->number++;
	if (frames->streaming) {
		frames->streaming = false;
		int r = stream(frames, NULL, 0, ZSTD_e_end, error);
		return r == 0 ? add_offset(frames, error) : r;
	}
	size_t *grown =
	        grow_array(batch->ends, &batch->ends_capacity, batch->n_ends + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	batch->ends = grown;
	batch->ends[batch->n_ends++] = batch->plain.len;
	return batch->plain.len >= BATCH_ENOUGH ? submit(frames, error) : 0;
}

int frames_finish(struct frames *frames, cst_error **error)
{
	int r = frames_cut(frames, error);
	return r == 0 ? write_all(frames, error) : r;
}
