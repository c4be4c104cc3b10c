/* SPDX-License-Identifier: Apache-2.0 */
/* tar-split: the recipe to rebuild a layer's tar from its files (docs/format/archive.md, "tar-split"). */
#ifndef CST_ARCHIVE_TARSPLIT_TARSPLIT_H
#define CST_ARCHIVE_TARSPLIT_TARSPLIT_H

#include "base/error.h"
#include "base/digest.h"
#include <cstorage/types.h>
#include <limits.h>

struct tarsplit_writer;
int tarsplit_writer_new(int fd, struct tarsplit_writer **ret, cst_error **error); /* fd stays the caller's */
/* The lines as they are, not compressed. The sink is copied. */
int tarsplit_writer_new_plain(const cst_sink *sink, struct tarsplit_writer **ret, cst_error **error);
int tarsplit_add_segment(struct tarsplit_writer *w, const void *data, size_t n, cst_error **error);
/* The same in pieces: what is appended until the next file line, add_segment or finish is one segment. */
int tarsplit_append_segment(struct tarsplit_writer *w, const void *data, size_t n, cst_error **error);
/* `size` <= 0: no body (crc ignored). */
int tarsplit_add_file(struct tarsplit_writer *w, const char *name, size_t name_len, int64_t size, uint64_t crc,
		      cst_error **error);
int tarsplit_finish(struct tarsplit_writer *w, cst_error **error);
void tarsplit_writer_free(struct tarsplit_writer *w);
void tarsplit_writer_freep(struct tarsplit_writer **w);

/* Opens the content of a file named in the recipe: an O_RDONLY descriptor of a regular file of exactly `size` bytes, found
 * as extraction found it, never outside of the layer. -1 and the error set. */
typedef int (*tarsplit_open_file)(void *userdata, const char *name, int64_t size, cst_error **error);

#define TARSPLIT_ALL_CPUS UINT_MAX
struct tarsplit_reading {
	tarsplit_open_file open_file; /* NULL: for the headers alone, with zeros for the content of files */
	void *userdata;
	/* That open and read files besides the caller's; open_file is called in any of them. 0: none, and files are opened in
	 * their order. */
	unsigned threads;
	struct digester *digester; /* of what the sink gets, computed in another thread; NULL: not wanted */
};

/* Rebuilds the tar into the sink, which is called in the caller's thread, checking each file's CRC before its last byte is
 * given out. `tarsplit_fd` is read from its current offset. CST_ECORRUPT for a damaged recipe or changed content. */
int tarsplit_reassemble(int tarsplit_fd, const struct tarsplit_reading *reading, const cst_sink *sink, cst_error **error);

#endif
