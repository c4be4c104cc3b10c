/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/* Writes bits into memory, the lowest first (RFC 1951, 3.1.1). The caller makes sure that there is
 * room, and eight bytes more. */
#ifndef CST_CODEC_DEFLATE_BITS_H
#define CST_CODEC_DEFLATE_BITS_H

#include <stdint.h>
#include <string.h>

struct bit_writer {
	unsigned char *out;
	uint64_t bits; /* not yet written: the low n */
	unsigned n;    /* below 8 between calls */
};

/* Writes whole bytes; at most 7 bits stay. */
static inline void bits_flush(struct bit_writer *w)
{
	memcpy(w->out, &w->bits, sizeof(w->bits)); /* little-endian machines only, as all of this */
	w->out += w->n >> 3;
	w->bits >>= w->n & 56;
	w->n &= 7;
}

/* Adds bits. Call bits_flush() before there are more than 56. */
static inline void bits_add(struct bit_writer *w, uint64_t bits, unsigned n)
{
	w->bits |= bits << w->n;
	w->n += n;
}

static inline void bits_put(struct bit_writer *w, uint64_t bits, unsigned n)
{
	bits_add(w, bits, n);
	bits_flush(w);
}

static inline void bits_align(struct bit_writer *w)
{
	w->n = (w->n + 7) & ~7u;
	bits_flush(w);
}

#endif
