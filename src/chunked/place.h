/* SPDX-License-Identifier: Apache-2.0 */
/* Where the TOC of a blob is, and how it is read from there. Whoever fetches ranges of a blob asks here which, and hands in the
 * bytes; for a blob that is here as a whole, toc_read() does all of it. */
#ifndef CST_CHUNKED_PLACE_H
#define CST_CHUNKED_PLACE_H

#include "chunked/toc.h"

/* The annotations of a layer in its manifest (docs/format/chunked.md, "Layer annotations"). */
#define ANNOTATION_DIGEST   "io.github.containers.zstd-chunked.manifest-checksum"
#define ANNOTATION_POSITION "io.github.containers.zstd-chunked.manifest-position"
#define ANNOTATION_TARSPLIT "io.github.containers.zstd-chunked.tarsplit-position"
#define ANNOTATION_ESTARGZ  "containerd.io/snapshot/stargz/toc.digest"

#define CHUNKED_FOOTER_SIZE 64 /* of zstd:chunked, without the header of its frame */
#define ESTARGZ_FOOTER_SIZE 51
#define SKIPPABLE_HEADER    8 /* of a frame that decoders skip: magic and length */
#define SKIPPABLE_MAGIC     UINT32_C(0x184d2a50)
#define CHUNKED_TYPE        1 /* the only kind of TOC there is */

struct toc_place {
	enum cst_toc_format format;
	char digest[DIGEST_TEXT_MAX]; /* of the TOC: compressed for zstd:chunked, plain for eStargz. "": not known */
	struct chunked_part toc, tarsplit;
};

/* A blob that can be read anywhere. `read_at` reads all n bytes or fails; it is never asked for what is behind `size`. */
struct chunked_blob {
	int (*read_at)(void *userdata, uint64_t offset, void *buffer, size_t n, cst_error **error);
	void *userdata;
	uint64_t size;
};
int chunked_blob_fd(const int *fd, struct chunked_blob *ret, cst_error **error); /* *fd must stay */

/* From the values of the annotations; `tarsplit` may be NULL. CST_EARCHIVE: they make no sense, or leave the blob. CST_ENOTSUP: the
 * TOC is too big to be read. */
int place_from_annotations(const char *digest, const char *position, const char *tarsplit, uint64_t blob_size,
			   struct toc_place *ret, cst_error **error);

/* The values for a blob that was written. */
#define POSITION_TEXT_MAX 96
void place_annotations(const struct toc_place *place, char position[POSITION_TEXT_MAX], char tarsplit[POSITION_TEXT_MAX]);

/* From the last bytes of the blob. Anyone can have made them: nothing says that the TOC is the one that was meant. */
int place_from_footer(const uint8_t footer[CHUNKED_FOOTER_SIZE], uint64_t blob_size, struct toc_place *ret, cst_error **error);
void place_footer(const struct toc_place *place, uint8_t ret[CHUNKED_FOOTER_SIZE]);
int place_from_estargz_footer(const uint8_t footer[ESTARGZ_FOOTER_SIZE], uint64_t blob_size, struct toc_place *ret,
			      cst_error **error);
/* Reads the footer, whichever it is. */
int place_from_blob(const struct chunked_blob *blob, struct toc_place *ret, cst_error **error);

/* Makes the TOC of the bytes at place->toc, which must have place->digest, if that is known. */
int toc_from_bytes(const struct toc_place *place, const void *data, struct toc **ret, cst_error **error);
int toc_read(const struct chunked_blob *blob, const struct toc_place *place, struct toc **ret, cst_error **error);

/* ---- estargz.c ---- */

/* The JSON in the tar in these gzip members. The caller frees it. */
int estargz_unpack_toc(const void *data, size_t n, char **ret, size_t *ret_size, cst_error **error);

#endif
