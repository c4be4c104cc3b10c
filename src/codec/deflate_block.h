/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/* The second half of deflate: tokens or bytes become a block. A block gets the form that is found
 * to be the shortest: stored, with the fixed code, with a code of its own, or with the code of the
 * block before, which then goes on. What is compared are partly estimates; they decide the bytes
 * (deflate.h). */
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
	unsigned open;   /* bits that the header of the open block took; 0: no block is open */
	bool bytes_only; /* the open block has no codes for references */
};

/* How much one call may write at most, for n bytes: no token costs more than 16 bits for each byte
 * it stands for, and the rest is headers. */
#define BLOCK_ROOM(n) (2 * (n) + 1024)

void block_writer_init(struct block_writer *w);
/* `tokens` of the n bytes at `text`, at most DEFLATE_CHUNK_MAX; at least one is a reference. After
 * the last block none is open. */
void block_tokens(struct block_writer *w, const struct tokens *tokens, const unsigned char *text,
                  unsigned n, bool last);
/* The same bytes without references. */
void block_bytes(struct block_writer *w, const unsigned char *text, unsigned n, bool last);
/* The same bytes, stored. n may be 0: then the output ends on a whole byte, as a reader may need
 * it. */
void block_stored(struct block_writer *w, const unsigned char *text, unsigned n);
/* An empty block that says that it is the last one of the stream, up to a whole byte. */
void block_end_of_stream(struct block_writer *w);

#endif
