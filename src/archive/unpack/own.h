/* SPDX-License-Identifier: Apache-2.0 */
/* Directories by their inodes, and the names in them that this archive brought. */
#ifndef CST_ARCHIVE_UNPACK_OWN_H
#define CST_ARCHIVE_UNPACK_OWN_H

#include "archive/unpack/names.h"
#include "base/error.h"
#include "base/hash_set.h"
#include <sys/stat.h>

struct own_names {
	uint64_t hash_key[2]; /* random: the names come from strangers */
	struct hash_set names;
};

struct directory {
	int fd;
	uint64_t key; /* of the inode */
};
struct directory directory_of(const struct own_names *own, int fd, const struct stat *st);
/* The directory of a descriptor; -1 and errno. */
int directory_at(const struct own_names *own, int fd, struct directory *ret);

/* Remembers that this archive brought the name, and which body it has (entry.body_number). */
int own_add(struct own_names *own, const struct directory *parent, const char *name, uint32_t body_number,
	    cst_error **error);
bool own_has(const struct own_names *own, const struct directory *parent, const char *name, uint32_t *body_number);

#endif
