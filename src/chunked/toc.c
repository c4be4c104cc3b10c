/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a TOC that was read (toc.h). */
#include "chunked/toc.h"
#include <stdio.h>

void toc_free(struct toc *toc)
{
	if (!toc)
		return;
	free(toc->json);
	free(toc->entries);
	free(toc->chunks);
	free(toc->files_by_digest);
	free(toc->chunks_by_digest);
	hashmap_free(&toc->by_name);
	arena_clear(&toc->arena);
	free(toc);
}

const struct toc_entry *toc_find_name(const struct toc *toc, const char *name)
{
	return hashmap_get(&toc->by_name, name);
}

bool toc_is_of_the_format(const struct toc *toc, const char *name)
{
	static const char *const names[] = {".prefetch.landmark", ".no.prefetch.landmark",
	                                    "stargz.index.json"};
	for (size_t i = 0; toc->format == CST_TOC_ESTARGZ && i < ARRAY_SIZE(names); i++)
		if (streq(name, names[i]))
			return true;
	return false;
}

/* ---- extended attributes ---- */

static int by_name_and_order(const void *a, const void *b)
{
	const struct toc_xattr *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->number > y->number) - (x->number < y->number);
}

size_t toc_sort_xattrs(struct toc_xattr *xattrs, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		xattrs[i].number = i;
	qsort(xattrs, n, sizeof(*xattrs), by_name_and_order);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || !streq(xattrs[i].name, xattrs[i + 1].name))
			xattrs[kept++] = xattrs[i];
	return kept;
}

/* ---- digests ---- */

/* One more than the digit's value. A table, since no processor foresees the digits of a digest, and a TOC has thousands. */
static const uint8_t hex_digits[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

bool toc_digest_parse(const char *text, uint8_t ret[TOC_DIGEST_SIZE])
{
	const unsigned char *hex = (const unsigned char *)text + strlen("sha256:");
	bool bad = !has_prefix(text, "sha256:") || strlen(text) != TOC_DIGEST_TEXT - 1;
	uint8_t digest[TOC_DIGEST_SIZE];
	for (size_t i = 0; !bad && i < TOC_DIGEST_SIZE; i++) {
		int high = hex_digits[hex[2 * i]] - 1, low = hex_digits[hex[2 * i + 1]] - 1;
		bad = (high | low) < 0;
		digest[i] = (uint8_t)(high << 4 | low);
	}
	if (!bad)
		memcpy(ret, digest, sizeof(digest));
	return !bad;
}

void toc_digest_format(const uint8_t digest[TOC_DIGEST_SIZE], char ret[TOC_DIGEST_TEXT])
{
	char *to = stpcpy(ret, "sha256:");
	for (size_t i = 0; i < TOC_DIGEST_SIZE; i++)
		to += sprintf(to, "%02x", digest[i]);
}

static int compare_items(const uint8_t *a, const uint8_t *b, uint32_t at_a, uint32_t at_b)
{
	int order = memcmp(a, b, TOC_DIGEST_SIZE);
	return order ? order : (at_a > at_b) - (at_a < at_b);
}

static int by_file_digest(const void *a, const void *b, void *userdata)
{
	const struct toc *toc = userdata;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	return compare_items(toc->entries[i].digest, toc->entries[k].digest, i, k);
}

static int by_chunk_digest(const void *a, const void *b, void *userdata)
{
	const struct toc *toc = userdata;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	return compare_items(toc->chunks[i].digest, toc->chunks[k].digest, i, k);
}

int toc_index_digests(struct toc *toc, cst_error **error)
{
	toc->files_by_digest = new0(uint32_t, toc->n_entries + 1);
	toc->chunks_by_digest = new0(uint32_t, toc->n_chunks + 1);
	if (!toc->files_by_digest || !toc->chunks_by_digest)
		return error_oom(error);
	for (size_t i = 0; i < toc->n_entries; i++)
		if (toc->entries[i].has_digest)
			toc->files_by_digest[toc->n_files_by_digest++] = (uint32_t)i;
	for (size_t i = 0; i < toc->n_chunks; i++)
		if (toc->chunks[i].has_digest)
			toc->chunks_by_digest[toc->n_chunks_by_digest++] = (uint32_t)i;
	qsort_r(toc->files_by_digest, toc->n_files_by_digest, sizeof(uint32_t), by_file_digest,
	        toc);
	qsort_r(toc->chunks_by_digest, toc->n_chunks_by_digest, sizeof(uint32_t), by_chunk_digest,
	        toc);
	return 0;
}

/* The first of the sorted items whose digest is not below the one that is looked for. `digest_at` gives the digest of an item. */
static size_t lower_bound(const struct toc *toc, const uint32_t *items, size_t n,
                          const uint8_t *(*digest_at)(const struct toc *toc, uint32_t item),
                          const uint8_t digest[TOC_DIGEST_SIZE])
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(digest_at(toc, items[middle]), digest, TOC_DIGEST_SIZE) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const uint8_t *file_digest(const struct toc *toc, uint32_t item)
{
	return toc->entries[item].digest;
}

static const uint8_t *chunk_digest(const struct toc *toc, uint32_t item)
{
	return toc->chunks[item].digest;
}

const struct toc_entry *toc_find_file(const struct toc *toc, const uint8_t digest[TOC_DIGEST_SIZE])
{
	size_t at =
	        lower_bound(toc, toc->files_by_digest, toc->n_files_by_digest, file_digest, digest);
	if (at == toc->n_files_by_digest)
		return NULL;
	const struct toc_entry *entry = &toc->entries[toc->files_by_digest[at]];
	return memcmp(entry->digest, digest, TOC_DIGEST_SIZE) == 0 ? entry : NULL;
}

const struct toc_chunk *toc_find_chunk(const struct toc *toc, const uint8_t digest[TOC_DIGEST_SIZE])
{
	size_t at = lower_bound(toc, toc->chunks_by_digest, toc->n_chunks_by_digest, chunk_digest,
	                        digest);
	if (at == toc->n_chunks_by_digest)
		return NULL;
	const struct toc_chunk *chunk = &toc->chunks[toc->chunks_by_digest[at]];
	return memcmp(chunk->digest, digest, TOC_DIGEST_SIZE) == 0 ? chunk : NULL;
}
