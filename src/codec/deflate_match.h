/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/*
 * The first half of deflate: a text becomes literals and references to what was there before.
 *
 * The references found are, one for one, those of the level that klauspost/compress calls 5, its default. See
 * deflate.h for why.
 */
#ifndef CST_CODEC_DEFLATE_MATCH_H
#define CST_CODEC_DEFLATE_MATCH_H

#include <stdint.h>

#define DEFLATE_CHUNK_MAX  65535 /* bytes that one call turns into tokens */
#define MATCH_WINDOW       32768
#define MATCH_TABLE_BITS   15
#define MATCH_SHORTEST_RUN 13 /* fewer bytes are not looked at */

/*
 * A token is a byte, or a reference. Its low 9 bits tell what the first word written for it stands for: a byte, or
 * TOKEN_IS_MATCH and the length less 3. The distance less 1 is in bits 16 to 30.
 */
#define TOKEN_SYMBOLS  512
#define TOKEN_IS_MATCH 256
static inline unsigned token_symbol(uint32_t token)
{
	return token % TOKEN_SYMBOLS;
}
static inline unsigned token_distance(uint32_t token)
{
	return token >> 16;
}

struct tokens {
	unsigned n;
	uint16_t literals[256];
	uint16_t lengths[29]; /* how often each length code occurs */
	uint16_t distances[30];
	uint32_t items[DEFLATE_CHUNK_MAX];
};
void tokens_clear(struct tokens *tokens);

/* Where each hash was seen last. A number here is the place from which on that text is too far away
 * to be referred to, so 0 is never near enough. */
struct matcher {
	/* By the next 4 bytes. */
	int32_t shorts[1 << MATCH_TABLE_BITS];
	/* By the next 7 bytes: the last two places, the last one in the low half. */
	uint64_t longs[1 << MATCH_TABLE_BITS];
};
void matcher_clear(struct matcher *matcher);

/* Adds the tokens of text[from..end), at least MATCH_SHORTEST_RUN and at most DEFLATE_CHUNK_MAX
 * bytes, to the empty `tokens`. References go back to text[0] at most. Earlier calls were given
 * what lies before `from`. No token at all: no reference was found. */
void matcher_run(struct matcher *matcher, const unsigned char *text, int32_t from, int32_t end,
                 struct tokens *tokens);

/* Codes of RFC 1951, 3.2.5, counted from 0. */
extern const uint8_t deflate_length_codes[256]; /* by length less 3 */

/* Of a distance less 1: how many extra bits it has, and its code. */
static inline unsigned deflate_distance_extra(unsigned distance)
{
	return 30 - (unsigned)__builtin_clz(distance | 2);
}
static inline unsigned deflate_distance_code(unsigned distance)
{
	unsigned extra = deflate_distance_extra(distance);
	return 2 * extra + (distance >> extra);
}

#endif
