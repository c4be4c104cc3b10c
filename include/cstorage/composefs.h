/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composefs images, without any store: an EROFS image of names and attributes, whose files are in a directory of objects that
 * overlay looks into. Their text form is the dump of composefs-dump(5), a line for each entry.
 */
#ifndef CSTORAGE_COMPOSEFS_H
#define CSTORAGE_COMPOSEFS_H

#include <cstorage/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes an image of a dump. Its bytes are those of mkcomposefs for the same dump. The source is read to its end before anything
 * is written; memory grows with it. CST_EINVAL: a line is no entry, or an image cannot hold it; what the source or the sink
 * fails with. */
CST_PUBLIC int cst_composefs_create(const cst_source *dump, const cst_sink *image, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
