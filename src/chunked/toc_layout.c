/* SPDX-License-Identifier: Apache-2.0 */
/* Where the chunks of a TOC lie in the blob: one behind the other, in front of the TOC. */
#include "chunked/toc.h"

/* The files with content, by their place in the blob. That is the order of the tar, but nobody promises that the TOC has it, too. */
static int by_offset(const void *a, const void *b, void *userdata)
{
	const struct toc *toc = userdata;
	const struct toc_entry *x = &toc->entries[*(const uint32_t *)a],
	                       *y = &toc->entries[*(const uint32_t *)b];
	uint64_t at_x = toc->chunks[x->first_chunk].offset,
	         at_y = toc->chunks[y->first_chunk].offset;
	return (at_x > at_y) - (at_x < at_y);
}

static uint32_t *files_in_order(const struct toc *toc, size_t *ret_n)
{
	uint32_t *files = new0(uint32_t, toc->n_entries + 1);
	size_t n = 0;
	for (size_t i = 0; files && i < toc->n_entries; i++)
		if (toc->entries[i].n_chunks > 0)
			files[n++] = (uint32_t)i;
	if (files)
		qsort_r(files, n, sizeof(*files), by_offset, (void *)toc);
	*ret_n = n;
	return files;
}

static int misplaced(const struct toc_entry *entry, cst_error **error)
{
	return error_set(error, CST_EARCHIVE,
	                 "TOC: entry \"%s\": the place of its content in the blob overlaps that of "
	                 "another, or is behind its end",
	                 entry->name);
}

/* `limit`: where the content of the next file begins. Only the last chunk of a file may have more behind it in the same place. */
static int check_file(struct toc *toc, const struct toc_entry *entry, uint64_t limit,
                      cst_error **error)
{
	struct toc_chunk *chunks = toc_chunks_of(toc, entry);
	uint64_t end = chunks[0].end; /* of the file */
	size_t n = entry->n_chunks;
	for (size_t i = 0; i < n; i++) {
		bool last = i + 1 == n;
		chunks[i].exact = toc->format == CST_TOC_ZSTD_CHUNKED && (!last || end > 0);
		chunks[i].end = !last ? chunks[i + 1].offset : end > 0 ? end : limit;
		if (chunks[i].end <= chunks[i].offset || chunks[i].end > limit)
			return misplaced(entry, error);
	}
	return 0;
}

int toc_check_layout(struct toc *toc, uint64_t data_end, cst_error **error)
{
	size_t n;
	_cleanup_free_ uint32_t *files = files_in_order(toc, &n);
	if (!files)
		return error_oom(error);
	for (size_t i = 0; i < n; i++) {
		const struct toc_entry *entry = &toc->entries[files[i]];
		uint64_t limit = data_end;
		if (i + 1 < n)
			limit = toc->chunks[toc->entries[files[i + 1]].first_chunk].offset;
		int r = check_file(toc, entry, limit, error);
		if (r < 0)
			return r;
	}
	return 0;
}
