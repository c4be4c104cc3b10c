/* SPDX-License-Identifier: Apache-2.0 */
/* Where chunks end: a rolling sum, and runs of zeros (chunker.h). */
#include "chunked/chunker.h"
#include "base/mem.h"

#define CHAR_OFFSET 31     /* added to each byte of the sum */
#define SPLIT_BITS  0xffff /* a chunk ends where these bits of s2 are all set: one place of 65536 */
#define ZEROS_SIZE  4096

static const uint8_t some_zeros[ZEROS_SIZE];

void chunker_init(struct chunker *chunker)
{
	*chunker = (struct chunker){
	        .s1 = CHUNKER_WINDOW * CHAR_OFFSET,
	        .s2 = CHUNKER_WINDOW * (CHUNKER_WINDOW - 1) * CHAR_OFFSET,
	};
}

/* Does the chunk end with this byte? */
static inline bool roll(struct chunker *chunker, uint8_t byte)
{
	uint32_t dropped = chunker->window[chunker->at];
	chunker->window[chunker->at] = byte;
	chunker->at = (chunker->at + 1) % CHUNKER_WINDOW;
	chunker->s1 += byte - dropped;
	chunker->s2 += chunker->s1 - CHUNKER_WINDOW * (dropped + CHAR_OFFSET);
	return (chunker->s2 & SPLIT_BITS) == SPLIT_BITS;
}

static int give(struct chunker *chunker, const void *data, size_t n,
                const struct chunker_sink *sink, cst_error **error)
{
	if (n == 0)
		return 0;
	chunker->open = true;
	return sink->data(sink->userdata, data, n, error);
}

static int cut(struct chunker *chunker, bool zeros, const struct chunker_sink *sink,
               cst_error **error)
{
	if (!chunker->open)
		return 0;
	chunker->open = false;
	return sink->cut(sink->userdata, zeros, error);
}

/* These bytes, cut where the sum says. */
static int put_data(struct chunker *chunker, const uint8_t *data, size_t n,
                    const struct chunker_sink *sink, cst_error **error)
{
	size_t begin = 0;
	for (size_t i = 0; i < n; i++) {
		if (!roll(chunker, data[i]))
			continue;
		int r = give(chunker, data + begin, i + 1 - begin, sink, error);
		if (r == 0)
			r = cut(chunker, false, sink, error);
		if (r < 0)
			return r;
		begin = i + 1;
	}
	return give(chunker, data + begin, n - begin, sink, error);
}

/* The run of zeros is over. A hole is not cut, however long it is. After as many zeros as the window has, the sum stays what it
 * is. */
static int put_zeros(struct chunker *chunker, const struct chunker_sink *sink, cst_error **error)
{
	uint64_t left = chunker->zeros;
	chunker->zeros = 0;
	if (left < CHUNKER_HOLE)
		return put_data(chunker, some_zeros, (size_t)left, sink, error);
	for (unsigned i = 0; i < CHUNKER_WINDOW; i++)
		roll(chunker, 0);
	int r = cut(chunker, false, sink, error);
	while (r == 0 && left > 0) {
		size_t n = (size_t)MIN(left, (uint64_t)ZEROS_SIZE);
		r = give(chunker, some_zeros, n, sink, error);
		left -= n;
	}
	return r == 0 ? cut(chunker, true, sink, error) : r;
}

int chunker_feed(struct chunker *chunker, const void *data, size_t n,
                 const struct chunker_sink *sink, cst_error **error)
{
	const uint8_t *p = data, *end = p + n;
	while (p < end) {
		const uint8_t *begin = p;
		while (p < end && *p == 0)
			p++;
		chunker->zeros += (uint64_t)(p - begin);
		if (p == end)
			return 0;
		int r = chunker->zeros > 0 ? put_zeros(chunker, sink, error) : 0;
		const uint8_t *zero = memchr(p, 0, (size_t)(end - p));
		size_t run = (size_t)((zero ? zero : end) - p);
		if (r == 0)
			r = put_data(chunker, p, run, sink, error);
		if (r < 0)
			return r;
		p += run;
	}
	return 0;
}

int chunker_finish(struct chunker *chunker, const struct chunker_sink *sink, cst_error **error)
{
	int r = chunker->zeros > 0 ? put_zeros(chunker, sink, error) : 0;
	return r == 0 ? cut(chunker, false, sink, error) : r;
}
