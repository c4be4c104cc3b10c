/* SPDX-License-Identifier: Apache-2.0 */
/* Decompresses as much of a source as is asked for. */
#include "codec/plain_source.h"
#include "base/types.h"
#include "codec/compress.h"

#define INPUT_SIZE ((size_t)64 << 10)

struct plain_source {
	const cst_source *from;
	enum cst_compression kind;
	struct decompressor *decompressor;
	uint8_t *input;
	size_t at, len;
	bool input_end, end;
};

void plain_source_free(struct plain_source *source)
{
	decompressor_free(source->decompressor);
	free(source->input);
	free(source);
}

static int fill(struct plain_source *source, size_t at_least, cst_error **error)
{
	source->at = source->len = 0;
	while (!source->input_end && source->len < at_least) {
		int64_t n = source_read(source->from, source->input + source->len,
		                        INPUT_SIZE - source->len, error);
		if (n < 0)
			return (int)n;
		source->input_end = n == 0;
		source->len += (size_t)n;
	}
	return 0;
}

int plain_source_new(const cst_source *from, struct plain_source **ret, cst_error **error)
{
	_cleanup_(plain_source_freep) struct plain_source *source = new0(struct plain_source, 1);
	if (!source || !(source->input = malloc(INPUT_SIZE)))
		return error_oom(error);
	source->from = from;
	int r = fill(source, COMPRESSION_DETECT_SIZE, error);
	if (r < 0)
		return r;
	source->kind = compression_detect(source->input, source->len);
	r = decompressor_new(source->kind, &source->decompressor, error);
	if (r == 0)
		*ret = steal_ptr(&source);
	return r;
}

bool plain_source_decompresses(const struct plain_source *source)
{
	return source->kind != CST_PLAIN;
}

int64_t plain_source_read(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct plain_source *source = userdata;
	size_t got = 0;
	while (size > 0 && got == 0 && !source->end) {
		int r = source->at == source->len ? fill(source, 1, error) : 0;
		if (r < 0)
			return r;
		r = decompressor_run(source->decompressor, source->input, source->len, &source->at,
		                     source->input_end, buffer, size, &got, &source->end, error);
		if (r < 0)
			return r;
	}
	return (int64_t)got;
}

int plain_source_skip(struct plain_source *source, uint64_t n, cst_error **error)
{
	char buffer[16384];
	while (n > 0) {
		int64_t got =
		        plain_source_read(source, buffer, MIN(n, (uint64_t)sizeof(buffer)), error);
		if (got < 0)
			return (int)got;
		if (got == 0)
			return error_set(error, CST_EARCHIVE, "it ends early");
		n -= (uint64_t)got;
	}
	return 0;
}
