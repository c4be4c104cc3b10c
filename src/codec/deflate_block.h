/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/*
 * The second half of deflate: tokens or bytes become a block. A block is written in whichever form is found to be the shortest:
 * stored, with the fixed code, with a code of its own, or with that of the block before, which then simply goes on. What is
 * compared are in part estimates, and they decide the bytes: deflate.h.
 */
#ifndef CST_CODEC_DEFLATE_BLOCK_H
#define CST_CODEC_DEFLATE_BLOCK_H

#include "codec/deflate_bits.h"
#include "codec/deflate_huffman.h"
#include "codec/deflate_match.h"
#include <stdbool.h>

struct block_code {
	uint32_t literals[DEFLATE_LITERALS];
	uint32_t distances[DEFLATE_DISTANCES];
};

struct block_writer {
	struct bit_writer bits;
	struct block_code fixed;
	struct block_code code; /* of the open block */
	unsigned open;          /* a block is open, whose header took so many bits; 0: none */
	bool bytes_only;        /* it has no codes for references */
};

/* What one call may write at most, for n bytes: no token costs more than 16 bits for each byte it stands for; the
 * rest is headers. */
#define BLOCK_ROOM(n) (2 * (n) + 1024)

void block_writer_init(struct block_writer *w);
/* `tokens` of the n bytes at `text`, at most DEFLATE_CHUNK_MAX, a reference among them. After the last block none is open. */
void block_tokens(struct block_writer *w, const struct tokens *tokens, const unsigned char *text,
                  unsigned n, bool last);
/* The same bytes without references. */
void block_bytes(struct block_writer *w, const unsigned char *text, unsigned n, bool last);
/* The same, as they are. n may be 0: then the output ends on a byte, as a reader may need it. */
void block_stored(struct block_writer *w, const unsigned char *text, unsigned n);
/* An empty block that says that it is the last one of the stream, up to a byte. */
void block_end_of_stream(struct block_writer *w);

#endif
