/* SPDX-License-Identifier: Apache-2.0 */
/* zstd by libzstd. Frames one after the other are one stream; the window of each is bounded. */
#include "base/mem.h"
#include "codec/decompress.h"
#include "codec/zstd_library.h"

struct zstd_state {
	const struct zstd_library *library;
	ZSTD_DCtx *context;
	bool inside; /* a frame has begun and is not complete */
};

static void zstd_destroy(void *state)
{
	struct zstd_state *z = state;

	z->library->freeDCtx(z->context);
	free(z);
}

static int zstd_create(void **ret, cst_error **error)
{
	const struct zstd_library *library;
	int r = zstd_load(&library, error);
	if (r < 0)
		return r;
	struct zstd_state *z = calloc(1, sizeof(*z));
	if (z)
		z->context = library->createDCtx();
	if (!z || !z->context) {
		free(z);
		return error_oom(error);
	}
	z->library = library;
	/* The library reserves the window that a frame asks for, but touches it only as data
	 * arrives. */
	library->DCtx_setParameter(z->context, ZSTD_d_windowLogMax, DECODE_WINDOW_LOG_MAX);
	*ret = z;
	return 0;
}

/* Go's words, for those errors that Go's decoder words itself. */
static int zstd_error(const struct zstd_library *library, size_t result, cst_error **error)
{
	switch (library->getErrorCode(result)) {
	case ZSTD_error_memory_allocation: return error_oom(error);
	case ZSTD_error_frameParameter_windowTooLarge:
		error_set(error, CST_EARCHIVE,
		          "zstd: its window is larger than %u MiB, the most it gets",
		          1U << (DECODE_WINDOW_LOG_MAX - 20));
		return error_go_words(error, CST_EARCHIVE, NULL, "window size exceeded");
	case ZSTD_error_dictionary_wrong:
		return error_set(error, CST_EARCHIVE, "unknown dictionary");
	case ZSTD_error_checksum_wrong: return error_set(error, CST_EARCHIVE, "CRC check failed");
	case ZSTD_error_prefix_unknown:
		return error_set(error, CST_EARCHIVE, "invalid input: magic number mismatch");
	default:
		return error_set(error, CST_EARCHIVE, "invalid input: %s",
		                 library->getErrorName(result));
	}
}

static int run_frames(struct zstd_state *z, struct decode_step *step, cst_error **error)
{
	for (;;) {
		ZSTD_inBuffer in = {step->in, (size_t)(step->in_end - step->in), 0};
		ZSTD_outBuffer out = {step->out, (size_t)(step->out_end - step->out), 0};

		if (in.size == 0 && !z->inside) {
			step->done = step->last;
			return 0;
		}
		size_t left = z->library->decompressStream(z->context, &out, &in);
		if (z->library->isError(left))
			return zstd_error(z->library, left, error);
		step->in += in.pos;
		step->out += out.pos;
		z->inside = left != 0;
		if (step->stop && !z->inside)
			return 0;
		if (step->out == step->out_end)
			return 0; /* the next call gives out what the decoder still holds */
		if (step->in == step->in_end && z->inside) {
			if (!step->last)
				return 0;
			if (out.pos == 0)
				return decode_error_eof(error);
		}
	}
}

static int zstd_run(void *state, struct decode_step *step, cst_error **error)
{
	struct zstd_state *z = state;
	int r = run_frames(z, step, error);

	step->between = !z->inside;
	return r;
}

const struct decoder decoder_zstd = {
        zstd_create, zstd_run, zstd_destroy, {0x28, 0xb5, 0x2f, 0xfd}, 4,
};
