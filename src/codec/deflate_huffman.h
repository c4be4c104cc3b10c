/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/*
 * Prefix codes of deflate (RFC 1951, 3.2.2): optimal lengths under a limit, and the codes that follow from them.
 *
 * A word is a code as it is written: its bits, the lowest first, above a low byte that has their number. 0: no code.
 */
#ifndef CST_CODEC_DEFLATE_HUFFMAN_H
#define CST_CODEC_DEFLATE_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

#define DEFLATE_LITERALS     286 /* 256 bytes, the end of a block, 29 length codes */
#define DEFLATE_END          256
#define DEFLATE_DISTANCES    30
#define DEFLATE_CODE_LENGTHS 19
#define DEFLATE_CODE_MAX     15 /* bits */

static inline unsigned word_length(uint32_t word)
{
	return word & 0xff;
}

static inline uint64_t word_bits(uint32_t word)
{
	return word >> 8;
}

/* Sets words[i] for each of the n <= DEFLATE_LITERALS symbols; 0 for a symbol that does not occur.
 * Among codes of the same cost the choice is always the same: of equally frequent symbols the later
 * one gets the shorter code, and a pair of symbols is preferred to a single symbol of the same
 * weight. */
void huffman_build(const uint16_t *counts, size_t n, unsigned max_length, uint32_t *words);

/* The words for given lengths (0: no code). */
void huffman_assign(const uint8_t *lengths, size_t n, uint32_t *words);

/* How many bits the symbols take. */
uint64_t huffman_cost(const uint16_t *counts, size_t n, const uint32_t *words);

#endif
