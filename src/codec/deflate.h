/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/*
 * Deflate whose output is, byte for byte, that of another program: of klauspost/compress (since its version 1.18.1)
 * at its default level, called by klauspost/pgzip, which is how containers-storage writes a gzip layer.
 *
 * Why that matters: a compressed layer is known by the digest of its bytes. Whoever packs the same layer with the Go tools and with
 * us gets the same blob, so that a registry stores it once, a push finds it there, and a digest that was
 * written down stays true. No format promises this and no library keeps it between its own versions, so nothing but the
 * decisions themselves can be copied (NOTICE has the licence they come under): which places of the text are entered into which table, which reference is taken
 * (deflate_match.c), how lengths of codes are chosen among equally good ones (deflate_huffman.c), and which of several
 * forms a block gets, by estimates in single precision (deflate_block.c). docs/format/archive.md has them as a list.
 *
 * Whoever makes this faster or better must not change one bit of the output; tests/unit/test_deflate.c holds it to
 * digests of what the Go code wrote.
 *
 * A piece, 1 MiB of the stream, depends on nothing but its bytes and the 16 KiB before it, so that pieces can be made side
 * by side (gzip_parallel.h). Inside it, each 65535 bytes are made into one block, or go on with the block before.
 */
#ifndef CST_CODEC_DEFLATE_H
#define CST_CODEC_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFLATE_PIECE_SIZE (1 << 20)
#define DEFLATE_TAIL_SIZE  (16 * 1024)

struct deflater; /* room to work in: nothing is carried over from piece to piece */
struct deflater *deflater_new(void); /* NULL: out of memory */
void deflater_free(struct deflater *deflater); /* NULL allowed */

/* Appends to a buffer that grows; its owner frees `data`. */
struct deflate_output {
	unsigned char *data;
	size_t n, capacity;
};

/* text[tail..tail + n) becomes whole bytes of a deflate stream. The tail of what went before is 0 bytes at the start of the
 * stream, else DEFLATE_TAIL_SIZE; all pieces but the last have DEFLATE_PIECE_SIZE bytes, and the last may have none. False: out of
 * memory. */
bool deflate_piece(struct deflater *deflater, const unsigned char *text, size_t tail, size_t n,
                   bool last, struct deflate_output *output);

#endif
