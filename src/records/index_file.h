/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a set of records, as a file in the run directory (docs/format/index.md): where each
 * record stands in its JSON file, the hashes of what it is found by, and the order of the IDs. It can
 * be deleted, damaged or replaced at any moment. What is wrong with it is noticed and costs time only:
 * the header says of which files and which token it was made; the header and each block have a
 * checksum, which is looked at before a block is used. It is read, not mapped, because a file that is
 * truncated kills the process that mapped it, and what was checked could change after.
 */
#ifndef CST_RECORDS_INDEX_FILE_H
#define CST_RECORDS_INDEX_FILE_H

#include "lock/lockfile.h"
#include "records/record_file.h"

#define RECORD_FILES 3

/* What an index is made of. Another token, or another file of records, and it is out of date. */
struct index_source {
	const char *what; /* the kind: "layer" */
	struct lock_token token;
	unsigned n_files;
	struct file_identity files[RECORD_FILES];
};

/* A record. They are numbered in the order of the files, and in a file in its order. */
struct index_entry {
	uint64_t sum;        /* index_sum() of its JSON */
	uint64_t id;         /* the same of its ID */
	int64_t size;        /* of a layer's content; -1: the record does not say */
	uint32_t at, length; /* of it in the file */
	uint16_t file;
	uint16_t as_written; /* the bytes are those that a save writes */
	uint32_t parent;     /* number of the record that it is built on, or one of these */
};
#define INDEX_NO_PARENT  UINT32_MAX
#define INDEX_ANY_PARENT (UINT32_MAX - 1) /* it was not found: look at the record */
/* What a record is found by. Sorted by hash, then by number. */
struct index_key {
	uint32_t hash, number;
};
/* The IDs in order. */
struct index_place {
	uint64_t head; /* the first eight bytes as a number */
	uint32_t number, unused;
};

/* The parts of an index in memory, each from malloc(). */
struct index_parts {
	struct index_entry *entries;
	struct index_key *keys;
	struct index_place *places;
	size_t n_entries, n_keys, n_places;
	uint64_t secret[2]; /* the key of the hashes */
};
void index_parts_free(struct index_parts *parts);

struct index_file;

uint64_t index_sum(const uint64_t secret[2], const char *text, size_t n);

/* NULL: there is none, or it cannot be used. */
struct index_file *index_open(const char *dir, const char *name, const struct index_source *source);
/* False: it was made of other files, or at another time. */
bool index_is_of(const struct index_file *index, const struct index_source *source);
/* Was it made of this file as it is now? */
bool index_has_file(const struct index_file *index, const struct index_source *source,
                    unsigned file);
/* An index that is in memory only, until it is written. NULL: out of memory. */
struct index_file *index_new(const struct index_parts *parts);
/* Puts it in the place of the file, if nobody else is doing that. If it fails, there is none, or an old one. */
void index_write(struct index_file *index, const char *dir, const char *name,
                 const struct index_source *source);
void index_free(struct index_file *index); /* NULL allowed */

size_t index_entries(const struct index_file *index);
size_t index_keys(const struct index_file *index);
size_t index_places(const struct index_file *index);
const uint64_t *index_secret(const struct index_file *index);

/* NULL: the file is damaged. The number must be in range. */
const struct index_entry *index_entry_at(struct index_file *index, size_t number);
const struct index_key *index_key_at(struct index_file *index, size_t number);
const struct index_place *index_place_at(struct index_file *index, size_t number);
/* The first key that is not below. False: damaged. */
bool index_first_key(struct index_file *index, uint32_t hash, uint32_t number, size_t *ret);
/* Reads and checks all of it, so that nothing fails afterwards. The parts stay the index's. */
bool index_read_all(struct index_file *index, struct index_parts *ret);

#endif
