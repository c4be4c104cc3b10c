/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an eStargz blob. The input is the tar that should have the TOC; it is compressed here, so that changes get past the
 * checksum. */
#include "fuzz.h"

#include "chunked/place.h"
#include "codec/compress.h"
#include <string.h>

static int read_at(void *userdata, uint64_t offset, void *buffer, size_t n, cst_error **error)
{
	const cst_memory *memory = userdata;
	MUST(offset <= memory->size && n <= memory->size - offset);
	memcpy(buffer, memory->data + offset, n);
	return 0;
}

/* A byte of content, the TOC at byte 1, the footer. */
static void make_blob(const uint8_t *data, size_t size, cst_memory *ret)
{
	const cst_sink sink = cst_sink_memory(ret);
	struct compressor *gzip = NULL;
	MUST(sink.write(sink.userdata, "x", 1, NULL) == 0);
	MUST(compressor_new(CST_GZIP, &sink, &gzip, NULL) == 0);
	MUST(size == 0 || compressor_write(gzip, data, size, NULL) == 0);
	MUST(compressor_finish(gzip, NULL) == 0);
	compressor_free(gzip);
	static const char footer[ESTARGZ_FOOTER_SIZE + 1] =
	        "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0"
	        "0000000000000001STARGZ\1\0\0\xff\xff\0\0\0\0\0\0\0\0";
	MUST(sink.write(sink.userdata, footer, ESTARGZ_FOOTER_SIZE, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cst_memory memory = {0};
	struct toc_place place;
	struct toc *toc = NULL;
	make_blob(data, size, &memory);
	const struct chunked_blob blob = {
	        .read_at = read_at, .userdata = &memory, .size = memory.size};
	MUST(place_from_blob(&blob, &place, NULL) == 0 && place.format == CST_TOC_ESTARGZ);
	if (toc_read(&blob, &place, &toc, NULL) == 0)
		MUST(toc->json_size <= size && toc->format == CST_TOC_ESTARGZ);
	toc_free(toc);
	free(memory.data);
	return 0;
}
