/* SPDX-License-Identifier: Apache-2.0 */
/* A pull in parts: the tar that comes of a TOC, a tar-split and a blob, whatever they say. Another layer is thought to have some of
 * the content, and has not. The input is the lengths of TOC and tar-split (4 bytes each, little-endian), their texts, and the blob. */
#include "fuzz.h"

#include "archive/tarsplit/recipe.h"
#include "base/error.h"
#include "chunked/match.h"
#include "chunked/toc_stream.h"
#include <cstorage/pull.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUTPUT_LIMIT (16 << 20)
#define BLOCK        ((uint32_t)128 << 10)

struct bytes {
	const uint8_t *data;
	size_t size;
	const cst_range *ranges;
	size_t n;
	uint64_t done;
};

static int request(void *userdata, const cst_range *ranges, size_t n, cst_error **error)
{
	struct bytes *bytes = userdata;
	uint64_t end = 0;
	for (size_t i = 0; i < n; i++) {
		MUST(ranges[i].length > 0 && ranges[i].offset >= end);
		end = ranges[i].offset + ranges[i].length;
		MUST(end <= bytes->size);
	}
	bytes->ranges = ranges;
	bytes->n = n;
	bytes->done = 0;
	return 0;
}

static int64_t read_ranges(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct bytes *bytes = userdata;
	if (bytes->n > 0 && bytes->done == bytes->ranges->length) {
		bytes->ranges++;
		bytes->n--;
		bytes->done = 0;
	}
	if (bytes->n == 0)
		return 0;
	uint64_t left = bytes->ranges->length - bytes->done;
	size_t n = size < left ? size : (size_t)left;
	memcpy(buffer, bytes->data + bytes->ranges->offset + bytes->done, n);
	bytes->done += n;
	return (int64_t)n;
}

/* Of every other content another layer is thought to have it, and has something else. */
static bool donor_has(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size)
{
	return digest[0] & 1;
}

static int donor_open(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size,
                      uint64_t *offset)
{
	*offset = 0;
	return digest[0] & 2 ? memfd_create("donor", MFD_CLOEXEC) : -1;
}

/* One zstd frame of blocks that are not compressed. */
static cst_memory zstd_frame(const uint8_t *text, uint32_t size)
{
	static const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0};
	cst_memory frame = {.data = malloc(size + size / BLOCK * 3 + 16)};
	char *at = frame.data;
	MUST(at);
	at = mempcpy(at, head, sizeof(head));
	at = mempcpy(at, &size, sizeof(size));
	for (uint32_t left = size;;) {
		uint32_t n = left < BLOCK ? left : BLOCK, header = (left == n) | n << 3;
		at = mempcpy(at, &header, 3);
		at = mempcpy(at, text + size - left, n);
		left -= n;
		if (left == 0)
			break;
	}
	frame.size = (size_t)(at - (char *)frame.data);
	return frame;
}

static bool matches(const struct toc *toc, const cst_memory *tarsplit)
{
	cst_memory packed = *tarsplit;
	const cst_source source = cst_source_memory(&packed);
	struct recipe *recipe = NULL;
	bool ok = recipe_open_source(&source, CST_ZSTD, &recipe, NULL) == 0 &&
	          toc_match_recipe(toc, recipe, NULL) == 0;
	if (recipe)
		recipe_free(recipe);
	return ok;
}

static void stream(const struct toc *toc, const cst_memory *tarsplit, struct fetch *fetch)
{
	const struct stream_donors donors = {.has = donor_has, .open = donor_open};
	struct toc_stream *stream = NULL;
	static char buffer[65536];
	size_t total = 0;
	int64_t n = 1;
	if (toc_stream_new(toc, tarsplit, CST_ZSTD, fetch, &donors, STREAM_SURE, &stream, NULL) < 0)
		return;
	while (n > 0 && total < OUTPUT_LIMIT) {
		n = toc_stream_read(stream, buffer, sizeof(buffer), NULL);
		MUST(n <= (int64_t)sizeof(buffer));
		total += n > 0 ? (size_t)n : 0;
	}
	toc_stream_free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t lengths[2];
	struct toc *toc = NULL;
	struct fetch fetch;
	if (size < sizeof(lengths))
		return 0;
	memcpy(lengths, data, sizeof(lengths));
	data += sizeof(lengths);
	size -= sizeof(lengths);
	if (lengths[0] > size || lengths[1] > size - lengths[0])
		return 0;
	struct bytes bytes = {.data = data + lengths[0] + lengths[1],
	                      .size = size - lengths[0] - lengths[1]};
	const cst_range_source source = {.blob_size = bytes.size,
	                                 .request = request,
	                                 .read = read_ranges,
	                                 .userdata = &bytes};
	char *json = malloc(lengths[0] + 1);
	MUST(json);
	memcpy(json, data, lengths[0]);
	cst_memory tarsplit = zstd_frame(data + lengths[0], lengths[1]);
	fetch_init(&fetch, &source);
	if (toc_parse(json, lengths[0], CST_TOC_ZSTD_CHUNKED, bytes.size, &toc, NULL) == 0 &&
	    matches(toc, &tarsplit))
		stream(toc, &tarsplit, &fetch);
	fetch_done(&fetch);
	toc_free(toc);
	free(tarsplit.data);
	return 0;
}
