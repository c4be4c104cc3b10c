/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of files that an earlier run made, in a file of the run directory. It may be missing, old or torn: then files are
 * hashed again. A wrong hash does no harm either, since the kernel compares what is to be shared.
 */
#ifndef CST_STORE_DEDUP_KNOWN_H
#define CST_STORE_DEDUP_KNOWN_H

#include "base/error.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>

struct known_hash {
	uint64_t file; /* known_key() */
	uint64_t hash;
};
struct known {
	uint64_t key[2]; /* of the hashes of names of files, random */
	struct known_hash *old; /* sorted by file */
	_Atomic(bool) *used;    /* of `old`: the file is there still */
	size_t n_old;
	pthread_mutex_t lock; /* guards what follows */
	struct known_hash *fresh;
	size_t n_fresh, capacity;
};

/* Fails only if memory or random numbers run out. */
int known_load(struct known *known, const char *path, cst_error **error);
/* Keeps the old hashes of files that are there still, and the fresh ones. */
void known_save(struct known *known, const char *path);
void known_free(struct known *known);

/* A file as it is now, and how it is hashed. */
uint64_t known_key(const struct known *known, const struct stat *st, int method);
bool known_get(const struct known *known, uint64_t file, uint64_t *hash);
/* If memory runs out, the hash is not known next time. */
void known_put(struct known *known, uint64_t file, uint64_t hash);

#endif
