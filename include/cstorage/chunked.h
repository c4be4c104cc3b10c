/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of which parts can be fetched: zstd:chunked and eStargz. Such a blob is a compressed tar that any program can unpack, in
 * which each file, or each piece of a large one, was compressed by itself, and a table of contents (TOC) that says where. A blob is
 * given as the descriptor of a regular file, which stays the caller's; its position is neither used nor changed. But for
 * cst_store_diff_chunked nothing here needs a store or takes a lock. Any call may fail with CST_ENOMEM and CST_ESYS; those are not
 * repeated.
 */
#ifndef CSTORAGE_CHUNKED_H
#define CSTORAGE_CHUNKED_H

#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cst_toc_format {
	CST_TOC_ZSTD_CHUNKED = 1,
	CST_TOC_ESTARGZ = 2,
};

/* A TOC. It does not change, and may outlive the descriptor. Many threads may read it. */
typedef struct cst_toc cst_toc;

typedef struct cst_toc_options {
	size_t size; /* sizeof(cst_toc_options), set by CST_TOC_OPTIONS_INIT */
	/* What the annotations of the layer in its manifest say. NULL or "": not known. */
	const char *digest;   /* "sha256:...": a TOC with another digest is refused. Without it nobody knows whose TOC it is */
	const char *position; /* of the TOC, as in io.github.containers.zstd-chunked.manifest-position; else the footer of
				 the blob tells */
	const char *tarsplit_position; /* as in io.github.containers.zstd-chunked.tarsplit-position; with `position` only */
} cst_toc_options;
#define CST_TOC_OPTIONS_INIT {.size = sizeof(cst_toc_options)}

/* Reads the TOC of a blob and checks it: that chunks lie one behind the other in the blob, without gaps in their files, and have
 * digests. Content is not read. `options` may be NULL. *ret is the caller's, to be given to cst_toc_free. CST_EARCHIVE (no such
 * blob, damaged, forged), CST_ENOTSUP (too big, or a feature of a format that is not read), CST_EINVAL (options, no regular
 * file). */
CST_PUBLIC int cst_toc_read(int fd, const cst_toc_options *options, cst_toc **ret, cst_error **error);
CST_PUBLIC void cst_toc_free(cst_toc *toc); /* NULL allowed */

CST_PUBLIC int cst_toc_format(const cst_toc *toc); /* enum cst_toc_format */
/* The digest that names this TOC in annotations and records: of the compressed TOC for zstd:chunked, of its JSON for eStargz. */
CST_PUBLIC const char *cst_toc_digest(const cst_toc *toc);
/* The digest of the compressed tar-split in the blob; "": it has none. */
CST_PUBLIC const char *cst_toc_tarsplit_digest(const cst_toc *toc);
/* The JSON as it was read, `*size` bytes with no NUL behind. */
CST_PUBLIC const char *cst_toc_json(const cst_toc *toc, size_t *size);

/* Where a part of the blob is: a value type. */
typedef struct cst_blob_part {
	uint64_t offset, size; /* in the blob, without headers of its frame. size 0: there is none */
	uint64_t plain_size;   /* unpacked */
} cst_blob_part;
CST_PUBLIC cst_blob_part cst_toc_place(const cst_toc *toc);          /* of the TOC itself */
CST_PUBLIC cst_blob_part cst_toc_tarsplit_place(const cst_toc *toc);

/* ---- entries ---- */

/* One file, directory, link or the like, as in the tar. The texts belong to the TOC. */
typedef struct cst_toc_entry {
	size_t size; /* sizeof(cst_toc_entry), set by CST_TOC_ENTRY_INIT */
	const char *name, *link_name; /* as in the tar: "./usr/", "usr/bin/env" */
	uint64_t file_size;
	int64_t mode;                 /* as in the tar: permissions, set-id and sticky bits, sometimes the type */
	int64_t mtime;                /* seconds since 1970; 0 where there is none */
	uint32_t mtime_nsec, uid, gid, device_major, device_minor;
	char type;                    /* as in the tar: '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' dir, '6' fifo */
	char unused[3];
	char digest[72];              /* "sha256:..." of the content of a file, else "" */
	size_t n_xattrs, n_chunks;
} cst_toc_entry;
#define CST_TOC_ENTRY_INIT {.size = sizeof(cst_toc_entry)}

/* A piece of a file. */
typedef struct cst_toc_chunk {
	size_t size; /* sizeof(cst_toc_chunk), set by CST_TOC_CHUNK_INIT */
	uint64_t blob_offset, blob_size;  /* what has to be fetched for it */
	uint64_t file_offset, chunk_size; /* its place in the file */
	char digest[72];                  /* "sha256:..."; "" where only the file has one */
	bool zeros;                       /* a hole: nothing has to be fetched */
	char unused[7];
} cst_toc_chunk;
#define CST_TOC_CHUNK_INIT {.size = sizeof(cst_toc_chunk)}

CST_PUBLIC size_t cst_toc_size(const cst_toc *toc); /* entries */
/* Fill in entry `index`, and chunk `chunk` of it. CST_EINVAL: there is none, or a struct that was not initialised. */
CST_PUBLIC int cst_toc_entry_get(const cst_toc *toc, size_t index, cst_toc_entry *ret, cst_error **error);
CST_PUBLIC int cst_toc_chunk_get(const cst_toc *toc, size_t index, size_t chunk, cst_toc_chunk *ret, cst_error **error);

/* Look for the entry of that name, the first file with that content ("sha256:..."), and the first chunk. CST_EDATA_UNKNOWN: there
 * is none. CST_EINVAL: no sha256 digest. */
CST_PUBLIC int cst_toc_find(const cst_toc *toc, const char *name, size_t *index, cst_error **error);
CST_PUBLIC int cst_toc_find_file(const cst_toc *toc, const char *digest, size_t *index, cst_error **error);
CST_PUBLIC int cst_toc_find_chunk(const cst_toc *toc, const char *digest, size_t *index, size_t *chunk, cst_error **error);

/* ---- whole blobs ---- */

/* What a blob is. Filled in by the library as far as `size` reaches. */
typedef struct cst_chunked_result {
	size_t size; /* sizeof(cst_chunked_result), set by CST_CHUNKED_RESULT_INIT */
	/* What belongs into the annotations of the layer in its manifest: of zstd:chunked io.github.containers.zstd-chunked.
	 * manifest-checksum, manifest-position and tarsplit-position, "" if there is none; of eStargz the digest only. */
	char toc_digest[136], position[96], tarsplit_position[96];
	char blob_digest[136]; /* "sha256:..." */
	char diff_digest[136]; /* of the plain tar: the DiffID */
	uint64_t blob_size, diff_size;
	uint64_t entries;
} cst_chunked_result;
#define CST_CHUNKED_RESULT_INIT {.size = sizeof(cst_chunked_result)}

/* Unpacks a blob whose TOC was read, and looks if all is what the TOC says: each chunk, unpacked by itself, and each file has its
 * digest; the tar has the same entries with the same content; the tar-split makes this very tar. `progress` (what: "verify") and
 * `result` may be NULL. CST_EARCHIVE (not so: the entry is named), CST_ECANCELED, CST_EINVAL. */
CST_PUBLIC int cst_toc_verify(const cst_toc *toc, int fd, const cst_progress *progress, cst_chunked_result *result,
			      cst_error **error);

typedef struct cst_chunked_options {
	size_t size; /* sizeof(cst_chunked_options), set by CST_CHUNKED_OPTIONS_INIT */
	int level;   /* of zstd, 1 to 19; 0: 3 */
	char unused[4];
	const cst_progress *progress; /* what: "chunked"; counts bytes of the plain tar. May be NULL */
} cst_chunked_options;
#define CST_CHUNKED_OPTIONS_INIT {.size = sizeof(cst_chunked_options)}

/* Writes a layer tar, plain or compressed with gzip, zstd, bzip2 or xz, as a zstd:chunked blob. Files are cut into chunks where the
 * Go tools cut them; the compressed bytes are not those that the Go tools write. `options` and `result` may be NULL. CST_EARCHIVE
 * (a damaged tar), CST_ENOTSUP (what the format cannot hold, as two entries of one name, sparse files, global headers, or names
 * that are not UTF-8), CST_ECANCELED, CST_EINVAL, what source and sink fail with. After a failure what was written is no blob. */
CST_PUBLIC int cst_chunked_create(const cst_source *archive, const cst_sink *blob, const cst_chunked_options *options,
				  cst_chunked_result *result, cst_error **error);
/* The same for the layer tar that cst_store_diff writes of the layer `id` against its parent. Errors as there, too. */
CST_PUBLIC int cst_store_diff_chunked(cst_store *store, const char *id, const cst_sink *blob, const cst_chunked_options *options,
				      cst_chunked_result *result, cst_error **error);

/* ---- what the layers of a store have ---- */

/* A piece of a file of a layer: `length` bytes at `offset`. The texts are the caller's, to be freed with cst_free. */
typedef struct cst_content_place {
	size_t size; /* sizeof(cst_content_place), set by CST_CONTENT_PLACE_INIT */
	char *layer; /* its ID */
	char *name;  /* as in the TOC of the layer, or of a composefs image that of the object */
	uint64_t offset, length;
} cst_content_place;
#define CST_CONTENT_PLACE_INIT {.size = sizeof(cst_content_place)}

/* Where a layer that has a TOC has a file or a chunk with this digest ("sha256:..."): what a pull need not fetch. The file may have
 * changed since: whoever takes content from there holds it against the digest. Makes the index of digests of each layer that has none, and keeps it with the layer. CST_EDATA_UNKNOWN (no layer is
 * known to have it), CST_EINVAL (no sha256 digest). L r; L w for each index that is made. */
CST_PUBLIC int cst_store_find_content(cst_store *store, const char *digest, cst_content_place *ret, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
