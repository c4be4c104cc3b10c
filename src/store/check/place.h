/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of places where blobs are, and the blobs of a place. */
#ifndef CST_STORE_CHECK_PLACE_H
#define CST_STORE_CHECK_PLACE_H

#include "base/digest.h"
#include "base/mem.h"
#include "store/check/blob_sum.h"
#include "codec/plain_source.h"
#include <cstorage/store.h>

struct blob {
	const char *name;      /* inside of the place */
	const char *named;     /* the digest that the name tells; "": none */
	uint64_t offset, size; /* in an archive */
	/* Of its content. "": not known. */
	const char *digest, *plain;
	bool tried; /* by the search at hand */
};

struct tempdir;
struct place;
struct blob_reader {
	cst_source source;
	/* of the kinds */
	int fd;
	cst_source below;
	struct plain_source *unpacked;
	uint64_t left;
};
#define BLOB_READER_INIT {.fd = -1}
void blob_reader_done(struct blob_reader *reader);
#define _cleanup_blob_reader_ _cleanup_(blob_reader_done)

struct place_kind {
	int (*list)(struct place *place, cst_error **error); /* adds its blobs */
	int (*open)(struct place *place, const struct blob *blob, struct blob_reader *ret, cst_error **error);
};
extern const struct place_kind directory_place, archive_place, store_place;

struct place {
	const struct place_kind *kind;
	const char *path; /* as the user gave it */
	int fd;           /* of the directory or of the archive */
	bool compressed;  /* the archive */
	cst_store *theirs;
	cst_store *ours;         /* whose temporary directory a blob of another store is put in for a while: */
	struct tempdir *scratch; /* this */
	uint64_t plain_max;
	const cst_progress *progress;
	uint64_t *bytes_read;

	struct arena arena;
	struct blob *blobs;
	size_t len, capacity;
	bool listed, measured;
};
/* Adds a blob, with what its path tells of its digest. */
int place_add(struct place *place, const char *path, struct blob **ret, cst_error **error);
#define PLACE_BLOBS_MAX 1000000
#define SUM_BUFFER      ((size_t)256 << 10)

/* Hashes more of a blob, and tells the progress. */
int place_sum(struct place *place, struct blob_sum *sum, const void *data, size_t n, cst_error **error);
/* Notes what was hashed. */
int place_sum_end(struct place *place, struct blob_sum *sum, struct blob *blob, cst_error **error);

#endif
