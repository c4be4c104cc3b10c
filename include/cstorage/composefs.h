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

typedef struct cst_composefs_options {
	size_t size; /* sizeof(cst_composefs_options), set by CST_COMPOSEFS_OPTIONS_INIT */
	bool layer;  /* the image is one of a stack of layers: whiteouts and trusted.overlay.opaque in the dump are for overlay, and
			hide what is below; else they are content. Names of directories of objects are not hidden. */
	char unused[7];
} cst_composefs_options;
#define CST_COMPOSEFS_OPTIONS_INIT { .size = sizeof(cst_composefs_options) }

/* Makes an image of a dump. Its bytes are those of mkcomposefs for the same dump, but for `layer`. The source is read to its end
 * before anything is written; memory grows with it. `options` may be NULL. CST_EINVAL: a line is no entry, or an image cannot hold
 * it; what the source or the sink fails with. */
CST_PUBLIC int cst_composefs_create(const cst_source *dump, const cst_sink *image, const cst_composefs_options *options,
				    cst_error **error);
/* Writes the dump of an image, of what is at and below `path` (NULL: of all of it), as composefs-info does. `fd` is a regular file,
 * opened to read, and stays the caller's. Nobody need trust the image. `options` may be NULL. CST_ECORRUPT: it is none, or damaged; CST_ESYS with ENOENT
 * or ENOTDIR: it has no such path; what the sink fails with. */
CST_PUBLIC int cst_composefs_dump(int fd, const char *path, const cst_sink *dump, const cst_composefs_options *options,
				  cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
