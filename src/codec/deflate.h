/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/*
 * Deflate whose output is, byte for byte, that of another program: of klauspost/compress (since its version 1.18.1) at
 * its default level, called by klauspost/pgzip, which is how containers-storage writes a gzip layer.
 *
 * Why: a compressed layer is known by the digest of its bytes. If the Go tools and we pack the same layer, the blob is
 * the same; a registry stores it once, a push finds it there, and a digest that was written down stays true. No format
 * promises this, and no library keeps it between its own versions. So this code copies the decisions themselves (NOTICE
 * has the licence they come under): which places of the text go into which table, which reference is taken
 * (deflate_match.c), how the lengths of codes are chosen among equally good ones (deflate_huffman.c), and which of
 * several forms a block gets, by estimates in single precision (deflate_block.c). docs/format/archive.md lists them.
 *
 * A change that makes this faster must not change one bit of the output. tests/unit/test_deflate.c compares it with
 * digests of what the Go code wrote.
 *
 * A piece is 1 MiB of the stream. It depends only on its bytes and the 16 KiB before it, so that several can be made at
 * the same time (gzip_parallel.h). Inside a piece, each 65535 bytes become one block, or go on with the block before.
 */
#ifndef CST_CODEC_DEFLATE_H
#define CST_CODEC_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFLATE_PIECE_SIZE (1 << 20)
#define DEFLATE_TAIL_SIZE  (16 * 1024)

struct deflater; /* working memory: nothing is kept from piece to piece */
struct deflater *deflater_new(void); /* NULL: out of memory */
void deflater_free(struct deflater *deflater); /* NULL allowed */

/* A buffer that grows as bytes are appended. The caller frees `data`. */
struct deflate_output {
	unsigned char *data;
	size_t n, capacity;
};

/* Turns text[tail..tail + n) into whole bytes of a deflate stream. The tail, which is what went
 * before, has 0 bytes at the start of the stream, else DEFLATE_TAIL_SIZE. All pieces but the last
 * have DEFLATE_PIECE_SIZE bytes; the last may have none. False: out of memory. */
bool deflate_piece(struct deflater *deflater, const unsigned char *text, size_t tail, size_t n,
                   bool last, struct deflate_output *output);

#endif
