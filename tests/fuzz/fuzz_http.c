/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of an HTTP server: lines of headers up to an empty one, then the body. However it is cut into pieces, the same bytes are content
 * of the same places. */
#include "fuzz.h"

#include <string.h>

#include "base/checksum.h"
#include "chunked/http/answer.h"

/* Returns a sum of what is content and where. *good: nothing was wrong. */
static uint64_t read_body(struct answer *answer, const char *body, size_t size, size_t piece,
                          bool *good)
{
	uint64_t sum = 0;
	*good = answer_begin(answer, size % 2);
	for (size_t done = 0; *good && done < size;) {
		const char *content = NULL;
		size_t n = 0, left = size - done, given = left < piece ? left : piece;
		uint64_t offset = 0;
		int64_t used = answer_body(answer, body + done, given, &content, &n, &offset);
		*good = used >= 0;
		MUST(*good ? used > 0 && (size_t)used <= given : *answer->reason != '\0');
		if (!*good)
			break;
		MUST(n == 0 || (content >= body + done && content + n <= body + done + used));
		for (size_t i = 0; i < n; i++) {
			const uint64_t at = offset + i;
			sum = crc64_iso(sum, &at, sizeof(at));
			sum = crc64_iso(sum, content + i, 1);
		}
		done += (size_t)used;
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = text + size, *newline;
	struct answer answer = {.blob_size = size % 3 ? 0 : 1000};
	bool ends = false;
	while (!ends && (newline = memchr(text, '\n', (size_t)(end - text)))) {
		ends = newline == text || (newline == text + 1 && *text == '\r');
		if (!answer_header(&answer, text, (size_t)(newline + 1 - text)))
			return 0;
		text = newline + 1;
	}
	struct answer again = answer;
	bool whole, pieces;
	uint64_t sum = read_body(&answer, text, (size_t)(end - text), size + 1, &whole);
	uint64_t other = read_body(&again, text, (size_t)(end - text), 1, &pieces);
	MUST(whole == pieces && (!whole || sum == other));
	return 0;
}
