/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the reader share. */
#ifndef CST_EROFS_READ_PARTS_H
#define CST_EROFS_READ_PARTS_H

#include "erofs/reader.h"

#define CACHE_BLOCKS 32

struct erofs_image {
	int fd;
	char *shown;
	uint64_t size, root, inodes_at, shared_at;
	struct timespec build_time;
	bool has_acl;
	struct cached {
		uint64_t block;
		size_t len;
		char data[EROFS_BLOCK];
	} cache[CACHE_BLOCKS];
};

int erofs_corrupt(const struct erofs_image *image, const char *what, cst_error **error);
/* Reads from the file. CST_ECORRUPT: it has not so many bytes there. */
int erofs_read(struct erofs_image *image, uint64_t at, void *to, size_t n, cst_error **error);
/* Reads from an inode's data, which are there: at + n is not above its size. */
int erofs_read_data(struct erofs_image *image, const struct erofs_inode *inode, uint64_t at, void *to, size_t n,
		    cst_error **error);

#endif
