/* SPDX-License-Identifier: Apache-2.0 */
/* The tar dialect of layers (docs/format/archive.md, "Accepted tar dialect" and "Headers"). */
#ifndef CST_ARCHIVE_TAR_TAR_H
#define CST_ARCHIVE_TAR_TAR_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include <sys/types.h>
#include <time.h>

#define TAR_BLOCK 512

struct tar_xattr {
	const char *name; /* without the SCHILY.xattr. prefix */
	const void *value;
	size_t len;
};
struct tar_sparse {
	uint64_t offset, size; /* in the expanded file */
};

/* One entry. Strings and arrays belong to whoever filled it in (reader: its arena for this entry). */
struct tar_header {
	const char *name, *linkname, *uname, *gname;
	char type; /* '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' directory, '6' fifo, 'g' global;
		      reader only: 'V' volume label, to be ignored */
	mode_t mode; /* low 12 bits */
	uint32_t uid, gid;
	uint64_t size;      /* of the expanded file */
	uint64_t body_size; /* bytes of body in the archive (sparse: less) */
	int64_t recorded_size; /* the header's size field even where there is no body; may be negative */
	int64_t recorded_mode; /* all of the header's mode field */
	struct timespec mtime, atime, ctime;
	bool has_atime, has_ctime;
	uint32_t devmajor, devminor;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
	const struct tar_sparse *sparse;
	size_t n_sparse;
	bool is_sparse;
};

/* Push parser: gets bytes as they come, tells what they are. Never reads itself, never buffers a body. */
enum tar_event {
	TAR_NEED_DATA, /* everything given was consumed */
	TAR_ENTRY,     /* header complete: tar_reader_header(); body follows if body_size > 0 */
	TAR_BODY,      /* *data, *len: a piece of the current body, inside the caller's buffer */
	TAR_BODY_END,  /* the body (possibly empty) is complete */
	TAR_END,       /* end marker seen: the rest is trailer */
	TAR_TRAILER,   /* *data, *len: bytes behind the end */
};
struct tar_reader;
int tar_reader_new(struct tar_reader **ret, cst_error **error);
/* Gives the next piece of input; valid only after TAR_NEED_DATA (or at start). The buffer must stay until then. */
void tar_reader_feed(struct tar_reader *r, const void *data, size_t n);
/* The next n bytes of the input, which the caller need not have, belong to the current body. Of use after TAR_NEED_DATA. False: the
 * body has fewer left. */
bool tar_reader_skip(struct tar_reader *r, uint64_t n);
/* No more input: a cut archive fails with CST_EARCHIVE. */
int tar_reader_next(struct tar_reader *r, enum tar_event *event, const void **data, size_t *len, cst_error **error);
int tar_reader_end(struct tar_reader *r, cst_error **error);
const struct tar_header *tar_reader_header(const struct tar_reader *r); /* until the next TAR_ENTRY */
/* Raw bytes (headers, padding) since the last body byte, as tar-split records them. Of use at TAR_ENTRY, at TAR_END and
 * after tar_reader_end(); the next tar_reader_next() clears them. True: they are in the buffer that was fed. */
bool tar_reader_raw(struct tar_reader *r, const void **data, size_t *len);
void tar_reader_free(struct tar_reader *r);
void tar_reader_freep(struct tar_reader **r);

/* Writer: header bytes exactly as Go's archive/tar writes them (USTAR when everything fits, else PAX). */
int tar_format_header(const struct tar_header *header, struct strbuf *out, cst_error **error);
char tar_type_of(mode_t mode); /* of a file that is not a further hard link; '\0': a socket, which no tar has */
size_t tar_padding(uint64_t body_size); /* bytes of zeros behind a body, 0..511 */

#endif
