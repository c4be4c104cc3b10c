/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI image layout: a directory with an index, and blobs named after their digests
 * (https://github.com/opencontainers/image-spec/blob/main/image-layout.md). It comes from
 * strangers: only regular files below the directory are read, every size is bounded, and nothing is
 * believed before its digest was checked. */
#ifndef CST_OCI_LAYOUT_H
#define CST_OCI_LAYOUT_H

#include "base/digest.h"
#include "base/str.h"
#include <cstorage/types.h>

/* What a manifest or an index says about a blob. The strings belong to an arena. */
struct descriptor {
	const char *media_type, *digest;
	int64_t size; /* -1: not said */
	const char *reference;         /* the annotation org.opencontainers.image.ref.name, or "" */
	const char *architecture, *os; /* of `platform`, or "" */
};
struct descriptors {
	struct descriptor *items;
	size_t len, capacity;
};

struct layout {
	int fd;
	const char *path; /* as the user gave it, for messages */
};
int layout_open(const char *path, struct layout *ret, cst_error **error);
void layout_close(struct layout *layout);
#define _cleanup_layout_ _cleanup_(layout_close)

/* Reads all of index.json. The caller frees *ret. */
int layout_read_index(const struct layout *layout, char **ret, size_t *ret_len, cst_error **error);
/* Reads all of a small blob (a manifest, a configuration) and checks its digest and size. The
 * caller frees *ret. */
int layout_read_blob(const struct layout *layout, const struct descriptor *blob, char **ret, size_t *ret_len,
		     cst_error **error);

/* A layer's blob as a source. It fails at its end with CST_EARCHIVE unless the bytes fit the
 * descriptor. The file is open from the first read until the end: an image may have more layers than
 * this process may have files. */
struct blob_stream {
	int fd; /* -1: not open */
	const struct layout *layout;
	const struct descriptor *blob;
	struct digester *digester;
	int64_t done;
	bool ended;
	cst_source source;
};
void blob_stream_init(const struct layout *layout, const struct descriptor *blob, struct blob_stream *ret);
void blob_stream_close(struct blob_stream *stream);

#endif
