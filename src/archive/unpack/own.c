/* SPDX-License-Identifier: Apache-2.0 */
/* Directories by their inodes, and the names in them that this archive brought: a hash of each, whatever their lengths. */
#include "archive/unpack/own.h"
#include "base/hashmap.h"

static uint64_t inode_key(const struct own_names *own, const struct stat *st)
{
	uint64_t inode[2] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
	return siphash24(inode, sizeof(inode), own->hash_key);
}

static uint64_t child_key(const struct own_names *own, const struct directory *directory,
                          const char *name)
{
	uint64_t key[2] = {own->hash_key[0] ^ directory->key, own->hash_key[1]};
	return siphash24(name, strlen(name), key);
}

struct directory directory_of(const struct own_names *own, int fd, const struct stat *st)
{
	return (struct directory){.fd = fd, .key = inode_key(own, st)};
}

int directory_at(const struct own_names *own, int fd, struct directory *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	*ret = directory_of(own, fd, &st);
	return 0;
}

int own_add(struct own_names *own, const struct directory *parent, const char *name,
            uint32_t body_number, cst_error **error)
{
	return hash_set_put(&own->names, child_key(own, parent, name), body_number)
	               ? 0
	               : error_oom(error);
}

bool own_has(const struct own_names *own, const struct directory *parent, const char *name,
             uint32_t *body_number)
{
	return hash_set_get(&own->names, child_key(own, parent, name), body_number);
}
