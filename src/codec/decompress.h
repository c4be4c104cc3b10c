/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder of one format must provide for decompress.c. */
#ifndef CST_CODEC_DECOMPRESS_H
#define CST_CODEC_DECOMPRESS_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A window of input and one of output. A decoder moves `in` and `out` forward. */
struct decode_step {
	const uint8_t *in, *in_end;
	uint8_t *out, *out_end;
	bool last;    /* no input after in_end */
	bool stop;    /* return at the end of each member too */
	bool done;    /* set by the decoder: the stream is complete and everything was given out */
	bool between; /* the same: of what was used everything was given out, and the next byte begins a member */
};

/* `run` goes on until the output is full, the input is used up, or the stream has ended. It fails
 * with CST_EARCHIVE if `last` is set and it needs more input. */
struct decoder {
	int (*create)(void **ret, cst_error **error);
	int (*run)(void *state, struct decode_step *step, cst_error **error);
	void (*destroy)(void *state);
	/* What members begin with; 0 bytes: `stop` and `between` are not supported. */
	uint8_t magic[4];
	size_t magic_len;
};
extern const struct decoder decoder_gzip, decoder_zstd, decoder_xz, decoder_bzip2;

/* The largest window that is accepted, whatever the header asks for: it bounds the memory
 * (docs/format/archive.md, "Damaged and unusual streams"). */
#define DECODE_WINDOW_LOG_MAX 29

static inline int decode_error_eof(cst_error **error)
{
	error_set(error, CST_EARCHIVE, "the compressed data ends early");
	return error_go_words(error, CST_EARCHIVE, NULL, "unexpected EOF");
}

#endif
