/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the lines of a tar-split file, one after the other: JSON values in a gzip stream
 * (docs/format/archive.md, "tar-split"). Tolerant as the Go reader is: unknown keys and types, any
 * case of keys, any white space, wrong positions.
 */
#ifndef CST_ARCHIVE_TARSPLIT_RECIPE_H
#define CST_ARCHIVE_TARSPLIT_RECIPE_H

#include "base/error.h"
#include "base/mem.h"
#include "codec/compress.h"

enum { RECIPE_FILE = 1, RECIPE_SEGMENT = 2 };

struct recipe_entry {
	int64_t type, size;
	const char *name; /* never NULL */
	const void *payload;
	size_t payload_len;
};

struct recipe;
int recipe_open(int fd, struct recipe **ret, cst_error **error); /* fd stays the caller's */
/* From a stream. The source is copied; its userdata must live as long. */
int recipe_open_source(const cst_source *source, enum cst_compression compression, struct recipe **ret, cst_error **error);
/* More bytes than that, unpacked, are an error. For one that strangers made, of which a few bytes may unpack to any number. */
void recipe_limit(struct recipe *recipe, uint64_t size);
/* The entry is good until the next call. A large segment comes in several. *end: there is none left. CST_ECORRUPT. */
int recipe_next(struct recipe *recipe, struct recipe_entry *entry, bool *end, cst_error **error);
void recipe_free(struct recipe *recipe);
DEFINE_CLEANUP(struct recipe *, recipe_free)

#endif
