/* SPDX-License-Identifier: Apache-2.0 */
/* The deflate writer: what zlib makes of its output is what went in, whatever that was, with and
 * without a tail before it. */
#include "fuzz.h"

#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "codec/deflate.h"

#define TEXT_MAX (300 * 1000)

/* The input is a program that makes a longer text: noise, runs, repetitions, and itself. */
static size_t make_text(const uint8_t *data, size_t size, unsigned char *text)
{
	uint32_t noise = 1;
	size_t n = 0;

	for (size_t at = 0; at + 5 <= size && n < TEXT_MAX; at += 5) {
		size_t part = data[at + 1] | (size_t)data[at + 2] << 8;
		size_t distance = (data[at + 3] | (size_t)data[at + 4] << 8) + 1;
		part = MIN(part, TEXT_MAX - n);
		if (data[at] % 4 == 3)
			part = MIN(part, size);
		for (size_t i = 0; i < part; i++, n++)
			switch (data[at] % 4) {
			case 0:
				noise = noise * 1664525 + 1013904223;
				text[n] = (unsigned char)((noise >> 24) % (data[at + 3] + 1u));
				break;
			case 1: text[n] = data[at + 3]; break;
			case 2: text[n] = n >= distance ? text[n - distance] : 0; break;
			default: text[n] = data[i];
			}
	}
	return n;
}

static void check(const struct deflate_output *output, const unsigned char *text, size_t tail,
                  size_t n)
{
	z_stream z = {.next_in = output->data, .avail_in = (uInt)output->n};
	unsigned char *got = malloc(n + 1);

	MUST(got && inflateInit2(&z, -15) == Z_OK);
	if (tail > 0)
		MUST(inflateSetDictionary(&z, text, (uInt)tail) == Z_OK);
	z.next_out = got;
	z.avail_out = (uInt)n + 1;
	MUST(inflate(&z, Z_FINISH) == Z_STREAM_END);
	MUST(z.avail_in == 0 && z.total_out == n && memcmp(got, text + tail, n) == 0);
	inflateEnd(&z);
	free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char whole[TEXT_MAX];
	size_t n = make_text(data, size, whole);
	size_t tail = size % 2 && n > DEFLATE_TAIL_SIZE ? DEFLATE_TAIL_SIZE : 0;
	struct deflate_output output = {0};
	struct deflater *deflater = deflater_new();
	unsigned char *text = malloc(n ? n : 1); /* no byte more than there are */

	MUST(deflater && text);
	memcpy(text, whole, n);
	MUST(deflate_piece(deflater, text, tail, n - tail, true, &output));
	check(&output, text, tail, n - tail);
	free(text);
	free(output.data);
	deflater_free(deflater);
	return 0;
}
