/* SPDX-License-Identifier: Apache-2.0 */
/* What the bytes of a tar header mean: numbers, texts, PAX records, sparse maps. */
#ifndef CST_ARCHIVE_TAR_FIELDS_H
#define CST_ARCHIVE_TAR_FIELDS_H

#include "archive/tar/tar.h"

/* ---- one 512 byte block ---- */

bool tar_block_is_zero(const uint8_t *block);
bool tar_block_checksum_ok(const uint8_t *block); /* bytes summed unsigned or signed */

enum tar_format { TAR_V7, TAR_USTAR, TAR_STAR, TAR_GNU };
enum tar_format tar_block_format(const uint8_t *block);

/* Octal or base-256; false: neither, or above 63 bits. */
bool tar_parse_number(const uint8_t *field, size_t n, int64_t *ret);
/* Up to the first NUL, copied. NULL: out of memory. */
char *tar_parse_text(struct arena *arena, const uint8_t *field, size_t n);

/* ---- one entry while its headers are read ---- */

struct tar_pairs { /* offset, length pairs of a sparse map */
	struct tar_sparse *items;
	size_t len, capacity;
};

/* What an `x` header says. NULL or `has_` false: nothing, or an empty value. Later records replace
 * earlier ones. */
struct tar_pax {
	const char *path, *linkpath, *uname, *gname;
	const char *uid, *gid, *size, *atime, *mtime, *ctime;
	const char *sparse_name, *sparse_major, *sparse_minor, *sparse_size, *sparse_realsize,
	        *sparse_blocks, *sparse_map;
	struct strbuf
	        sparse_list; /* version 0.0: its offset and numbytes records, joined by commas */
	size_t sparse_records;
	struct tar_xattr *xattrs;
	size_t n_xattrs, xattrs_capacity;
};
void tar_pax_reset(struct tar_pax *pax);
void tar_pax_free(struct tar_pax *pax);
/* Strings go to the arena. False: not a valid list of records (or out of memory: arena->failed). */
bool tar_pax_parse(struct tar_pax *pax, const char *data, size_t n, struct arena *arena);

bool tar_parse_int(const char *text, int64_t *ret);          /* decimal with sign, all of it */
bool tar_parse_time(const char *text, struct timespec *ret); /* [-]seconds[.digits] */

/* "offset,length,offset,length"; `count` pairs. False: not that. */
bool tar_parse_sparse_list(const char *text, int64_t count, struct tar_pairs *pairs);
bool tar_pairs_add(struct tar_pairs *pairs, int64_t offset, int64_t length);
/* In order, without overlap, inside of the file. *data: sum of the lengths. */
bool tar_pairs_valid(const struct tar_pairs *pairs, uint64_t size, uint64_t *data);

#endif
