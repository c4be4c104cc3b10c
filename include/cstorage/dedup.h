/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letting equal files of a store share their blocks, where the file system can: btrfs, and xfs made with reflink=1.
 */
#ifndef CSTORAGE_DEDUP_H
#define CSTORAGE_DEDUP_H

#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How files are found that may be equal. The kernel compares them byte by byte before they share anything. */
enum cst_dedup_method {
	CST_DEDUP_CRC = 1,    /* size and CRC-64 of the content */
	CST_DEDUP_SIZE = 2,   /* the size alone: nothing is hashed, and the kernel compares more */
	CST_DEDUP_SHA256 = 3, /* size and SHA-256 of the content */
};

typedef struct cst_dedup_options {
	size_t size; /* sizeof(cst_dedup_options) of the caller */
	int method; /* enum cst_dedup_method */
	bool dry_run; /* share nothing: tell what would be freed, by size and hash */
	char unused[3];
	size_t files_at_once; /* how many files are kept in memory, some 80 bytes each. If there are more, the layers are walked
				 through several times. 0: 524288 */
	const cst_progress *progress; /* what: "dedup"; counts bytes of the files. May be NULL */
} cst_dedup_options;
#define CST_DEDUP_OPTIONS_INIT {.size = sizeof(cst_dedup_options), .method = CST_DEDUP_CRC}

typedef struct cst_dedup_result {
	size_t size; /* sizeof(cst_dedup_result) of the caller */
	uint64_t files;  /* regular files that are not empty, each inode once */
	uint64_t equal;  /* bytes of files that are equal to another one and now share its blocks, or did before; without that
			    one. This is what the Go tools count */
	uint64_t freed;  /* bytes on disk that nothing uses any more, now that files share; with dry_run an estimate */
	uint64_t hashed; /* bytes that were read to be hashed */
	uint64_t left;   /* files that could not be read, or that failed to share; the log tells which */
} cst_dedup_result;
#define CST_DEDUP_RESULT_INIT {.size = sizeof(cst_dedup_result)}

/* Lets equal files of the layers of all images share their blocks. Content, times, owners and attributes of a file stay, and
 * whatever is done to one of them later does not change the other. Left alone are layers of containers, layers that no image
 * is built on, additional stores, and files that are immutable or sealed with verity. What was hashed before is not
 * hashed again: hashes are kept in the run directory, where the file may be deleted at any time. Files that share all their
 * blocks already are not compared. Locks L r and I r for the lists; none while files are looked at. If it is interrupted, what
 * was shared stays so. *ret (may be NULL) is filled also after CST_ECANCELED. CST_ENOTSUP: the driver or the file system cannot.
 * CST_ESTORE_READ_ONLY, CST_ECANCELED. */
CST_PUBLIC int cst_store_dedup(cst_store *store, const cst_dedup_options *given, cst_dedup_result *ret, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
