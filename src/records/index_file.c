/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, checks and writes the file of an index. */
#include "records/index_file.h"
#include "base/checksum.h"
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

#define BLOCK   4096
#define MAGIC   0x31787864692d7363 /* "cs-idxx1" */
#define VERSION 4

struct header_file {
	uint64_t exists, dev, ino, size, mtime, mtime_ns, ctime, ctime_ns;
};

/* Then follow the sums of the blocks, and from the next multiple of BLOCK on the body: entries, keys,
 * places. */
struct header {
	uint64_t magic, version;
	char what[16];
	uint64_t secret[2];
	uint64_t n_entries, n_keys, n_places;
	uint64_t n_files, token_length;
	unsigned char token[LOCK_TOKEN_SIZE];
	struct header_file files[RECORD_FILES];
	uint64_t sum_of_sums;
	uint64_t sum; /* of what comes before */
};

struct index_file {
	struct header header;
	int fd; /* -1: all is in memory */
	size_t body_at, body_size, n_blocks;
	uint64_t *sums;
	unsigned char *body; /* only the blocks that were read are filled in */
	unsigned char *read; /* for each block: was it? */
};

void index_parts_free(struct index_parts *parts)
{
	free(parts->entries);
	free(parts->keys);
	free(parts->places);
	*parts = (struct index_parts){0};
}

void index_free(struct index_file *index)
{
	if (!index)
		return;
	closep(&index->fd);
	free(index->sums);
	free(index->body);
	free(index->read);
	free(index);
}
DEFINE_CLEANUP(struct index_file *, index_free)

uint64_t index_sum(const uint64_t secret[2], const char *text, size_t n)
{
	return sum64(secret[0], text, n);
}

/* ---- where things are ---- */

static size_t keys_at(const struct header *h)
{
	return h->n_entries * sizeof(struct index_entry);
}

static size_t places_at(const struct header *h)
{
	return keys_at(h) + h->n_keys * sizeof(struct index_key);
}

/* Makes room for the sums and the body that the header speaks of. */
static bool lay_out(struct index_file *index)
{
	const struct header *h = &index->header;
	index->body_size = places_at(h) + h->n_places * sizeof(struct index_place);
	index->n_blocks = (index->body_size + BLOCK - 1) / BLOCK;
	index->body_at =
	        (sizeof(*h) + index->n_blocks * sizeof(uint64_t) + BLOCK - 1) / BLOCK * BLOCK;
	index->sums = malloc(index->n_blocks * sizeof(uint64_t) + 1);
	index->body =
	        malloc(index->body_size + 1); /* the kernel gives memory for what is used of it */
	index->read = calloc(1, index->n_blocks + 1);
	return index->sums && index->body && index->read;
}

static size_t block_size(const struct index_file *index, size_t block)
{
	return MIN(index->body_size - block * BLOCK, (size_t)BLOCK);
}

static uint64_t sum_of_block(const struct index_file *index, size_t block)
{
	return sum64(index->header.secret[0] ^ block, index->body + block * BLOCK,
	             block_size(index, block));
}

/* ---- reading ---- */

/* Nobody else can have written to it: a file of ours or of root's that others may not write. */
static bool is_trusted(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static struct header header_of(const struct index_source *source)
{
	struct header h = {.magic = MAGIC,
	                   .version = VERSION,
	                   .n_files = source->n_files,
	                   .token_length = source->token.len};
	memcpy(h.what, source->what, MIN(strlen(source->what), sizeof(h.what) - 1));
	memcpy(h.token, source->token.bytes, sizeof(h.token));
	for (unsigned f = 0; f < source->n_files; f++) {
		const struct file_identity *file = &source->files[f];
		h.files[f] = (struct header_file){.exists = file->exists,
		                                  .dev = file->dev,
		                                  .ino = file->ino,
		                                  .size = (uint64_t)file->size,
		                                  .mtime = (uint64_t)file->mtime.tv_sec,
		                                  .mtime_ns = (uint64_t)file->mtime.tv_nsec,
		                                  .ctime = (uint64_t)file->ctime.tv_sec,
		                                  .ctime_ns = (uint64_t)file->ctime.tv_nsec};
	}
	return h;
}

static uint64_t sum_of_header(const struct header *h)
{
	return sum64(0, h, offsetof(struct header, sum));
}

/* Is it whole, of this version, and of such records? */
static bool header_fits(const struct header *h, const struct index_source *source)
{
	const struct header wanted = header_of(source);
	return h->magic == MAGIC && h->version == VERSION && h->sum == sum_of_header(h) &&
	       memcmp(h->what, wanted.what, sizeof(h->what)) == 0 && h->n_files == wanted.n_files &&
	       h->n_entries <= UINT32_MAX && h->n_keys <= UINT32_MAX && h->n_places <= UINT32_MAX;
}

bool index_is_of(const struct index_file *index, const struct index_source *source)
{
	const struct header *h = &index->header, wanted = header_of(source);
	return h->token_length == wanted.token_length &&
	       memcmp(h->token, wanted.token, sizeof(h->token)) == 0 &&
	       memcmp(h->files, wanted.files, sizeof(h->files)) == 0;
}

bool index_has_file(const struct index_file *index, const struct index_source *source,
                    unsigned file)
{
	const struct header wanted = header_of(source);
	return memcmp(&index->header.files[file], &wanted.files[file], sizeof(*wanted.files)) == 0;
}

struct index_file *index_open(const char *dir, const char *name, const struct index_source *source)
{
	_cleanup_free_ char *path = path_join(dir, name);
	_cleanup_(index_freep) struct index_file *index = new0(struct index_file, 1);
	struct stat st;
	if (!path || !index)
		return NULL;
	index->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (index->fd < 0 || fstat(index->fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_trusted(&st))
		return NULL;
	struct header *h = &index->header;
	if (fs_pread_full(index->fd, h, sizeof(*h), 0) != sizeof(*h) || !header_fits(h, source) ||
	    !lay_out(index) || (off_t)(index->body_at + index->body_size) != st.st_size)
		return NULL;
	size_t n = index->n_blocks * sizeof(uint64_t);
	if (fs_pread_full(index->fd, index->sums, n, sizeof(*h)) != (ssize_t)n ||
	    sum64(h->secret[1], index->sums, n) != h->sum_of_sums)
		return NULL;
	return steal_ptr(&index);
}

static bool read_block(struct index_file *index, size_t block)
{
	ssize_t n = (ssize_t)block_size(index, block);
	unsigned char *to = index->body + block * BLOCK;
	off_t at = (off_t)(index->body_at + block * BLOCK);
	if (fs_pread_full(index->fd, to, (size_t)n, at) != n ||
	    sum_of_block(index, block) != index->sums[block])
		return false;
	index->read[block] = true;
	return true;
}

static const void *item_at(struct index_file *index, size_t at, size_t n)
{
	for (size_t block = at / BLOCK; block <= (at + n - 1) / BLOCK; block++) {
		if (!index->read[block] && !read_block(index, block))
			return NULL;
	}
	return index->body + at;
}

size_t index_entries(const struct index_file *index)
{
	return index->header.n_entries;
}

size_t index_keys(const struct index_file *index)
{
	return index->header.n_keys;
}

size_t index_places(const struct index_file *index)
{
	return index->header.n_places;
}

const uint64_t *index_secret(const struct index_file *index)
{
	return index->header.secret;
}

const struct index_entry *index_entry_at(struct index_file *index, size_t number)
{
	return item_at(index, number * sizeof(struct index_entry), sizeof(struct index_entry));
}

const struct index_key *index_key_at(struct index_file *index, size_t number)
{
	size_t at = keys_at(&index->header) + number * sizeof(struct index_key);
	return item_at(index, at, sizeof(struct index_key));
}

const struct index_place *index_place_at(struct index_file *index, size_t number)
{
	size_t at = places_at(&index->header) + number * sizeof(struct index_place);
	return item_at(index, at, sizeof(struct index_place));
}

bool index_first_key(struct index_file *index, uint32_t hash, uint32_t number, size_t *ret)
{
	size_t low = 0, high = index_keys(index);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct index_key *key = index_key_at(index, middle);
		if (!key)
			return false;
		if (key->hash < hash || (key->hash == hash && key->number < number))
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return true;
}

bool index_read_all(struct index_file *index, struct index_parts *ret)
{
	const struct header *h = &index->header;
	for (size_t block = 0; block < index->n_blocks; block++) {
		if (!index->read[block] && !read_block(index, block))
			return false;
	}
	*ret = (struct index_parts){
	        .entries = (struct index_entry *)index->body,
	        .keys = (struct index_key *)(index->body + keys_at(h)),
	        .places = (struct index_place *)(index->body + places_at(h)),
	        .n_entries = h->n_entries,
	        .n_keys = h->n_keys,
	        .n_places = h->n_places,
	        .secret = {h->secret[0], h->secret[1]},
	};
	return true;
}

/* ---- writing ---- */

static void copy_part(struct index_file *index, size_t at, const void *items, size_t n)
{
	if (n)
		memcpy(index->body + at, items, n);
}

struct index_file *index_new(const struct index_parts *parts)
{
	_cleanup_(index_freep) struct index_file *index = new0(struct index_file, 1);
	if (!index)
		return NULL;
	index->fd = -1;
	struct header *h = &index->header;
	*h = (struct header){.secret = {parts->secret[0], parts->secret[1]},
	                     .n_entries = parts->n_entries,
	                     .n_keys = parts->n_keys,
	                     .n_places = parts->n_places};
	if (!lay_out(index))
		return NULL;
	copy_part(index, 0, parts->entries, parts->n_entries * sizeof(*parts->entries));
	copy_part(index, keys_at(h), parts->keys, parts->n_keys * sizeof(*parts->keys));
	copy_part(index, places_at(h), parts->places, parts->n_places * sizeof(*parts->places));
	memset(index->read, true, index->n_blocks);
	return steal_ptr(&index);
}

/* The directory is made, 0700, if it is missing. -1: it is not one of which we know that nobody else can
 * write to it. */
static int open_dir(const char *dir)
{
	struct stat st;
	if (fs_mkdir_p(dir, 0700, NULL) < 0)
		return -1;
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &st) == 0 && is_trusted(&st) ? steal_fd(&fd) : -1;
}

/* There is one temporary file, so that no number of killed writers leaves more than one. Who has its lock
 * writes; others go without. -1: another process is writing, or it cannot be made. */
static int open_temporary(int dirfd, const char *temporary)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st, now;
	_cleanup_close_ int fd = sys_openat(
	        dirfd, temporary, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &all) < 0 || fstat(fd, &st) < 0 ||
	    fstatat(dirfd, temporary, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	bool ours = S_ISREG(st.st_mode) && is_trusted(&st) && st.st_ino == now.st_ino &&
	            st.st_dev == now.st_dev && st.st_nlink == 1;
	return ours && sys_ftruncate(fd, 0) == 0 ? steal_fd(&fd) : -1;
}

static bool write_all(const struct index_file *index, int fd)
{
	static const unsigned char zeros[BLOCK];
	const struct header *h = &index->header;
	size_t n = index->n_blocks * sizeof(uint64_t);
	return sys_write_all(fd, h, sizeof(*h)) == 0 && sys_write_all(fd, index->sums, n) == 0 &&
	       sys_write_all(fd, zeros, index->body_at - sizeof(*h) - n) == 0 &&
	       sys_write_all(fd, index->body, index->body_size) == 0;
}

/* It is written without a barrier: what a power cut leaves of it has other sums. */
void index_write(struct index_file *index, const char *dir, const char *name,
                 const struct index_source *source)
{
	_cleanup_free_ char *temporary = str_join(".tmp-", name);
	_cleanup_close_ int dirfd = temporary ? open_dir(dir) : -1;
	_cleanup_close_ int fd = dirfd >= 0 ? open_temporary(dirfd, temporary) : -1;
	if (fd < 0)
		return;
	struct header h = header_of(source);
	memcpy(h.secret, index->header.secret, sizeof(h.secret));
	h.n_entries = index->header.n_entries;
	h.n_keys = index->header.n_keys;
	h.n_places = index->header.n_places;
	for (size_t block = 0; block < index->n_blocks; block++)
		index->sums[block] = sum_of_block(index, block);
	h.sum_of_sums = sum64(h.secret[1], index->sums, index->n_blocks * sizeof(uint64_t));
	h.sum = sum_of_header(&h);
	index->header = h;
	if (!write_all(index, fd) || sys_renameat(dirfd, temporary, dirfd, name) < 0)
		(void)sys_unlinkat(dirfd, temporary, 0);
	/* A child of this process that has not yet exec'ed would keep the lock. */
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	(void)fcntl(fd, F_OFD_SETLK, &all);
}
