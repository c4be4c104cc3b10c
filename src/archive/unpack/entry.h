/* SPDX-License-Identifier: Apache-2.0 */
/* What the parser makes of a tar: entries, and ops in the order of the stream. */
#ifndef CST_ARCHIVE_UNPACK_ENTRY_H
#define CST_ARCHIVE_UNPACK_ENTRY_H

#include "archive/tar/tar.h"
#include "base/mem.h"

enum entry_action {
	ENTRY_CREATE,
	ENTRY_WHITEOUT, /* base is ".wh.NAME" */
	ENTRY_OPAQUE,   /* base is ".wh..wh..opq" */
	ENTRY_IGNORE,
};

struct entry {
	struct tar_header header; /* strings in the chunk's arena */
	const char *path, *base;  /* base points into path; "" for the root */
	uint64_t number;          /* from 1, in archive order */
	bool root_by_dot;         /* the root, named "." and not "/" or ".." */
	enum entry_action action;
	bool write_body;          /* the body goes into a file */
	bool record_raw;          /* the body goes into the tar-split, since no file will hold just these bytes */
	bool record_line;         /* a file line in the tar-split; false for a name that has one already */
	uint32_t body_number;     /* counts bodies that the tar-split finds in files, from 1; 0: this is none */
	uint32_t host_uid, host_gid;
};

/* How much of e->path is the path of the directory that it is in. */
static inline size_t entry_parent_len(const struct entry *e)
{
	size_t n = (size_t)(e->base - e->path);
	return n > 0 ? n - 1 : 0;
}

enum op_kind { OP_RAW, OP_ENTRY, OP_BODY, OP_BODY_END, OP_TRAILER };
struct op {
	struct op *next;
	enum op_kind kind;
	const void *data; /* OP_RAW, OP_BODY, OP_TRAILER */
	size_t len;
	uint64_t offset;     /* OP_BODY: inside the body */
	struct entry *entry; /* OP_ENTRY */
};

#endif
