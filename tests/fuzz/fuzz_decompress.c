/* SPDX-License-Identifier: Apache-2.0 */
/* The decompressors: an end in finite time, whatever the input, and the same output for any size of
 * the pieces. */
#include "fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "codec/compress.h"

#define OUTPUT_LIMIT (4 << 20)

struct outcome {
	uint64_t hash, bytes;
	bool good, cut_short;
};

static struct outcome run(const uint8_t *data, size_t size, size_t in_piece, size_t out_piece)
{
	struct outcome outcome = {.hash = 0xcbf29ce484222325};
	_cleanup_(decompressor_freep) struct decompressor *d = NULL;
	uint8_t buffer[4096];
	size_t pos = 0;
	if (decompressor_new(compression_detect(data, size), &d, NULL) < 0)
		return outcome;
	for (unsigned idle = 0; idle < 3;) {
		size_t used = 0, n = 0, give = MIN(in_piece, size - pos);
		bool done = false;
		if (decompressor_run(d, data + pos, give, &used, pos + give == size, buffer,
		                     out_piece, &n, &done, NULL) < 0)
			return outcome;
		MUST(used <= give && n <= out_piece);
		for (size_t i = 0; i < n; i++)
			outcome.hash = (outcome.hash ^ buffer[i]) * 0x100000001b3;
		outcome.bytes += n;
		pos += used;
		if (done) {
			outcome.good = true;
			return outcome;
		}
		outcome.cut_short = outcome.bytes > OUTPUT_LIMIT;
		if (outcome.cut_short)
			return outcome;
		idle = used == 0 && n == 0 ? idle + 1 : 0;
		MUST(idle < 3); /* neither reads nor writes: a caller would wait for ever */
	}
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole = run(data, size, size ? size : 1, 4096);
	struct outcome pieces = run(data, size, size ? data[size / 2] % 97 + 1 : 1, 1021);
	if (whole.cut_short || pieces.cut_short)
		return 0;
	MUST(whole.good == pieces.good);
	if (whole.good)
		MUST(whole.bytes == pieces.bytes && whole.hash == pieces.hash);
	return 0;
}
