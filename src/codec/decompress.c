/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the decoder of a stream by its format. Plain streams are copied. */
#include "codec/decompress.h"
#include "base/mem.h"
#include "codec/compress.h"
#include "codec/decode_ahead.h"
#include "config.h"

struct decompressor {
	const struct decoder *decoder; /* NULL: plain */
	void *state;
	struct decode_ahead *ahead; /* NULL: one thread decodes it */
	bool done;
};

static const struct decoder *decoder_for(enum cst_compression kind)
{
	switch (kind) {
	case CST_GZIP: return &decoder_gzip;
	case CST_ZSTD: return &decoder_zstd;
#if HAVE_LZMA
	case CST_XZ: return &decoder_xz;
#endif
#if HAVE_BZIP2
	case CST_BZIP2: return &decoder_bzip2;
#endif
	default: return NULL;
	}
}

int decompressor_new(enum cst_compression kind, struct decompressor **ret, cst_error **error)
{
	_cleanup_(decompressor_freep) struct decompressor *d = calloc(1, sizeof(*d));

	if (!d)
		return error_oom(error);
	if (kind != CST_PLAIN) {
		d->decoder = decoder_for(kind);
		if (!d->decoder)
			return error_set(error, CST_ENOTSUP,
			                 "compression %d is not supported by this build",
			                 (int)kind);
		int r = d->decoder->create(&d->state, error);
		if (r < 0)
			return r;
	}
	*ret = steal_ptr(&d);
	return 0;
}

int decompressor_use_pool(struct decompressor *d, struct pool *pool, cst_error **error)
{
	if (!d->decoder || d->decoder->magic_len == 0 || pool_threads(pool) == 0)
		return 0;
	return decode_ahead_new(d->decoder, d->state, pool, &d->ahead, error);
}

static int run_plain(struct decode_step *step)
{
	size_t n = MIN((size_t)(step->in_end - step->in), (size_t)(step->out_end - step->out));

	if (n > 0)
		memcpy(step->out, step->in, n);
	step->in += n;
	step->out += n;
	step->done = step->last && step->in == step->in_end;
	return 0;
}

int decompressor_run(struct decompressor *d, const void *in, size_t in_len, size_t *in_used,
                     bool last, void *out, size_t out_size, size_t *out_len, bool *done,
                     cst_error **error)
{
	struct decode_step step = {
	        .in = (const uint8_t *)in + *in_used,
	        .in_end = (const uint8_t *)in + in_len,
	        .out = out,
	        .out_end = (uint8_t *)out + out_size,
	        .last = last,
	        .done = d->done,
	};

	if (!d->done) {
		int r = d->ahead     ? decode_ahead_run(d->ahead, &step, error)
		        : d->decoder ? d->decoder->run(d->state, &step, error)
		                     : run_plain(&step);
		if (r < 0)
			return r;
	}
	d->done = step.done;
	*in_used = (size_t)(step.in - (const uint8_t *)in);
	*out_len = (size_t)(step.out - (uint8_t *)out);
	*done = step.done;
	return 0;
}

void decompressor_free(struct decompressor *d)
{
	if (!d)
		return;
	decode_ahead_free(d->ahead);
	if (d->state)
		d->decoder->destroy(d->state);
	free(d);
}

void decompressor_freep(struct decompressor **d)
{
	decompressor_free(*d);
}
