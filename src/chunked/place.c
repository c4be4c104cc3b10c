/* SPDX-License-Identifier: Apache-2.0 */
/* Annotations and footers (place.h). */
#include "chunked/place.h"
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* As a number of eight little-endian bytes. */
#define FOOTER_MAGIC     UINT64_C(0x78556e496c554e47) /* GNUlInUx */
#define OLD_FOOTER_MAGIC UINT64_C(0x78556e496c556e47) /* GnUlInUx, before 1.48 */
#define OLD_FOOTER_SIZE  40

static uint64_t number_at(const uint8_t *bytes)
{
	uint64_t n;
	memcpy(&n, bytes, sizeof(n));
	return le64toh(n);
}

/* ---- is it possible? ---- */

static int check_part(const struct chunked_part *part, const char *name, uint64_t blob_size,
                      cst_error **error)
{
	if (part->offset <= blob_size && part->size <= blob_size - part->offset)
		return 0;
	return error_set(error, CST_EARCHIVE,
	                 "the %s is said to be at byte %" PRIu64 ", %" PRIu64
	                 " bytes long: the blob has %" PRIu64,
	                 name, part->offset, part->size, blob_size);
}

static int check_place(const struct toc_place *place, uint64_t blob_size, cst_error **error)
{
	const struct chunked_part *toc = &place->toc, *tarsplit = &place->tarsplit;
	int r = check_part(toc, "TOC", blob_size, error);
	if (r == 0)
		r = check_part(tarsplit, "tar-split", blob_size, error);
	if (r < 0)
		return r;
	if (toc->size == 0)
		return error_set(error, CST_EARCHIVE, "the TOC is said to be empty");
	if (toc->size > TOC_SIZE_MAX || toc->plain_size > TOC_SIZE_MAX)
		return error_set(error, CST_ENOTSUP,
		                 "the TOC has %" PRIu64 " bytes, %" PRIu64
		                 " of them unpacked: at most %" PRIu64 " are read",
		                 toc->size, toc->plain_size, TOC_SIZE_MAX);
	if (tarsplit->size > 0 && tarsplit->offset < toc->offset + toc->size)
		return error_set(error, CST_EARCHIVE, "the tar-split is said to begin in the TOC");
	return 0;
}

/* ---- annotations ---- */

/* `n` numbers with colons between. */
static bool parse_numbers(const char *text, uint64_t *numbers, size_t n)
{
	_cleanup_strv_ struct strv words = {0};
	if (!strv_split(&words, text, ':') || words.len != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!parse_u64(words.items[i], INT64_MAX, &numbers[i]))
			return false;
	return true;
}

int place_from_annotations(const char *digest, const char *position, const char *tarsplit,
                           uint64_t blob_size, struct toc_place *ret, cst_error **error)
{
	struct toc_place place = {.format = CST_TOC_ZSTD_CHUNKED};
	uint64_t toc[4], split[3] = {0};
	if (!digest_is_sha256(digest))
		return error_set(error, CST_EARCHIVE, ANNOTATION_DIGEST ": \"%s\" is no digest",
		                 digest);
	if (!parse_numbers(position, toc, ARRAY_SIZE(toc)))
		return error_set(error, CST_EARCHIVE, ANNOTATION_POSITION ": \"%s\" is no position",
		                 position);
	if (!isempty(tarsplit) && !parse_numbers(tarsplit, split, ARRAY_SIZE(split)))
		return error_set(error, CST_EARCHIVE, ANNOTATION_TARSPLIT ": \"%s\" is no position",
		                 tarsplit);
	if (toc[3] != CHUNKED_TYPE)
		return error_set(error, CST_ENOTSUP,
		                 ANNOTATION_POSITION ": type %" PRIu64 " is not known", toc[3]);
	strcpy(place.digest, digest);
	place.toc = (struct chunked_part){toc[0], toc[1], toc[2]};
	place.tarsplit = (struct chunked_part){split[0], split[1], split[2]};
	int r = check_place(&place, blob_size, error);
	if (r == 0)
		*ret = place;
	return r;
}

void place_annotations(const struct toc_place *place, char position[POSITION_TEXT_MAX],
                       char tarsplit[POSITION_TEXT_MAX])
{
	snprintf(position, POSITION_TEXT_MAX, "%" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%d",
	         place->toc.offset, place->toc.size, place->toc.plain_size, CHUNKED_TYPE);
	snprintf(tarsplit, POSITION_TEXT_MAX, "%" PRIu64 ":%" PRIu64 ":%" PRIu64,
	         place->tarsplit.offset, place->tarsplit.size, place->tarsplit.plain_size);
}

/* ---- footers ---- */

static int unknown_type(uint64_t type, cst_error **error)
{
	return error_set(error, CST_ENOTSUP, "the footer has a TOC of type %" PRIu64 ", not %d",
	                 type, CHUNKED_TYPE);
}

int place_from_footer(const uint8_t footer[CHUNKED_FOOTER_SIZE], uint64_t blob_size,
                      struct toc_place *ret, cst_error **error)
{
	uint64_t fields[8];
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = number_at(footer + 8 * i);
	if (fields[7] != FOOTER_MAGIC)
		return error_set(error, CST_EARCHIVE, "it has no footer of zstd:chunked");
	if (fields[3] != CHUNKED_TYPE)
		return unknown_type(fields[3], error);
	struct toc_place place = {.format = CST_TOC_ZSTD_CHUNKED,
	                          .toc = {fields[0], fields[1], fields[2]},
	                          .tarsplit = {fields[4], fields[5], fields[6]}};
	int r = check_place(&place, blob_size, error);
	if (r == 0)
		*ret = place;
	return r;
}

void place_footer(const struct toc_place *place, uint8_t ret[CHUNKED_FOOTER_SIZE])
{
	const uint64_t fields[8] = {place->toc.offset,          place->toc.size,
	                            place->toc.plain_size,      CHUNKED_TYPE,
	                            place->tarsplit.offset,     place->tarsplit.size,
	                            place->tarsplit.plain_size, FOOTER_MAGIC};
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint64_t n = htole64(fields[i]);
		memcpy(ret + 8 * i, &n, sizeof(n));
	}
}

/* Of versions up to 1.47: without a tar-split. */
static int place_from_old_footer(const uint8_t footer[OLD_FOOTER_SIZE], uint64_t blob_size,
                                 struct toc_place *ret, cst_error **error)
{
	if (number_at(footer + 24) != CHUNKED_TYPE)
		return unknown_type(number_at(footer + 24), error);
	struct toc_place place = {
	        .format = CST_TOC_ZSTD_CHUNKED,
	        .toc = {number_at(footer), number_at(footer + 8), number_at(footer + 16)}};
	int r = check_place(&place, blob_size, error);
	if (r == 0)
		*ret = place;
	return r;
}

int place_from_estargz_footer(const uint8_t footer[ESTARGZ_FOOTER_SIZE], uint64_t blob_size,
                              struct toc_place *ret, cst_error **error)
{
	static const uint8_t head[] = {0x1f, 0x8b, 8, 4};
	static const uint8_t extra[] = {26, 0, 'S', 'G', 22, 0};
	char digits[17] = "";
	char *end;
	if (memcmp(footer, head, sizeof(head)) != 0 ||
	    memcmp(footer + 10, extra, sizeof(extra)) != 0 || memcmp(footer + 32, "STARGZ", 6) != 0)
		return error_set(error, CST_EARCHIVE, "it has no footer of eStargz");
	memcpy(digits, footer + 16, 16);
	errno = 0;
	uint64_t offset = strtoull(digits, &end, 16);
	if (*end || errno || strspn(digits, "0123456789abcdefABCDEF") != 16 ||
	    offset >= blob_size - ESTARGZ_FOOTER_SIZE)
		return error_set(error, CST_EARCHIVE,
		                 "its TOC is said to be at byte %s (hex): the blob has %" PRIu64,
		                 digits, blob_size);
	struct toc_place place = {
	        .format = CST_TOC_ESTARGZ,
	        .toc = {.offset = offset, .size = blob_size - ESTARGZ_FOOTER_SIZE - offset}};
	int r = check_place(&place, blob_size, error);
	if (r == 0)
		*ret = place;
	return r;
}

int place_from_blob(const struct chunked_blob *blob, struct toc_place *ret, cst_error **error)
{
	uint8_t last[CHUNKED_FOOTER_SIZE];
	if (blob->size < sizeof(last))
		return error_set(error, CST_EARCHIVE,
		                 "it has no footer: neither zstd:chunked nor eStargz");
	int r = blob->read_at(blob->userdata, blob->size - sizeof(last), last, sizeof(last), error);
	if (r < 0)
		return r;
	const uint8_t *end = last + sizeof(last), *estargz = end - ESTARGZ_FOOTER_SIZE;
	if (number_at(end - 8) == FOOTER_MAGIC)
		return place_from_footer(last, blob->size, ret, error);
	if (number_at(end - 8) == OLD_FOOTER_MAGIC)
		return place_from_old_footer(end - OLD_FOOTER_SIZE, blob->size, ret, error);
	if (memcmp(estargz, "\x1f\x8b", 2) == 0)
		return place_from_estargz_footer(estargz, blob->size, ret, error);
	return error_set(error, CST_EARCHIVE, "it has no footer: neither zstd:chunked nor eStargz");
}

/* ---- a blob in a file ---- */

static int read_fd(void *userdata, uint64_t offset, void *buffer, size_t n, cst_error **error)
{
	const int *fd = userdata;
	for (size_t done = 0; done < n;) {
		ssize_t got = pread(*fd, (char *)buffer + done, n - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_sys(error, errno, "read blob");
		if (got == 0)
			return error_set(error, CST_EARCHIVE, "the blob became shorter");
		done += (size_t)got;
	}
	return 0;
}

int chunked_blob_fd(const int *fd, struct chunked_blob *ret, cst_error **error)
{
	struct stat st;
	if (fstat(*fd, &st) < 0)
		return error_sys(error, errno, "stat blob");
	if (!S_ISREG(st.st_mode))
		return error_set(error, CST_EINVAL, "the blob is not a regular file");
	*ret = (struct chunked_blob){
	        .read_at = read_fd, .userdata = (void *)fd, .size = (uint64_t)st.st_size};
	return 0;
}
