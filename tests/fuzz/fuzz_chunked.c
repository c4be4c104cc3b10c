/* SPDX-License-Identifier: Apache-2.0 */
/* A whole blob: footer, TOC, chunks, tar-split. */
#include "fuzz.h"

#include "chunked/verify.h"
#include <string.h>

struct bytes {
	const uint8_t *data;
	size_t size;
};

static int read_at(void *userdata, uint64_t offset, void *buffer, size_t n, cst_error **error)
{
	const struct bytes *bytes = userdata;
	MUST(offset <= bytes->size && n <= bytes->size - offset);
	memcpy(buffer, bytes->data + offset, n);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = {data, size};
	const struct chunked_blob blob = {.read_at = read_at, .userdata = &bytes, .size = size};
	struct toc_place place;
	struct chunked_verified verified;
	struct toc *toc = NULL;
	if (place_from_blob(&blob, &place, NULL) < 0 || toc_read(&blob, &place, &toc, NULL) < 0)
		return 0;
	if (chunked_verify(&blob, toc, NULL, &verified, NULL) == 0)
		MUST(verified.blob_size == size && digest_is_sha256(verified.diff_digest));
	toc_free(toc);
	return 0;
}
