/* SPDX-License-Identifier: Apache-2.0 */
/* Any tar: if a blob is made of it, then one whose every digest is right, and which is that tar. */
#include "fuzz.h"

#include "chunked/verify.h"
#include "chunked/writer.h"
#include <string.h>

static int read_at(void *userdata, uint64_t offset, void *buffer, size_t n, cst_error **error)
{
	const cst_memory *memory = userdata;
	MUST(offset <= memory->size && n <= memory->size - offset);
	memcpy(buffer, memory->data + offset, n);
	return 0;
}

static void verify(cst_memory *memory, const struct chunked_written *written)
{
	const struct chunked_blob blob = {
	        .read_at = read_at, .userdata = memory, .size = memory->size};
	struct toc_place place;
	struct toc *toc = NULL;
	struct chunked_verified verified;
	MUST(place_from_blob(&blob, &place, NULL) == 0);
	MUST(toc_read(&blob, &place, &toc, NULL) == 0);
	MUST(chunked_verify(&blob, toc, NULL, &verified, NULL) == 0);
	MUST(strcmp(verified.diff_digest, written->diff_digest) == 0);
	MUST(strcmp(verified.blob_digest, written->blob_digest) == 0);
	toc_free(toc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cst_memory memory = {0};
	const cst_sink sink = cst_sink_memory(&memory);
	struct chunked_writer *writer = NULL;
	struct chunked_written written;
	MUST(chunked_writer_new(1, &sink, &writer, NULL) == 0);
	size_t half = size / 2;
	if (chunked_writer_write(writer, data, half, NULL) == 0 &&
	    chunked_writer_write(writer, data + half, size - half, NULL) == 0 &&
	    chunked_writer_finish(writer, &written, NULL) == 0)
		verify(&memory, &written);
	chunked_writer_free(writer);
	free(memory.data);
	return 0;
}
