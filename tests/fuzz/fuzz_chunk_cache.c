/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's cache of digests: whatever it says, a place that it gives is inside of it. */
#include "fuzz.h"

#include "chunked/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cache cache;
	struct cache_place place;
	uint8_t digest[TOC_DIGEST_SIZE] = {0};
	if (!cache_open(data, size, &cache))
		return 0;
	for (size_t i = 0; i <= cache.n_tags && i < 64; i++) {
		if (i > 0) /* what it has, and first something that it may not have */
			memcpy(digest, cache.tags + (i - 1) * 55 + 7, sizeof(digest));
		if (cache_find(&cache, digest, &place))
			MUST((const uint8_t *)place.name >= data &&
			     place.name_len <= size - (size_t)((const uint8_t *)place.name - data));
	}
	return 0;
}
