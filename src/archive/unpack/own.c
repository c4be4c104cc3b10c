/* SPDX-License-Identifier: Apache-2.0 */
/* Directories by their inodes, and the names in them that this archive brought: a hash of each, whatever their lengths. */
#include "archive/unpack/internal.h"
#include "base/hashmap.h"

uint64_t directory_inode_key(const struct unpacker *u, const struct stat *st)
{
	uint64_t inode[2] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
	return siphash24(inode, sizeof(inode), u->hash_key);
}

uint64_t directory_child_key(const struct unpacker *u, const struct directory *directory,
                             const char *name)
{
	uint64_t key[2] = {u->hash_key[0] ^ directory->key, u->hash_key[1]};
	return siphash24(name, strlen(name), key);
}

int directory_at(const struct unpacker *u, int fd, struct directory *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	*ret = (struct directory){.fd = fd, .key = directory_inode_key(u, &st)};
	return 0;
}

int own_add(struct unpacker *u, const struct directory *parent, const char *name,
            uint32_t body_number, cst_error **error)
{
	return hash_set_put(&u->own, directory_child_key(u, parent, name), body_number)
	               ? 0
	               : error_oom(error);
}

bool own_has(const struct unpacker *u, const struct directory *parent, const char *name,
             uint32_t *body_number)
{
	return hash_set_get(&u->own, directory_child_key(u, parent, name), body_number);
}
