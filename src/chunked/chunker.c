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

/* Adds bytes to the sum, up to the first with which the chunk ends. Returns how many; *split: it does end. The numbers are kept out
 * of memory, since each byte that goes into the window could change any of them as far as a compiler knows. */
static size_t roll(struct chunker *chunker, const uint8_t *data, size_t n, bool *split)
{
	uint32_t s1 = chunker->s1, s2 = chunker->s2;
	unsigned at = chunker->at;
	size_t i = 0;
	*split = false;
	while (i < n && !*split) {
		uint32_t dropped = chunker->window[at];
		chunker->window[at] = data[i];
		at = (at + 1) % CHUNKER_WINDOW;
		s1 += data[i] - dropped;
		s2 += s1 - CHUNKER_WINDOW * (dropped + CHAR_OFFSET);
		*split = (s2 & SPLIT_BITS) == SPLIT_BITS;
		i++;
	}
	chunker->s1 = s1;
	chunker->s2 = s2;
	chunker->at = at;
	return i;
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
	while (n > 0) {
		bool split;
		size_t rolled = roll(chunker, data, n, &split);
		int r = give(chunker, data, rolled, sink, error);
		if (r == 0 && split)
			r = cut(chunker, false, sink, error);
		if (r < 0)
			return r;
		data += rolled;
		n -= rolled;
	}
	return 0;
}

/* The run of zeros is over. A hole is not cut, however long it is. After as many zeros as the window has, the sum stays what it
 * is. */
static int put_zeros(struct chunker *chunker, const struct chunker_sink *sink, cst_error **error)
{
	uint64_t left = chunker->zeros;
	chunker->zeros = 0;
	if (left < CHUNKER_HOLE)
		return put_data(chunker, some_zeros, (size_t)left, sink, error);
	for (unsigned i = 0; i < CHUNKER_WINDOW; i++) {
		bool split; /* no hole is cut */
		roll(chunker, some_zeros, 1, &split);
	}
	int r = cut(chunker, false, sink, error);
	while (r == 0 && left > 0) {
		size_t n = (size_t)MIN(left, (uint64_t)ZEROS_SIZE);
		r = give(chunker, some_zeros, n, sink, error);
		left -= n;
	}
	return r == 0 ? cut(chunker, true, sink, error) : r;
}

/* The first run of zeros that is long enough for a hole, or that the end cuts off. It has to cover every CHUNKER_HOLE-th byte, so the
 * others need not be looked at. NULL: none. */
static const uint8_t *find_zeros(const uint8_t *data, const uint8_t *end, size_t *len)
{
	const uint8_t *from = data;
	while (end - from >= CHUNKER_HOLE) {
		const uint8_t *probe = from + CHUNKER_HOLE - 1;
		from = probe + 1;
		if (*probe != 0)
			continue;
		while (probe > data && probe[-1] == 0)
			probe--;
		while (from < end && *from == 0)
			from++;
		*len = (size_t)(from - probe);
		if (*len >= CHUNKER_HOLE || from == end)
			return probe;
	}
	const uint8_t *last = end;
	while (last > data && last[-1] == 0)
		last--;
	*len = (size_t)(end - last);
	return *len > 0 ? last : NULL;
}

/* Goes on with the run of zeros that the end of the bytes before cut off. */
static const uint8_t *take_zeros(struct chunker *chunker, const uint8_t *data, const uint8_t *end)
{
	const uint8_t *p = data;
	while (chunker->zeros > 0 && p < end && *p == 0)
		p++;
	chunker->zeros += (uint64_t)(p - data);
	return p;
}

int chunker_feed(struct chunker *chunker, const void *data, size_t n,
                 const struct chunker_sink *sink, cst_error **error)
{
	const uint8_t *end = (const uint8_t *)data + n, *p = take_zeros(chunker, data, end);
	int r = 0;
	while (r == 0 && p < end) {
		size_t len = 0;
		if (chunker->zeros > 0)
			r = put_zeros(chunker, sink, error);
		const uint8_t *zeros = find_zeros(p, end, &len);
		if (r == 0)
			r = put_data(chunker, p, (size_t)((zeros ? zeros : end) - p), sink, error);
		chunker->zeros = len;
		p = (zeros ? zeros : end) + len;
	}
	return r;
}

int chunker_finish(struct chunker *chunker, const struct chunker_sink *sink, cst_error **error)
{
	int r = chunker->zeros > 0 ? put_zeros(chunker, sink, error) : 0;
	return r == 0 ? cut(chunker, false, sink, error) : r;
}
