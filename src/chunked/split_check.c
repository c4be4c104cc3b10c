/* SPDX-License-Identifier: Apache-2.0 */
/* Goes through a tar-split beside the tar that it should make (split_check.h). */
#include "chunked/split_check.h"
#include "archive/tar/tar.h"
#include "archive/tarsplit/recipe.h"
#include "base/checksum.h"
#include "chunked/match.h"

struct split_check {
	cst_memory packed;
	struct recipe *recipe;
	struct recipe_entry entry; /* what comes next in the tar */
	uint64_t left, total;      /* bytes of it; bytes so far */
	uint64_t crc, wanted;      /* of a file */
	char header_type;          /* of the last header */
	bool end;
};

void split_check_free(struct split_check *check)
{
	if (!check)
		return;
	if (check->recipe)
		recipe_free(check->recipe);
	free(check->packed.data);
	free(check);
}

/* What differs from the TOC is found before anything is unpacked. */
static int match_headers(const struct split_check *check, const struct toc *toc, cst_error **error)
{
	cst_memory packed = check->packed;
	const cst_source source = cst_source_memory(&packed);
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	int r = recipe_open_source(&source, CST_ZSTD, &recipe, error);
	return r == 0 ? toc_match_recipe(toc, recipe, error) : r;
}

int split_check_new(const struct chunked_blob *blob, const struct toc *toc,
                    struct split_check **ret, cst_error **error)
{
	_cleanup_(split_check_freep) struct split_check *check = new0(struct split_check, 1);
	char digest[DIGEST_TEXT_MAX];
	if (check)
		check->packed.data = malloc(toc->tarsplit.size + 1);
	if (!check || !check->packed.data)
		return error_oom(error);
	check->packed.size = toc->tarsplit.size;
	int r = blob->read_at(blob->userdata, toc->tarsplit.offset, check->packed.data,
	                      check->packed.size, error);
	if (r == 0)
		r = digest_buffer(DIGEST_SHA256, check->packed.data, check->packed.size, digest,
		                  error);
	if (r == 0 && !streq(digest, toc->tarsplit_digest))
		r = error_set(error, CST_EARCHIVE,
		              "the tar-split has the digest %s, and should have %s", digest,
		              toc->tarsplit_digest);
	if (r == 0)
		r = match_headers(check, toc, error);
	const cst_source source = cst_source_memory(&check->packed);
	if (r == 0)
		r = recipe_open_source(&source, CST_ZSTD, &check->recipe, error);
	if (r == 0)
		*ret = steal_ptr(&check);
	return r;
}

static int differs(const struct split_check *check, const char *how, cst_error **error)
{
	return error_set(error, CST_EARCHIVE, "the tar-split %s at byte %llu of the tar", how,
	                 (unsigned long long)check->total);
}

/* Links, devices and directories have no content, whatever size their header claims: the Go writer records that size with the sum
 * of nothing. */
static int begin_file(struct split_check *check, cst_error **error)
{
	const unsigned char *sum = check->entry.payload;
	if (check->entry.size <= 0)
		return 0;
	if (check->entry.payload_len != 8)
		return differs(check, "has no checksum of a file", error);
	check->wanted = check->crc = 0;
	for (unsigned i = 0; i < 8; i++)
		check->wanted = check->wanted << 8 | sum[i];
	if (check->wanted != 0 || check->header_type < '1' || check->header_type > '6')
		check->left = (uint64_t)check->entry.size;
	return 0;
}

/* Goes to what has bytes in the tar. */
static int next(struct split_check *check, cst_error **error)
{
	int r = 0;
	while (r == 0 && check->left == 0) {
		r = recipe_next(check->recipe, &check->entry, &check->end, error);
		if (r < 0 || check->end)
			return r;
		if (check->entry.type == RECIPE_SEGMENT)
			check->left = check->entry.payload_len;
		else if (check->entry.type == RECIPE_FILE)
			r = begin_file(check, error);
	}
	return r;
}

/* The type flag is byte 156 of a block, and blocks begin at multiples of their size. */
static void note_type(struct split_check *check, const char *data, size_t n)
{
	size_t back = (size_t)((check->total + n - 157) % TAR_BLOCK);
	if (back < n)
		check->header_type = data[n - 1 - back];
}

static int compare(struct split_check *check, const char *data, size_t n, cst_error **error)
{
	if (check->entry.type == RECIPE_SEGMENT) {
		const char *segment =
		        (const char *)check->entry.payload + check->entry.payload_len - check->left;
		if (memcmp(segment, data, n) != 0)
			return differs(check, "has other bytes", error);
		note_type(check, data, n);
	} else {
		check->crc = crc64_iso(check->crc, data, n);
		if (n == check->left && check->crc != check->wanted)
			return differs(check, "has another checksum of the file that ends", error);
	}
	check->left -= n;
	check->total += n;
	return 0;
}

int split_check_feed(struct split_check *check, const void *data, size_t n, cst_error **error)
{
	for (const char *p = data; n > 0;) {
		int r = next(check, error);
		if (r == 0 && check->end)
			r = differs(check, "ends", error);
		if (r < 0)
			return r;
		size_t step = (size_t)MIN(check->left, (uint64_t)n);
		r = compare(check, p, step, error);
		if (r < 0)
			return r;
		p += step;
		n -= step;
	}
	return 0;
}

int split_check_finish(struct split_check *check, cst_error **error)
{
	int r = next(check, error);
	return r == 0 && !check->end ? differs(check, "goes on", error) : r;
}
