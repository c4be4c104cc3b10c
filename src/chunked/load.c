/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a TOC to the object (place.h). */
#include "chunked/place.h"
#include "codec/compress.h"
#include <inttypes.h>

/* A digest that is known is checked; one that is not is taken down. */
static int check_digest(const struct toc_place *place, const void *data, size_t n,
                        char ret[DIGEST_TEXT_MAX], cst_error **error)
{
	int r = digest_buffer(DIGEST_SHA256, data, n, ret, error);
	if (r < 0 || !*place->digest || streq(place->digest, ret))
		return r;
	return error_set(error, CST_EARCHIVE, "the TOC has the digest %s, and should have %s", ret,
	                 place->digest);
}

static int unpack_zstd(const struct chunked_part *part, const void *data, char **ret,
                       cst_error **error)
{
	_cleanup_(decompressor_freep) struct decompressor *zstd = NULL;
	size_t room = part->plain_size + 1, used = 0, got = 0; /* with one that is too much */
	_cleanup_free_ char *plain = malloc(room);
	bool done = false;
	if (!plain)
		return error_oom(error);
	int r = decompressor_new(CST_ZSTD, &zstd, error);
	for (size_t n = 1; r == 0 && n > 0 && !done && got < room; got += n)
		r = decompressor_run(zstd, data, part->size, &used, true, plain + got, room - got,
		                     &n, &done, error);
	if (r < 0)
		return error_prefix(error, r, "TOC");
	if (got != part->plain_size)
		return error_set(error, CST_EARCHIVE,
		                 "the TOC is said to have %" PRIu64 " bytes unpacked, and has %s",
		                 part->plain_size, got < part->plain_size ? "fewer" : "more");
	*ret = steal_ptr(&plain);
	return 0;
}

int toc_from_bytes(const struct toc_place *place, const void *data, struct toc **ret,
                   cst_error **error)
{
	char *json = NULL, digest[DIGEST_TEXT_MAX];
	size_t size = place->toc.plain_size;
	bool zstd = place->format == CST_TOC_ZSTD_CHUNKED;
	int r = zstd ? check_digest(place, data, place->toc.size, digest, error) : 0;
	if (r == 0)
		r = zstd ? unpack_zstd(&place->toc, data, &json, error)
		         : estargz_unpack_toc(data, place->toc.size, &json, &size, error);
	if (r == 0 && !zstd && (r = check_digest(place, json, size, digest, error)) < 0)
		free(json);
	/* Of zstd:chunked the frame that holds the TOC begins in front of it. */
	uint64_t end = place->toc.offset - (zstd ? MIN(place->toc.offset, 8) : 0);
	struct toc *toc = NULL;
	if (r == 0)
		r = toc_parse(json, size, place->format, end, &toc, error);
	if (r < 0)
		return r;
	toc->place = place->toc;
	toc->place.plain_size = size;
	toc->tarsplit = place->tarsplit;
	strcpy(toc->digest, digest);
	*ret = toc;
	return 0;
}

int toc_read(const struct chunked_blob *blob, const struct toc_place *place, struct toc **ret,
             cst_error **error)
{
	_cleanup_free_ void *data = malloc(place->toc.size);
	if (!data)
		return error_oom(error);
	int r = blob->read_at(blob->userdata, place->toc.offset, data, place->toc.size, error);
	return r < 0 ? r : toc_from_bytes(place, data, ret, error);
}
