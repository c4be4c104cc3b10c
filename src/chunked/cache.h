/* SPDX-License-Identifier: Apache-2.0 */
/* The index of a layer's content by digest, that a pull looks into for what it need not fetch: the layer's data item
 * CACHE_KEY (docs/format/chunked.md, "Per-layer big data and the cache file"). It is made of the layer's TOC, and can be made again at
 * any time: what cannot be read, or is of another version, counts for nothing. What it says is a hint. Whoever takes content by it
 * holds that against the digest. */
#ifndef CST_CHUNKED_CACHE_H
#define CST_CHUNKED_CACHE_H

#include "chunked/toc.h"

#define CACHE_KEY      "chunked-manifest-cache"
#define MANIFEST_KEY   "zstd-chunked-manifest" /* the JSON of the TOC */
#define LAYER_DATA_KEY "zstd-chunked-layer-data" /* says how the content lies in the layer */
#define LAYER_DATA_NAMES   "{\"format\":0}" /* the files have their names */
#define LAYER_DATA_OBJECTS "{\"format\":1}" /* they are objects of a composefs image */

/* Appends the cache of a layer, byte for byte as the Go tools make it. `objects`: its files are objects, which are named
 * "ab/cdef..." by their digest; of these the Go tools have the first chunk only. CST_ENOTSUP: it would be larger than they read. */
int cache_make(const struct toc *toc, bool objects, struct strbuf *out, cst_error **error);

struct cache {
	const uint8_t *bloom, *tags, *places, *names;
	size_t bloom_bits, n_tags, places_size, names_size;
	uint32_t hashes;
};
/* Looks into `data`, which must stay as long as the cache is used. False: of another version, or damaged. */
bool cache_open(const void *data, size_t n, struct cache *ret);

/* Where the layer has what is looked for: `size` bytes at `offset` of the file `name`, which no NUL ends. The name is as in the TOC,
 * or that of the object. */
struct cache_place {
	const char *name;
	size_t name_len;
	uint64_t offset, size;
};
/* Of several with one digest the first. False: there is none, or the cache is damaged. */
bool cache_find(const struct cache *cache, const uint8_t digest[TOC_DIGEST_SIZE], struct cache_place *ret);

/* What a file is known by that may be linked instead of copied: content, owner, mode and attributes. */
int cache_fingerprint(const struct toc_entry *entry, uint8_t ret[TOC_DIGEST_SIZE], cst_error **error);

#endif
