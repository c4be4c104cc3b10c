/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/* One piece of a deflate stream: its bytes go in chunks through the matcher to the blocks. */
#include "codec/deflate.h"
#include "base/mem.h"
#include "codec/deflate_block.h"
#include "codec/deflate_match.h"

#define SMALL_CHUNK 128 /* in less than that, no references are looked for */
#define TINY_CHUNK  32  /* up to this size nothing is tried at all */
#define SLACK       64  /* the two empty blocks at the end, and what the bit writer may overwrite */

struct deflater {
	struct block_writer writer;
	struct matcher matcher;
	struct tokens tokens;
};

struct deflater *deflater_new(void)
{
	struct deflater *deflater = malloc(sizeof(*deflater));

	if (deflater)
		block_writer_init(&deflater->writer);
	return deflater;
}

void deflater_free(struct deflater *deflater)
{
	free(deflater);
}

/* Fills the tables with what the tail holds. The tokens of the tail are thrown away. */
static void start_piece(struct deflater *d, const unsigned char *text, size_t tail)
{
	d->writer.bits = (struct bit_writer){0};
	d->writer.open = 0;
	matcher_clear(&d->matcher);
	tokens_clear(&d->tokens);
	if (tail > 0) {
		matcher_run(&d->matcher, text, 0, (int32_t)tail, &d->tokens);
		tokens_clear(&d->tokens);
	}
}

static void write_chunk(struct deflater *d, const unsigned char *text, size_t at, unsigned n,
                        bool last)
{
	const unsigned char *chunk = text + at;

	if (n <= TINY_CHUNK) {
		block_stored(&d->writer, chunk, n);
		return;
	}
	if (n < SMALL_CHUNK) {
		block_bytes(&d->writer, chunk, n, last);
		return;
	}
	matcher_run(&d->matcher, text, (int32_t)at, (int32_t)(at + n), &d->tokens);
	if (d->tokens.n == 0)
		block_stored(&d->writer, chunk, n);
	else if (d->tokens.n > n - (n >> 4)) /* the references save next to nothing */
		block_bytes(&d->writer, chunk, n, last);
	else
		block_tokens(&d->writer, &d->tokens, chunk, n, last);
	tokens_clear(&d->tokens);
}

static bool make_room(struct deflate_output *output, size_t n)
{
	void *data = grow_array(output->data, &output->capacity, output->n + n, 1);

	if (data)
		output->data = data;
	return data;
}

bool deflate_piece(struct deflater *d, const unsigned char *text, size_t tail, size_t n, bool last,
                   struct deflate_output *output)
{
	size_t at = tail, end = tail + n;
	struct bit_writer *bits = &d->writer.bits;

	start_piece(d, text, tail);
	do {
		unsigned size = (unsigned)MIN(end - at, (size_t)DEFLATE_CHUNK_MAX);
		if (!make_room(output, BLOCK_ROOM(size) + SLACK))
			return false;
		bits->out = output->data + output->n;
		if (size > 0)
			write_chunk(d, text, at, size, at + size == end);
		at += size;
		if (at == end)
			block_stored(&d->writer, NULL, 0);
		if (at == end && last)
			block_end_of_stream(&d->writer);
		output->n = (size_t)(bits->out - output->data);
	} while (at < end);
	return true;
}
