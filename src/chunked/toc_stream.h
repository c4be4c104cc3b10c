/* SPDX-License-Identifier: Apache-2.0 */
/* The tar of a layer, put together from its tar-split, from what other layers have of its files, and from parts of its blob that are
 * fetched for the rest. Everything is held against the digests of the TOC, or of the tar. Whoever reads the tar must throw away what came of it if
 * reading fails later. */
#ifndef CST_CHUNKED_TOC_STREAM_H
#define CST_CHUNKED_TOC_STREAM_H

#include "chunked/fetch.h"
#include "chunked/toc.h"

/* What other layers have. */
struct stream_donors {
	/* Is there likely to be content of this digest and size? */
	bool (*has)(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size);
	/* A descriptor of the file that has it from byte *offset on; -1: none. Nobody has checked that. From any thread. */
	int (*open)(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size, uint64_t *offset);
	void *userdata;
};

struct stream_counts {
	uint64_t bytes_reused, files_reused;
};

/* How far content of other layers is looked at, beside what is fetched, which always is. */
enum stream_trust {
	STREAM_SURE,  /* a digest is computed before the first byte is given out: what is not right is fetched */
	STREAM_FILES, /* each file's, while it is given out: reading fails with CST_EARCHIVE at its end */
	STREAM_TAR,   /* a whole file's not at all: the reader knows the digest of the tar */
};

struct toc_stream;
/* `tarsplit`: the bytes, compressed with `compression`, which were checked, and have the entries of the TOC. All that is given must
 * stay. CST_ENOTSUP: the TOC is in an order that no writer has. */
int toc_stream_new(const struct toc *toc, const cst_memory *tarsplit, enum cst_compression compression, struct fetch *fetch,
		   const struct stream_donors *donors, enum stream_trust trust, struct toc_stream **ret, cst_error **error);
int64_t toc_stream_read(void *stream, void *buffer, size_t size, cst_error **error); /* as a cst_source */
/* As of struct unpack_clone: of the file `name`, which is being read. */
bool toc_stream_clone(void *stream, const char *name, uint64_t size, int to);
int toc_stream_open_file(void *stream, const char *name, uint64_t size);
struct stream_counts toc_stream_counts(const struct toc_stream *stream);
void toc_stream_free(struct toc_stream *stream);
DEFINE_CLEANUP(struct toc_stream *, toc_stream_free)

#endif
