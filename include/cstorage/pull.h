/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pulling a layer in parts: of a zstd:chunked blob that is somewhere else, only what no layer of the store has is fetched. The layer
 * that comes out is the same as if the whole blob had been imported. Any call may fail with CST_ENOMEM and CST_ESYS; those are not
 * repeated.
 */
#ifndef CSTORAGE_PULL_H
#define CSTORAGE_PULL_H

#include <cstorage/staged.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `length` bytes of a blob from byte `offset` on. A value type. */
typedef struct cst_range {
	uint64_t offset, length;
} cst_range;

/* A blob that can be read in parts. A value type. */
typedef struct cst_range_source {
	uint64_t blob_size;
	/* Asks for these ranges, which are sorted, do not overlap, and stay as they are until the next request. What was asked for
	 * before, and not read, is not wanted any more. CST_ENOTSUP: not so many ranges can be delivered at once; the next request is
	 * for fewer. If a single range is refused so, the whole blob is asked for, as one range. */
	int (*request)(void *userdata, const cst_range *ranges, size_t n, cst_error **error);
	/* The bytes of these ranges, one range behind the other: as the `read` of a cst_source. */
	int64_t (*read)(void *userdata, void *buffer, size_t size, cst_error **error);
	void *userdata;
} cst_range_source;

/* The state of a source that reads a file. Zero-initialised by the caller, who keeps it as long as the source is used. */
typedef struct cst_range_file {
	int fd;
	char unused[4];
	const cst_range *ranges;
	size_t n;
	uint64_t done; /* bytes of the first range */
} cst_range_file;
/* A blob that is a regular file. `fd` stays the caller's; its position is neither used nor changed. CST_EINVAL (no regular file). */
CST_PUBLIC int cst_range_source_fd(int fd, cst_range_file *file, cst_range_source *ret, cst_error **error);

typedef struct cst_pull_options {
	size_t size; /* sizeof(cst_pull_options), set by CST_PULL_OPTIONS_INIT */
	const cst_stage_options *stage;          /* the parent, the maps and so on; may be NULL */
	const cst_staged_commit_options *commit; /* ID, names and flags; may be NULL */
	/* What the manifest of the image says of the layer. NULL or "": not known. Nothing is fetched in parts without the first one. */
	const char *toc_digest;        /* io.github.containers.zstd-chunked.manifest-checksum */
	const char *toc_position;      /* io.github.containers.zstd-chunked.manifest-position; else the footer of the blob tells */
	const char *tarsplit_position; /* io.github.containers.zstd-chunked.tarsplit-position; with `toc_position` only */
	const char *blob_digest;       /* sha256 of the blob; checked if all of it is fetched */
	const char *diff_digest;       /* sha256 of the plain tar: the DiffID. A layer with another one is never made */
	const cst_progress *progress;  /* what: "import"; may be NULL */
} cst_pull_options;
#define CST_PULL_OPTIONS_INIT {.size = sizeof(cst_pull_options)}

/* What was fetched. Filled in by the library as far as `size` reaches. */
typedef struct cst_pull_result {
	size_t size; /* sizeof(cst_pull_result), set by CST_PULL_RESULT_INIT */
	uint64_t bytes_fetched; /* of the blob, whether they were of use or not */
	uint64_t requests, ranges;
	uint64_t bytes_reused, files_reused; /* content that came from other layers; files that came from there as a whole */
	bool in_parts;
	char unused[7];
	char reason[256]; /* why it was not fetched in parts; "" if it was */
} cst_pull_result;
#define CST_PULL_RESULT_INIT {.size = sizeof(cst_pull_result)}

/* Makes a layer of a blob. Files and chunks that another layer has are taken from there, and held against their digest, or that of the
 * tar, which is quicker, if diff_digest says it; the rest is fetched, and checked as it arrives. The whole blob is fetched instead if it cannot be done so: no TOC, no tar-split, something in
 * them that is wrong or not known, a source that does not deliver, content with another digest. *layer and `result` may be NULL.
 * Nothing stays of a pull that fails. CST_EARCHIVE (the whole blob is damaged, or has other digests), CST_ECANCELED, CST_EINVAL
 * (options), what the source fails with, and the errors of cst_store_stage_layer and cst_staged_layer_commit. L r, C r; L w for the
 * commit. No lock is held while content is fetched. */
CST_PUBLIC int cst_store_pull_layer(cst_store *store, const cst_range_source *blob, const cst_pull_options *options,
				    cst_layer **layer, cst_pull_result *result, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
