/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets equal files share their blocks. No lock of the store is held while that is done, since nobody can notice it: a file has the
 * same content, times and attributes before and after, the kernel holds both files while it compares them and makes them
 * share, and a layer that is deleted meanwhile is only no longer found.
 *
 *   dedup.c    the order of the work: which layers, one pass or several
 *   collect.c  lists the files of layers
 *   group.c    files of one size: which are equal
 *   share.c    one file and another that it is to share with
 *   work.c     what all tasks share: progress, failures, opening a file
 *   known.c    hashes of earlier runs
 */
#ifndef CST_STORE_DEDUP_DEDUP_H
#define CST_STORE_DEDUP_DEDUP_H

#include "base/hash_set.h"
#include "base/pool.h"
#include "store/dedup/known.h"
#include <cstorage/dedup.h>
#include <stdatomic.h>

struct dedup_root { /* a directory that layers are in */
	const char *path;
	int fd;
	bool can_share, was_tried;
};
#define DEDUP_MAX_ROOTS 2 /* graph root and image store */

struct dedup_layer {
	struct task task;
	struct dedup *dedup;
	const struct dedup_root *root;
	char *path; /* of its files, below the root */
	struct arena names;
};

/* A regular file that is not empty; of an inode with several names the first one met. */
struct dedup_file {
	struct dedup_layer *layer;
	const char *directory, *name; /* below the layer; "": the layer's own */
	uint64_t size;
	uint64_t places; /* extents_sum(); 0: unknown */
	uint64_t hash;
	bool has_hash, gone; /* gone: changed, removed, not to be read */
};

struct dedup {
	cst_store *store;
	cst_dedup_options options;
	pthread_t caller; /* may tell the progress */
	struct pool *pool;
	struct known known;
	struct dedup_root roots[DEDUP_MAX_ROOTS];
	size_t n_roots;
	struct dedup_layer *layers;
	size_t n_layers;

	/* Of one pass. A file is in the pass that the hash of its size says. */
	uint64_t pass, passes;
	size_t limit; /* files in memory */
	_Atomic uint64_t n_seen;
	_Atomic bool too_many;
	pthread_mutex_t lock; /* guards what follows */
	struct hash_set inodes; /* of files with several names */
	struct dedup_file *files;
	size_t n_files, capacity;
	cst_error *error; /* the first of all tasks */
	int result;

	_Atomic size_t n_running; /* tasks that collect, or groups */
	_Atomic bool stop;
	_Atomic uint64_t bytes_done, equal, freed, hashed, left;
	uint64_t bytes_total;
};

/* work.c */
/* Adds bytes that are settled. CST_ECANCELED: also when another task failed. */
int dedup_progress(struct dedup *d, uint64_t bytes, cst_error **error);
void dedup_fail(struct dedup *d, int code, cst_error *error); /* takes the error; all tasks end */
/* Counts a file that could not be read or could not share, and logs why. */
void dedup_leave(struct dedup *d, const struct dedup_file *file, int errnum);
/* Opens a file that is as it was listed. -1: it is not; what is there but cannot be opened is left. */
int dedup_open(struct dedup *d, const struct dedup_file *file, struct stat *st);
/* Runs tasks until at most `n` are left. */
void dedup_wait(struct dedup *d, size_t n);
int dedup_cannot(const struct dedup_root *root, cst_error **error); /* CST_ENOTSUP, what helps in the message */

/* collect.c: lists the files of this pass in d->files; d->n_seen are all of them. */
void dedup_collect(struct dedup *d);
void dedup_forget(struct dedup *d); /* the files of the pass */

/* group.c: handles files of one size. At least two. */
void dedup_group(struct dedup *d, struct dedup_file *files, size_t n);

/* share.c */
/* Can files in this root share blocks? It is tried out with one of them. */
bool dedup_root_can_share(struct dedup *d, struct dedup_root *root, const struct dedup_file *file);
/* 1: `to` shares the blocks of `from` now; *freed is what that freed. 0: they differ, or this is not possible for these
 * two. CST_ENOTSUP, CST_ECANCELED. */
int dedup_share(struct dedup *d, const struct dedup_file *from, const struct dedup_file *to, uint64_t *freed, cst_error **error);

#endif
