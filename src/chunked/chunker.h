/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the content of a file into chunks (docs/format/chunked.md, "Chunking"). Where it is cut depends on the content around that
 * place only, so that files with equal parts have equal chunks; and it is cut where the Go tools cut, so that layers of ours and
 * of theirs have chunks in common. */
#ifndef CST_CHUNKED_CHUNKER_H
#define CST_CHUNKED_CHUNKER_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

#define CHUNKER_WINDOW 64   /* a power of two */
#define CHUNKER_HOLE   1024 /* from so many zeros on they are a chunk of their own, which is a hole */

/* What becomes of the content. */
struct chunker_sink {
	int (*data)(void *userdata, const void *data, size_t n, cst_error **error);
	/* The chunk ends; it has at least one byte. */
	int (*cut)(void *userdata, bool zeros, cst_error **error);
	void *userdata;
};

struct chunker {
	uint32_t s1, s2; /* the rolling sum of the last CHUNKER_WINDOW bytes */
	uint8_t window[CHUNKER_WINDOW];
	unsigned at;
	uint64_t zeros; /* seen, and not given out yet */
	bool open;      /* the chunk has bytes */
};
void chunker_init(struct chunker *chunker); /* for each file */
int chunker_feed(struct chunker *chunker, const void *data, size_t n, const struct chunker_sink *sink, cst_error **error);
int chunker_finish(struct chunker *chunker, const struct chunker_sink *sink, cst_error **error);

#endif
