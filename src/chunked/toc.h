/* SPDX-License-Identifier: Apache-2.0 */
/* The table of contents of a chunked layer, read from its JSON (docs/format/chunked.md, "TOC JSON"). A TOC is checked as a whole
 * when it is made, and does not change afterwards: any number of threads may read it. */
#ifndef CST_CHUNKED_TOC_H
#define CST_CHUNKED_TOC_H

#include "base/digest.h"
#include "base/hashmap.h"
#include "base/mem.h"
#include "base/str.h"
#include <cstorage/chunked.h>

#define TOC_SIZE_MAX    ((uint64_t)150 << 20) /* of the JSON, compressed and plain; the Go tools read no more */
#define TOC_ENTRIES_MAX ((size_t)1 << 21)     /* and as many chunks: more do not fit in that JSON if they say what they must */
#define TOC_DIGEST_SIZE 32                    /* raw sha256 */
#define TOC_DIGEST_TEXT 72                    /* "sha256:<hex>" with NUL */

struct toc_time {
	int64_t sec; /* since 1970 */
	uint32_t nsec;
	bool known;
};

struct toc_xattr {
	const char *name;
	const void *value;
	size_t len, number; /* number: its place in what was read, for toc_sort_xattrs() */
};

/* A piece of a file, that can be fetched and unpacked by itself. */
struct toc_chunk {
	uint64_t offset, end;       /* in the blob: what has to be fetched for it */
	uint64_t file_offset, size; /* in the file */
	uint32_t entry;             /* whose it is */
	bool zeros;                 /* it is a hole: nothing has to be fetched */
	bool exact;                 /* what is at offset..end holds this chunk and nothing else */
	bool has_digest;            /* false: only the digest of the whole file is known */
	uint8_t digest[TOC_DIGEST_SIZE];
};

struct toc_entry {
	const char *name, *linkname; /* as in the tar; never NULL */
	char type;                   /* as in a tar header: '0' to '6' */
	bool has_digest;             /* regular files always have one */
	uint32_t uid, gid, devmajor, devminor;
	uint32_t first_chunk, n_chunks; /* none: no content */
	int64_t mode;                   /* as the tar header has it */
	uint64_t size;
	struct toc_time mtime, atime, ctime;
	const struct toc_xattr *xattrs; /* in byte order of their names */
	size_t n_xattrs;
	uint8_t digest[TOC_DIGEST_SIZE];
};

/* Where a part of the blob is, and how long it is unpacked. size 0: there is none. */
struct chunked_part {
	uint64_t offset, size, plain_size;
};

struct toc {
	enum cst_toc_format format;
	char *json; /* the bytes it was read from; they have the digest, and the store keeps them */
	size_t json_size;
	char digest[DIGEST_TEXT_MAX];          /* of the TOC, as the annotation has it: "the TOC digest" */
	char tarsplit_digest[DIGEST_TEXT_MAX]; /* of the compressed tar-split; "": none that can be trusted */
	struct chunked_part place, tarsplit;   /* in the blob */
	struct toc_entry *entries;
	size_t n_entries, entries_capacity;
	struct toc_chunk *chunks; /* of one file one after the other */
	size_t n_chunks, chunks_capacity;
	uint32_t *files_by_digest, *chunks_by_digest; /* sorted */
	size_t n_files_by_digest, n_chunks_by_digest;
	struct hashmap by_name; /* to an entry */
	struct arena arena;
};

/* Reads the JSON, which it takes also when it fails. `data_end`: no chunk lies behind this place in the blob. Refused, by the name
 * of the entry, is what overlaps, has gaps, leaves the blob or lacks a digest. The caller fills in digest, place and tarsplit.
 * CST_EARCHIVE, CST_ENOTSUP (a feature of a format that nobody here can read). */
int toc_parse(char *json, size_t size, enum cst_toc_format format, uint64_t data_end, struct toc **ret, cst_error **error);
void toc_free(struct toc *toc);
DEFINE_CLEANUP(struct toc *, toc_free)

/* The chunks of an entry that has some. */
static inline struct toc_chunk *toc_chunks_of(const struct toc *toc, const struct toc_entry *entry)
{
	return entry->n_chunks > 0 ? &toc->chunks[entry->first_chunk] : NULL;
}
const struct toc_entry *toc_find_name(const struct toc *toc, const char *name); /* NULL: there is none */

/* By digest: NULL: there is none. Of several the first. Only of a TOC whose digests were indexed, which pulls do without. */
int toc_index_digests(struct toc *toc, cst_error **error);
const struct toc_entry *toc_find_file(const struct toc *toc, const uint8_t digest[TOC_DIGEST_SIZE]);
const struct toc_chunk *toc_find_chunk(const struct toc *toc, const uint8_t digest[TOC_DIGEST_SIZE]);

/* The raw bytes of "sha256:<hex>", and back. False: it is none. */
bool toc_digest_parse(const char *text, uint8_t ret[TOC_DIGEST_SIZE]);
void toc_digest_format(const uint8_t digest[TOC_DIGEST_SIZE], char ret[TOC_DIGEST_TEXT]);

#define TOC_TIME_ZERO INT64_C(-62135596800) /* seconds of Go's zero time, in the year 1 */

/* Sorts by name. Of several with one name the last one stays. Returns how many do. */
size_t toc_sort_xattrs(struct toc_xattr *xattrs, size_t n);
/* Is the name that of an entry which eStargz puts into the tar for itself? */
bool toc_is_of_the_format(const struct toc *toc, const char *name);

/* ---- toc_print.c ---- */

/* Appends the JSON, byte for byte as the Go tools write it. */
int toc_print(const struct toc *toc, struct strbuf *out, cst_error **error);

/* ---- toc_layout.c ---- */

/* Derives where chunks end, and looks for what overlaps. */
int toc_check_layout(struct toc *toc, uint64_t data_end, cst_error **error);

#endif
