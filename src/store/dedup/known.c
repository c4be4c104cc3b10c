/* SPDX-License-Identifier: Apache-2.0 */
/* The file of known hashes: a header, then one entry for each file (known.h). */
#include "store/dedup/known.h"
#include "base/checksum.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "base/log.h"
#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>

#define KNOWN_LIMIT ((size_t)1 << 30) /* bytes; more than any store has */

struct known_header {
	char magic[8];
	uint64_t key[2];
	uint64_t entries;
	uint64_t checksum; /* of the entries: two processes may have written at once */
};
static const char magic[8] = "dedup 1";

static int by_file(const void *a, const void *b)
{
	const struct known_hash *left = a, *right = b;
	return (left->file > right->file) - (left->file < right->file);
}

static bool is_whole(const char *data, size_t n, struct known_header *header)
{
	if (n < sizeof(*header))
		return false;
	memcpy(header, data, sizeof(*header));
	n -= sizeof(*header);
	return memcmp(header->magic, magic, sizeof(magic)) == 0 &&
	       header->entries == n / sizeof(struct known_hash) &&
	       n % sizeof(struct known_hash) == 0 &&
	       crc64_iso(0, data + sizeof(*header), n) == header->checksum;
}

int known_load(struct known *known, const char *path, cst_error **error)
{
	_cleanup_free_ char *data = NULL;
	struct known_header header;
	size_t n = 0;
	*known = (struct known){.lock = PTHREAD_MUTEX_INITIALIZER};
	if (getrandom(known->key, sizeof(known->key), 0) != sizeof(known->key))
		return error_sys(error, errno, "getrandom");
	if (fs_read_file(AT_FDCWD, path, KNOWN_LIMIT, &data, &n, NULL) < 0 ||
	    !is_whole(data, n, &header))
		return 0;
	known->old = new0(struct known_hash, header.entries + 1);
	known->used = calloc(header.entries + 1, sizeof(*known->used));
	if (!known->old || !known->used)
		return error_oom(error);
	memcpy(known->old, data + sizeof(header), header.entries * sizeof(*known->old));
	memcpy(known->key, header.key, sizeof(known->key));
	known->n_old = header.entries;
	return 0;
}

/* Moves the old entries that were used to the fresh ones. */
static bool gather(struct known *known)
{
	for (size_t i = 0; i < known->n_old; i++) {
		size_t before = known->n_fresh;
		if (!atomic_load_explicit(&known->used[i], memory_order_relaxed))
			continue;
		known_put(known, known->old[i].file, known->old[i].hash);
		if (known->n_fresh == before)
			return false;
	}
	return true;
}

void known_save(struct known *known, const char *path)
{
	_cleanup_error_ cst_error *error = NULL;
	size_t made = known->n_fresh;
	bool same = gather(known) && made == 0 && known->n_fresh == known->n_old;
	if (same || known->n_fresh == 0)
		return;
	qsort(known->fresh, known->n_fresh, sizeof(*known->fresh), by_file);
	size_t bytes = known->n_fresh * sizeof(*known->fresh);
	struct known_header header = {.entries = known->n_fresh,
	                              .checksum = crc64_iso(0, known->fresh, bytes)};
	_cleanup_free_ char *data = malloc(sizeof(header) + bytes);
	if (!data)
		return;
	memcpy(header.magic, magic, sizeof(magic));
	memcpy(header.key, known->key, sizeof(header.key));
	memcpy(data, &header, sizeof(header));
	memcpy(data + sizeof(header), known->fresh, bytes);
	_cleanup_free_ char *dir = strndup(path, (size_t)(path_base(path) - path) - 1);
	if (!dir || fs_mkdir_p(dir, 0700, &error) < 0 ||
	    fs_write_file(AT_FDCWD, path, data, sizeof(header) + bytes, 0600, NULL, &error) < 0)
		log_debug("the hashes of files are not kept: %s",
		          error ? cst_error_message(error) : "out of memory");
}

void known_free(struct known *known)
{
	free(known->old);
	free(known->used);
	free(known->fresh);
}

uint64_t known_key(const struct known *known, const struct stat *st, int method)
{
	const uint64_t file[] = {
	        (uint64_t)st->st_dev,          (uint64_t)st->st_ino,
	        (uint64_t)st->st_size,         (uint64_t)st->st_mtim.tv_sec,
	        (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec,
	        (uint64_t)st->st_ctim.tv_nsec, (uint64_t)method,
	};
	return siphash24(file, sizeof(file), known->key);
}

bool known_get(const struct known *known, uint64_t file, uint64_t *hash)
{
	const struct known_hash wanted = {.file = file};
	const struct known_hash *found =
	        known->n_old ? bsearch(&wanted, known->old, known->n_old, sizeof(wanted), by_file)
	                     : NULL;
	if (!found)
		return false;
	atomic_store_explicit(&known->used[found - known->old], true, memory_order_relaxed);
	*hash = found->hash;
	return true;
}

void known_put(struct known *known, uint64_t file, uint64_t hash)
{
	pthread_mutex_lock(&known->lock);
	struct known_hash *grown = grow_array(known->fresh, &known->capacity, known->n_fresh + 1,
	                                      sizeof(*known->fresh));
	if (grown) {
		known->fresh = grown;
		grown[known->n_fresh++] = (struct known_hash){.file = file, .hash = hash};
	}
	pthread_mutex_unlock(&known->lock);
}
