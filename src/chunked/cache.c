/* SPDX-License-Identifier: Apache-2.0 */
/* Makes caches and looks into them (cache.h). */
#include "chunked/cache.h"
#include "base/base64.h"
#include "base/checksum.h"
#include <endian.h>
#include <stdio.h>

#define VERSION     3
#define ALGORITHM   "sha256:"
#define DIGEST_SIZE (sizeof(ALGORITHM) - 1 + TOC_DIGEST_SIZE)
#define TAG_SIZE    (DIGEST_SIZE + 16) /* digest, place and length of what it stands for */
#define BLOOM_SCALE 10                 /* bits for each tag */
#define HASHES      3
#define PART_MAX    ((uint64_t)100 * 1000 * 1000) /* the Go tools read no more */

/* ---- what a digest is looked up by ---- */

int cache_fingerprint(const struct toc_entry *entry, uint8_t ret[TOC_DIGEST_SIZE],
                      cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	char digest[TOC_DIGEST_TEXT], sum[DIGEST_TEXT_MAX];
	toc_digest_format(entry->digest, digest);
	strbuf_addf(&text, "%s%u:%u:%llo", digest, entry->uid, entry->gid,
	            (unsigned long long)entry->mode);
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		strbuf_adds(&text, entry->xattrs[i].name);
		base64_encode(&text, entry->xattrs[i].value, entry->xattrs[i].len);
	}
	int r = text.failed ? error_oom(error)
	                    : digest_buffer(DIGEST_SHA256, text.data, text.len, sum, error);
	if (r == 0)
		toc_digest_parse(sum, ret);
	return r;
}

/* The bits of a digest in the bloom filter: a CRC of its two parts, cut at each place. */
static size_t bloom_bit(const uint8_t *item, size_t cut, size_t bits)
{
	uint32_t sum = crc32_gzip(0, item, cut) ^ crc32_gzip(0, item + cut, DIGEST_SIZE - cut);
	return sum % bits;
}

/* ---- making ---- */

struct tag {
	uint8_t bytes[TAG_SIZE];
};

struct maker {
	struct tag *tags;
	size_t n_tags, capacity;
	struct strbuf places, names;
	struct hashmap positions;   /* of a name in `names`, plus one */
	struct hashmap chunks_seen; /* digests of all chunks but the first of their files */
	struct arena arena;
};

static void maker_free(struct maker *m)
{
	free(m->tags);
	strbuf_free(&m->places);
	strbuf_free(&m->names);
	hashmap_free(&m->positions);
	hashmap_free(&m->chunks_seen);
	arena_clear(&m->arena);
}

static void put_u64(struct strbuf *out, uint64_t n)
{
	n = htole64(n);
	strbuf_add(out, &n, sizeof(n));
}

static void put_u32(struct strbuf *out, uint32_t n)
{
	n = htole32(n);
	strbuf_add(out, &n, sizeof(n));
}

static void put_varint(struct strbuf *out, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		strbuf_addc(out, (char)(n | 0x80));
	strbuf_addc(out, (char)n);
}

static bool add_tag(struct maker *m, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t place,
                    uint64_t length)
{
	struct tag *grown = grow_array(m->tags, &m->capacity, m->n_tags + 1, sizeof(*grown));
	if (!grown)
		return false;
	m->tags = grown;
	uint8_t *to = grown[m->n_tags++].bytes;
	place = htole64(place);
	length = htole64(length);
	memcpy(to, ALGORITHM, strlen(ALGORITHM));
	memcpy(to + strlen(ALGORITHM), digest, TOC_DIGEST_SIZE);
	memcpy(to + DIGEST_SIZE, &place, sizeof(place));
	memcpy(to + DIGEST_SIZE + sizeof(place), &length, sizeof(length));
	return true;
}

/* Each name is there once, with its length in front. */
static bool name_position(struct maker *m, const char *name, size_t *ret)
{
	uintptr_t known = (uintptr_t)hashmap_get(&m->positions, name);
	*ret = known ? known - 1 : m->names.len;
	if (known)
		return true;
	put_u32(&m->names, (uint32_t)strlen(name));
	strbuf_adds(&m->names, name);
	return !m->names.failed && hashmap_put(&m->positions, name, (void *)(*ret + 1));
}

static bool add_place(struct maker *m, const char *name, uint64_t offset, uint64_t size, size_t *at,
                      size_t *length)
{
	size_t position;
	if (!name_position(m, name, &position))
		return false;
	*at = m->places.len;
	put_varint(&m->places, position);
	put_varint(&m->places, offset);
	put_varint(&m->places, size);
	*length = m->places.len - *at;
	return !m->places.failed;
}

static int add_file(struct maker *m, const struct toc_entry *entry, cst_error **error)
{
	uint8_t fingerprint[TOC_DIGEST_SIZE];
	size_t at, length;
	int r = cache_fingerprint(entry, fingerprint, error);
	if (r < 0)
		return r;
	return add_place(m, entry->name, 0, entry->size, &at, &length) &&
	                       add_tag(m, entry->digest, at, length) &&
	                       add_tag(m, fingerprint, at, length)
	               ? 0
	               : error_oom(error);
}

static bool add_chunk(struct maker *m, const struct toc_entry *entry, const struct toc_chunk *chunk)
{
	size_t at, length;
	return add_place(m, entry->name, chunk->file_offset, chunk->size, &at, &length) &&
	       add_tag(m, chunk->digest, at, length);
}

/* Of chunks that are equal, the first is enough; but those with which files begin are all there. */
static bool add_later_chunk(struct maker *m, const struct toc_entry *entry,
                            const struct toc_chunk *chunk)
{
	char text[TOC_DIGEST_TEXT];
	toc_digest_format(chunk->digest, text);
	if (hashmap_contains(&m->chunks_seen, text))
		return true;
	const char *key = arena_strdup(&m->arena, text);
	return !m->arena.failed && hashmap_put(&m->chunks_seen, key, m) &&
	       add_chunk(m, entry, chunk);
}

/* A file of one chunk is found by its own digest. */
static int add_entry(struct maker *m, const struct toc *toc, const struct toc_entry *entry,
                     cst_error **error)
{
	bool ok = true;
	int r = entry->has_digest ? add_file(m, entry, error) : 0;
	for (uint32_t i = 0; r == 0 && ok && entry->n_chunks > 1 && i < entry->n_chunks; i++) {
		const struct toc_chunk *chunk = &toc->chunks[entry->first_chunk + i];
		if (chunk->has_digest)
			ok = i ? add_later_chunk(m, entry, chunk) : add_chunk(m, entry, chunk);
	}
	return r == 0 && !ok ? error_oom(error) : r;
}

static int compare_tags(const void *a, const void *b)
{
	return memcmp(a, b, TAG_SIZE);
}

static int put_bloom(const struct maker *m, struct strbuf *out, cst_error **error)
{
	size_t words = (m->n_tags * BLOOM_SCALE + 63) / 64;
	words = words ? words : 1;
	_cleanup_free_ uint64_t *bits = calloc(words, sizeof(*bits));
	if (!bits)
		return error_oom(error);
	for (size_t i = 0; i < m->n_tags; i++)
		for (size_t cut = 0; cut < HASHES; cut++) {
			size_t bit = bloom_bit(m->tags[i].bytes, cut, 64 * words);
			bits[bit / 64] |= (uint64_t)1 << bit % 64;
		}
	put_u64(out, words);
	put_u32(out, HASHES);
	for (size_t i = 0; i < words; i++)
		put_u64(out, bits[i]);
	return 0;
}

static int put_all(struct maker *m, struct strbuf *out, cst_error **error)
{
	if (m->n_tags > PART_MAX / TAG_SIZE)
		return error_set(error, CST_ENOTSUP, "a cache of %zu digests is read by nobody",
		                 m->n_tags);
	if (m->n_tags)
		qsort(m->tags, m->n_tags, TAG_SIZE, compare_tags);
	put_u64(out, VERSION);
	put_u64(out, m->n_tags ? TAG_SIZE : 0);
	put_u64(out, m->n_tags ? DIGEST_SIZE : 0);
	int r = put_bloom(m, out, error);
	put_u64(out, m->n_tags * TAG_SIZE);
	put_u64(out, m->places.len);
	put_u64(out, m->names.len);
	if (m->n_tags)
		strbuf_add(out, m->tags, m->n_tags * TAG_SIZE);
	strbuf_add(out, strbuf_str(&m->places), m->places.len);
	strbuf_add(out, strbuf_str(&m->names), m->names.len);
	return r == 0 && out->failed ? error_oom(error) : r;
}

/* Each content is there once, for the first file that has it. */
static int add_object(struct maker *m, const struct toc *toc, const struct toc_entry *entry,
                      cst_error **error)
{
	char digest[TOC_DIGEST_TEXT], name[TOC_DIGEST_TEXT];
	struct toc_entry object = *entry;
	if (entry->type != '0' || !entry->has_digest)
		return 0;
	toc_digest_format(entry->digest, digest);
	const char *hex = digest + strlen(ALGORITHM);
	snprintf(name, sizeof(name), "%.2s/%s", hex, hex + 2);
	if (hashmap_contains(&m->positions, name))
		return 0;
	object.name = arena_strdup(&m->arena, name);
	return object.name ? add_entry(m, toc, &object, error) : error_oom(error);
}

int cache_make(const struct toc *toc, bool objects, struct strbuf *out, cst_error **error)
{
	_cleanup_(maker_free) struct maker m = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < toc->n_entries; i++)
		r = objects ? add_object(&m, toc, &toc->entries[i], error)
		            : add_entry(&m, toc, &toc->entries[i], error);
	return r == 0 ? put_all(&m, out, error) : r;
}

/* ---- looking ---- */

struct input {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct input *in, uint64_t n)
{
	const uint8_t *at = in->at;
	in->bad = in->bad || n > in->left;
	if (in->bad)
		return NULL;
	in->at += n;
	in->left -= (size_t)n;
	return at;
}

static uint64_t take_number(struct input *in, size_t size)
{
	uint64_t n = 0;
	const uint8_t *at = take(in, size);
	if (at)
		memcpy(&n, at, size);
	return le64toh(n);
}

/* False also for what overflows. */
static bool take_varint(struct input *in, uint64_t *ret)
{
	uint64_t n = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *byte = take(in, 1);
		if (!byte || (shift == 63 && *byte > 1))
			return false;
		n |= (uint64_t)(*byte & 0x7f) << shift;
		if (*byte < 0x80) {
			*ret = n;
			return true;
		}
	}
	return false;
}

bool cache_open(const void *data, size_t n, struct cache *ret)
{
	struct input in = {data, n, false};
	struct cache cache = {0};
	bool known = take_number(&in, 8) == VERSION && take_number(&in, 8) == TAG_SIZE &&
	             take_number(&in, 8) == DIGEST_SIZE;
	uint64_t words = take_number(&in, 8);
	cache.hashes = (uint32_t)take_number(&in, 4);
	if (!known || in.bad || words == 0 || words > PART_MAX / 8 || cache.hashes > DIGEST_SIZE)
		return false;
	cache.bloom_bits = (size_t)words * 64;
	cache.bloom = take(&in, words * 8);
	uint64_t tags = take_number(&in, 8), places = take_number(&in, 8),
	         names = take_number(&in, 8);
	if (in.bad || tags > PART_MAX || tags % TAG_SIZE)
		return false;
	cache.n_tags = (size_t)tags / TAG_SIZE;
	cache.tags = take(&in, tags);
	cache.places = take(&in, places);
	cache.names = take(&in, names);
	cache.places_size = (size_t)places;
	cache.names_size = (size_t)names;
	if (!in.bad)
		*ret = cache;
	return !in.bad;
}

static bool maybe_there(const struct cache *cache, const uint8_t *item)
{
	for (size_t cut = 0; cut < cache->hashes; cut++) {
		size_t bit = bloom_bit(item, cut % DIGEST_SIZE, cache->bloom_bits);
		if (!(cache->bloom[bit / 8] >> bit % 8 & 1))
			return false;
	}
	return true;
}

/* The first tag of the digest; n_tags: there is none. */
static size_t find_tag(const struct cache *cache, const uint8_t *item)
{
	size_t from = 0, to = cache->n_tags;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (memcmp(cache->tags + middle * TAG_SIZE, item, DIGEST_SIZE) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	bool found = from < cache->n_tags &&
	             memcmp(cache->tags + from * TAG_SIZE, item, DIGEST_SIZE) == 0;
	return found ? from : cache->n_tags;
}

static bool read_place(const struct cache *cache, uint64_t at, uint64_t length,
                       struct cache_place *ret)
{
	struct input places = {cache->places, cache->places_size, false};
	struct input names = {cache->names, cache->names_size, false};
	uint64_t position;
	(void)take(&places, at);
	if (places.bad || length > places.left)
		return false;
	places.left = (size_t)length;
	if (!take_varint(&places, &position) || !take_varint(&places, &ret->offset) ||
	    !take_varint(&places, &ret->size))
		return false;
	(void)take(&names, position);
	ret->name_len = (size_t)take_number(&names, 4);
	ret->name = (const char *)take(&names, ret->name_len);
	return !names.bad;
}

bool cache_find(const struct cache *cache, const uint8_t digest[TOC_DIGEST_SIZE],
                struct cache_place *ret)
{
	uint8_t item[DIGEST_SIZE];
	struct cache_place place;
	memcpy(item, ALGORITHM, strlen(ALGORITHM));
	memcpy(item + strlen(ALGORITHM), digest, TOC_DIGEST_SIZE);
	size_t tag = maybe_there(cache, item) ? find_tag(cache, item) : cache->n_tags;
	if (tag == cache->n_tags)
		return false;
	struct input in = {cache->tags + tag * TAG_SIZE + DIGEST_SIZE, 16, false};
	uint64_t at = take_number(&in, 8), length = take_number(&in, 8);
	if (!read_place(cache, at, length, &place))
		return false;
	*ret = place;
	return true;
}
