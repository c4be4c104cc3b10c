/* SPDX-License-Identifier: Apache-2.0 */
/* Looks through a whole blob (verify.h). It is read once, from its beginning to its end, range by range: each chunk is one, and so is
 * what is between them. What comes out of all is the tar. */
#include "chunked/verify.h"
#include "base/types.h"
#include "chunked/match.h"
#include "chunked/split_check.h"
#include "codec/compress.h"

#define STEP_SIZE ((size_t)256 << 10)

struct verification {
	const struct chunked_blob *blob;
	const struct toc *toc;
	const cst_progress *progress;
	cst_progress_state state;
	struct digester *blob_digester, *diff_digester;
	uint64_t diff_size;
	struct toc_match *match;
	struct split_check *split; /* NULL: there is no tar-split */
	unsigned char *in, *out;   /* STEP_SIZE each */

	const struct toc_chunk *chunk; /* the current range is it; NULL: it is none */
	uint64_t in_chunk;             /* bytes that came out of it */
	struct digester *chunk_digester, *file_digester;
};

static void verification_free(struct verification *v)
{
	digester_free(v->blob_digester);
	digester_free(v->diff_digester);
	digester_free(v->chunk_digester);
	digester_free(v->file_digester);
	toc_match_free(v->match);
	split_check_free(v->split);
	free(v->in);
	free(v->out);
}

/* ---- one range ---- */

static const struct toc_entry *entry_of(const struct verification *v)
{
	return &v->toc->entries[v->chunk->entry];
}

static int bad_chunk(const struct verification *v, const char *problem, cst_error **error)
{
	return error_set(error, CST_EARCHIVE, "\"%s\": the chunk at byte %llu of the file %s",
	                 entry_of(v)->name, (unsigned long long)v->chunk->file_offset, problem);
}

static bool is_zeros(const char *data, size_t n)
{
	return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

static int take_chunk(struct verification *v, const void *data, size_t n, cst_error **error)
{
	if (v->chunk->zeros && !is_zeros(data, n))
		return bad_chunk(v, "is a hole in the TOC, and has content", error);
	digester_update(v->chunk_digester, data, n);
	digester_update(v->file_digester, data, n);
	v->in_chunk += n;
	return 0;
}

/* Bytes of the tar. */
static int take_plain(struct verification *v, const void *data, size_t n, cst_error **error)
{
	if (v->chunk) {
		size_t mine = (size_t)MIN((uint64_t)n, v->chunk->size - v->in_chunk);
		int r = take_chunk(v, data, mine, error);
		if (r < 0)
			return r;
		if (mine < n && v->chunk->exact)
			return bad_chunk(v, "is longer than the TOC says", error);
	}
	digester_update(v->diff_digester, data, n);
	v->diff_size += n;
	int r = toc_match_feed(v->match, data, n, error);
	return r == 0 && v->split ? split_check_feed(v->split, data, n, error) : r;
}

/* Unpacks n bytes that were read. */
static int unpack_step(struct verification *v, struct decompressor *d, size_t n, bool last,
                       cst_error **error)
{
	size_t used = 0;
	bool done = false;
	do {
		size_t got = 0;
		int r = decompressor_run(d, v->in, n, &used, last, v->out, STEP_SIZE, &got, &done,
		                         error);
		if (r < 0)
			return v->chunk ? error_prefix(error, r, "\"%s\"", entry_of(v)->name) : r;
		r = got > 0 ? take_plain(v, v->out, got, error) : 0;
		if (r < 0)
			return r;
		if (!last && used == n && got < STEP_SIZE)
			return 0;
	} while (!done);
	return used == n ? 0 : error_set(error, CST_EARCHIVE, "what is compressed ends early");
}

static int unpack_range(struct verification *v, uint64_t begin, uint64_t end, cst_error **error)
{
	_cleanup_(decompressor_freep) struct decompressor *d = NULL;
	bool zstd = v->toc->format == CST_TOC_ZSTD_CHUNKED;
	int r = begin < end ? decompressor_new(zstd ? CST_ZSTD : CST_GZIP, &d, error) : 0;
	while (r == 0 && begin < end) {
		size_t n = (size_t)MIN((uint64_t)STEP_SIZE, end - begin);
		r = v->blob->read_at(v->blob->userdata, begin, v->in, n, error);
		if (r < 0)
			return r;
		digester_update(v->blob_digester, v->in, n);
		begin += n;
		v->state.bytes_done = begin;
		r = unpack_step(v, d, n, begin == end, error);
		if (r == 0)
			r = progress_tell(v->progress, &v->state, error);
	}
	return r;
}

/* ---- chunks ---- */

static int check_digest(const struct verification *v, struct digester **digester,
                        const uint8_t wanted[TOC_DIGEST_SIZE], const char *problem,
                        cst_error **error)
{
	char text[DIGEST_TEXT_MAX], wanted_text[TOC_DIGEST_TEXT];
	int r = digester_finish(*digester, text, error);
	digester_free(*digester);
	*digester = NULL;
	toc_digest_format(wanted, wanted_text);
	return r < 0 || streq(text, wanted_text) ? r : bad_chunk(v, problem, error);
}

static int check_chunk(struct verification *v, cst_error **error)
{
	const struct toc_entry *entry = entry_of(v);
	if (v->in_chunk < v->chunk->size)
		return bad_chunk(v, "is shorter than the TOC says", error);
	int r = 0;
	if (v->chunk->has_digest)
		r = check_digest(v, &v->chunk_digester, v->chunk->digest,
		                 "has another digest than the TOC says", error);
	digester_free(v->chunk_digester);
	v->chunk_digester = NULL;
	if (r == 0 && v->chunk->file_offset + v->chunk->size == entry->size)
		r = check_digest(
		        v, &v->file_digester, entry->digest,
		        "is the last one, and the file has another digest than the TOC says",
		        error);
	return r;
}

static int verify_chunk(struct verification *v, const struct toc_chunk *chunk, cst_error **error)
{
	v->chunk = chunk;
	v->in_chunk = 0;
	int r = digester_new(DIGEST_SHA256, &v->chunk_digester, error);
	if (r == 0 && chunk->file_offset == 0)
		r = digester_new(DIGEST_SHA256, &v->file_digester, error);
	if (r == 0)
		r = unpack_range(v, chunk->offset, chunk->end, error);
	if (r == 0)
		r = check_chunk(v, error);
	v->chunk = NULL;
	return r;
}

/* ---- the whole ---- */

static int by_place(const void *a, const void *b, void *userdata)
{
	const struct toc *toc = userdata;
	uint64_t x = toc->chunks[*(const uint32_t *)a].offset,
	         y = toc->chunks[*(const uint32_t *)b].offset;
	return (x > y) - (x < y);
}

static int verify_ranges(struct verification *v, cst_error **error)
{
	const struct toc *toc = v->toc;
	_cleanup_free_ uint32_t *order = new0(uint32_t, toc->n_chunks + 1);
	uint64_t at = 0;
	int r = order ? 0 : error_oom(error);
	for (size_t i = 0; r == 0 && i < toc->n_chunks; i++)
		order[i] = (uint32_t)i;
	if (r == 0)
		qsort_r(order, toc->n_chunks, sizeof(*order), by_place, (void *)toc);
	for (size_t i = 0; r == 0 && i < toc->n_chunks; i++) {
		const struct toc_chunk *chunk = &toc->chunks[order[i]];
		r = unpack_range(v, at, chunk->offset, error);
		if (r == 0)
			r = verify_chunk(v, chunk, error);
		at = chunk->end;
	}
	return r == 0 ? unpack_range(v, at, v->blob->size, error) : r;
}

static int begin(struct verification *v, cst_error **error)
{
	v->in = malloc(STEP_SIZE);
	v->out = malloc(STEP_SIZE);
	if (!v->in || !v->out)
		return error_oom(error);
	int r = digester_new(DIGEST_SHA256, &v->blob_digester, error);
	if (r == 0)
		r = digester_new(DIGEST_SHA256, &v->diff_digester, error);
	if (r == 0)
		r = toc_match_new(v->toc, true, &v->match, error);
	if (r == 0 && *v->toc->tarsplit_digest && v->toc->tarsplit.size == 0)
		return error_set(error, CST_EARCHIVE,
		                 "the TOC wants a tar-split, and the blob has none");
	return r == 0 && *v->toc->tarsplit_digest
	               ? split_check_new(v->blob, v->toc, &v->split, error)
	               : r;
}

int chunked_verify(const struct chunked_blob *blob, const struct toc *toc,
                   const cst_progress *progress, struct chunked_verified *ret, cst_error **error)
{
	_cleanup_(verification_free) struct verification v = {
	        .blob = blob,
	        .toc = toc,
	        .progress = progress,
	        .state = {.size = sizeof(v.state), .what = "verify", .bytes_total = blob->size}};
	struct chunked_verified verified = {.blob_size = blob->size};
	int r = begin(&v, error);
	if (r == 0)
		r = verify_ranges(&v, error);
	if (r == 0)
		r = toc_match_finish(v.match, error);
	if (r == 0 && v.split)
		r = split_check_finish(v.split, error);
	if (r == 0)
		r = digester_finish(v.blob_digester, verified.blob_digest, error);
	if (r == 0)
		r = digester_finish(v.diff_digester, verified.diff_digest, error);
	verified.diff_size = v.diff_size;
	if (r == 0)
		*ret = verified;
	return r;
}
