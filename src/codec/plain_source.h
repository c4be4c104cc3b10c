/* SPDX-License-Identifier: Apache-2.0 */
/* The plain bytes of a stream that may be compressed. */
#ifndef CST_CODEC_PLAIN_SOURCE_H
#define CST_CODEC_PLAIN_SOURCE_H

#include "base/error.h"
#include "base/mem.h"
#include <cstorage/types.h>

struct plain_source;
int plain_source_new(const cst_source *from, struct plain_source **ret, cst_error **error); /* `from` stays the caller's */
bool plain_source_decompresses(const struct plain_source *source);
void plain_source_free(struct plain_source *source);
DEFINE_CLEANUP(struct plain_source *, plain_source_free)

/* As a cst_source reads; 0 at the end. */
int64_t plain_source_read(void *source, void *buffer, size_t size, cst_error **error);
/* Reads and drops so many bytes. CST_EARCHIVE: it is shorter. */
int plain_source_skip(struct plain_source *source, uint64_t n, cst_error **error);

#endif
