/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer tars of plain directories, without any store: unpack one, pack a directory, compare two directories, and pack what
 * differs. Directories are given as descriptors, opened O_RDONLY | O_DIRECTORY, which stay the caller's; nothing outside
 * of them is ever read or written, whatever the archive says. No lock is taken: the directories must not change
 * meanwhile, but see `in_use` of cst_apply_options. Any call may fail with CST_ENOMEM and CST_ESYS; those are not repeated.
 */
#ifndef CSTORAGE_ARCHIVE_H
#define CSTORAGE_ARCHIVE_H

#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What becomes of a whiteout, the entry `.wh.NAME` that deletes NAME of a lower layer. */
enum cst_whiteouts {
	CST_WHITEOUTS_APPLY = 0,   /* NAME is deleted: the directory is a whole file system */
	CST_WHITEOUTS_OVERLAY = 1, /* it becomes what overlayfs knows: the directory is one layer of it */
	CST_WHITEOUTS_KEEP = 2,    /* it stays the plain file it is in the tar */
};

typedef struct cst_apply_options {
	size_t size; /* sizeof(cst_apply_options), set by CST_APPLY_OPTIONS_INIT */
	int whiteouts; /* enum cst_whiteouts */
	bool ignore_chown_errors; /* whoever unpacks owns what cannot be given away */
	bool rootless; /* in a user namespace: no device nodes, overlayfs marks in user.* attributes */
	bool sync;     /* on disk when the call returns */
	char unused[1];
	const cst_idmap *uid_map, *gid_map; /* the tar's ids are container ids; none: taken as they are */
	size_t n_uid_map, n_gid_map;
	const cst_progress *progress; /* what: "import" */
	bool in_use;   /* other processes may change the directory meanwhile, for instance a container that runs in it: owner,
			  mode and attributes reach nothing but what the call made. Everything is made in a private directory
			  and moved to its name, one after the other: slower. A file that was there before and gets a
			  further name from a hard link keeps its owner and mode */
	char unused2[7];
} cst_apply_options;
#define CST_APPLY_OPTIONS_INIT { .size = sizeof(cst_apply_options) }

/* What was unpacked. Filled in by the library as far as `size` reaches. */
typedef struct cst_apply_result {
	size_t size; /* sizeof(cst_apply_result), set by CST_APPLY_RESULT_INIT */
	int compression;             /* enum cst_compression, of the stream as it was given */
	char unused[4];
	char compressed_digest[136]; /* "sha256:..." of the stream as it was given */
	char diff_digest[136];       /* of the plain tar: the DiffID */
	int64_t compressed_size, diff_size; /* bytes of the two */
	int64_t content_size;        /* bytes of regular files, each inode once */
	uint64_t entries;
} cst_apply_result;
#define CST_APPLY_RESULT_INIT { .size = sizeof(cst_apply_result) }

/* Unpacks a tar, plain or compressed with gzip, zstd, bzip2 or xz, into a directory that may hold something already. The
 * source is read to its end. `options` and `result` may be NULL. On failure the directory may hold any part of it.
 * CST_EARCHIVE, CST_EINVAL (an id that no map covers, bad options), CST_ECANCELED, what the source fails with. */
CST_PUBLIC int cst_archive_apply(int dirfd, const cst_source *source, const cst_apply_options *options,
				 cst_apply_result *result, cst_error **error);

typedef struct cst_pack_options {
	size_t size; /* sizeof(cst_pack_options), set by CST_PACK_OPTIONS_INIT */
	int compression; /* CST_PLAIN, CST_GZIP or CST_ZSTD */
	bool rootless; /* in a user namespace */
	char unused[3];
	const cst_idmap *uid_map, *gid_map; /* the files' ids are host ids; none: written as they are */
	size_t n_uid_map, n_gid_map;
	const cst_progress *progress; /* what: "diff" */
} cst_pack_options;
#define CST_PACK_OPTIONS_INIT { .size = sizeof(cst_pack_options) }

/* Writes everything below a directory as a layer tar; equal trees give equal bytes. `options` may be NULL.
 * CST_EINVAL (an id that no map covers, bad options), CST_ENOTSUP (compression), CST_ECANCELED, what the sink fails
 * with. */
CST_PUBLIC int cst_archive_pack(int dirfd, const cst_sink *sink, const cst_pack_options *options, cst_error **error);

/* What is different in `new_dirfd` against `old_dirfd` (-1: an empty directory), in order of the paths; *changes is the
 * caller's, to be given to cst_changes_free. Files are compared by mode, owner, type, size, time and attributes, not by
 * content. `options` may be NULL. CST_EINVAL. */
CST_PUBLIC int cst_archive_changes(int old_dirfd, int new_dirfd, const cst_pack_options *options, cst_changes **changes,
				   cst_error **error);
/* Writes these changes as a layer tar, deletions as whiteouts: cst_archive_apply on a copy of the old directory gives the
 * new one. Errors as of cst_archive_pack. */
CST_PUBLIC int cst_archive_diff(int old_dirfd, int new_dirfd, const cst_sink *sink, const cst_pack_options *options,
				cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
