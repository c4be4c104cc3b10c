/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of a TOC: what is taken lies in the blob without overlaps, has digests, and is the same after it was written again. */
#include "fuzz.h"

#include "chunked/toc.h"
#include <string.h>

#define BLOB 1000000

static struct toc *parse(const void *data, size_t size, enum cst_toc_format format)
{
	struct toc *toc = NULL;
	char *json = malloc(size + 1);
	MUST(json);
	memcpy(json, data, size);
	if (toc_parse(json, size, format, BLOB, &toc, NULL) == 0)
		MUST(toc_index_digests(toc, NULL) == 0);
	return toc;
}

static void check_file(const struct toc *toc, const struct toc_entry *entry)
{
	const struct toc_chunk *chunks = toc_chunks_of(toc, entry);
	uint64_t at = 0;
	MUST(entry->first_chunk + entry->n_chunks <= toc->n_chunks);
	for (size_t i = 0; i < entry->n_chunks; i++) {
		MUST(chunks[i].file_offset == at && chunks[i].size > 0);
		at += chunks[i].size;
		MUST(chunks[i].offset < chunks[i].end && chunks[i].end <= BLOB);
		MUST(i == 0 || chunks[i - 1].end == chunks[i].offset);
		MUST(&toc->entries[chunks[i].entry] == entry);
	}
	MUST(entry->type != '0' || (at == entry->size && entry->has_digest));
	MUST(entry->type == '0' || entry->n_chunks == 0);
}

static void check(const struct toc *toc)
{
	for (size_t i = 0; i < toc->n_entries; i++) {
		const struct toc_entry *entry = &toc->entries[i];
		check_file(toc, entry);
		MUST(toc_find_name(toc, entry->name) == entry);
		if (entry->has_digest)
			MUST(memcmp(toc_find_file(toc, entry->digest)->digest, entry->digest,
			            TOC_DIGEST_SIZE) == 0);
	}
	for (size_t i = 0; i < toc->n_chunks; i++)
		if (toc->chunks[i].has_digest)
			MUST(toc_find_chunk(toc, toc->chunks[i].digest));
}

static bool valid(const char *text)
{
	return utf8_valid(text, strlen(text));
}

static bool entry_can_be_written(const struct toc_entry *entry)
{
	for (size_t i = 0; i < entry->n_xattrs; i++)
		if (!valid(entry->xattrs[i].name))
			return false;
	return valid(entry->name) && valid(entry->linkname);
}

/* The writer refuses names that are not UTF-8, and has a digest of every chunk. */
static bool can_be_written(const struct toc *toc)
{
	for (size_t i = 0; i < toc->n_chunks; i++)
		if (!toc->chunks[i].has_digest)
			return false;
	for (size_t i = 0; i < toc->n_entries; i++)
		if (!entry_can_be_written(&toc->entries[i]))
			return false;
	return true;
}

/* What we write is what we read. */
static void write_again(const struct toc *toc)
{
	_cleanup_strbuf_ struct strbuf once = {0}, twice = {0};
	if (!can_be_written(toc))
		return;
	MUST(toc_print(toc, &once, NULL) == 0);
	struct toc *again = parse(once.data, once.len, CST_TOC_ZSTD_CHUNKED);
	MUST(again && again->n_entries == toc->n_entries && again->n_chunks == toc->n_chunks);
	MUST(toc_print(again, &twice, NULL) == 0);
	MUST(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	toc_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int format = CST_TOC_ZSTD_CHUNKED; format <= CST_TOC_ESTARGZ; format++) {
		struct toc *toc = parse(data, size, (enum cst_toc_format)format);
		if (!toc)
			continue;
		check(toc);
		write_again(toc);
		toc_free(toc);
	}
	return 0;
}
