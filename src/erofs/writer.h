/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes composefs images: an EROFS image of names and attributes, whose files are in a directory of objects that overlay looks
 * into. For the same entries the bytes are those of mkcomposefs (docs/format/chunked.md, "The image"), in whatever order the
 * entries of a directory come. Memory grows with the number of entries and the length of their strings, and not with the size of the
 * image; and so does the time, whatever the names are.
 */
#ifndef CST_EROFS_WRITER_H
#define CST_EROFS_WRITER_H

#include "base/error.h"
#include "base/mem.h"
#include "erofs/format.h"
#include <cstorage/types.h>
#include <time.h>

struct erofs_xattr {
	const char *name;
	const void *value;
	size_t len;
};

/* One entry, whose strings need to live no longer than the call. */
struct erofs_entry {
	const char *path;   /* absolute; its directory was added before */
	uint32_t mode;      /* with the type; S_IFCHR and rdev 0 is a whiteout that is content, and made harmless, unless: */
	bool hides;         /* it is a whiteout for overlay, which hides what is below; of it counts the path alone */
	bool opaque;        /* a directory of which overlay shows nothing that is below */
	uint32_t nlink, uid, gid, rdev;
	uint64_t size;      /* of regular files */
	struct timespec mtime;
	const char *link;   /* of a hard link: the path of the file. Nothing else counts but the type in `mode` */
	const char *payload; /* of a symlink: where it leads. Of a regular file: its object, a relative path; NULL: none */
	const void *content; /* of a regular file: its `size` bytes, to be kept in the image itself. NULL: they are in the object */
	const uint8_t *digest; /* of a regular file: the COMPOSEFS_DIGEST bytes that fs-verity finds for the object. NULL: unknown */
	const struct erofs_xattr *xattrs;
	size_t n_xattrs;
};

struct erofs_writer;
/* `layer`: the image is one in a stack. Else it has whiteouts for all 256 names that a directory of objects can have, as mkcomposefs
 * writes them for kernels that cannot tell these directories from others: they would hide files of lower layers, too. */
int erofs_writer_new(bool layer, struct erofs_writer **ret, cst_error **error);
/* Takes one entry, the root first. CST_EINVAL: the image cannot hold it, or it does not fit what was there before. */
int erofs_writer_add(struct erofs_writer *writer, const struct erofs_entry *entry, cst_error **error);
/* Writes the image; nothing can be added after it. CST_EINVAL: there is no root, or a hard link leads nowhere. */
int erofs_writer_finish(struct erofs_writer *writer, const cst_sink *sink, cst_error **error);
void erofs_writer_free(struct erofs_writer *writer);
DEFINE_CLEANUP(struct erofs_writer *, erofs_writer_free)
#define _cleanup_erofs_writer_ _cleanup_(erofs_writer_freep)

#endif
