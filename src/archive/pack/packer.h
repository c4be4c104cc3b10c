/* SPDX-License-Identifier: Apache-2.0 */
/* One file after the other into a layer tar (docs/format/archive.md, "Headers"). */
#ifndef CST_ARCHIVE_PACK_PACKER_H
#define CST_ARCHIVE_PACK_PACKER_H

#include "archive/tree/inode_map.h"
#include "archive/pack/pack.h"
#include "base/sink_buffer.h"
#include "archive/tar/tar.h"
#include <sys/stat.h>

struct packer {
	const struct pack_options *options;
	struct sink_buffer out;
	struct inode_map links; /* first name of each inode with several */
	struct strbuf name, header;
	uint64_t entries;
};

int packer_init(struct packer *packer, const struct pack_options *options, const cst_sink *sink,
                cst_error **error);
/* Adds dirfd/name as `path`. What vanished, may not be read, is a socket or has unmapped owners is
 * left out with a warning; *added (may be NULL) tells. */
int packer_add(struct packer *packer, int dirfd, const char *name, const char *path,
               const struct stat *st, bool *added, cst_error **error);
/* `.wh.` in front of the last component. st NULL: a deletion nobody owns, made now. */
int packer_add_whiteout(struct packer *packer, const char *path, const struct stat *st,
                        cst_error **error);
int packer_add_opaque(struct packer *packer, const char *path, const struct stat *st,
                      cst_error **error);
int packer_finish(struct packer *packer, cst_error **error); /* end marker; all is with the sink */
void packer_free(struct packer *packer);
#define _cleanup_packer_ _cleanup_(packer_free)

/* A name that begins with ".wh." means in a layer tar that another file was deleted. A file that has
 * such a name, and whatever is in a directory of such a name, cannot be told and is left out with a
 * warning; whoever may write in a container could else delete files of the layers below wherever it is
 * applied. */
bool packer_leaves_out(const char *name, const char *path);

/* The kernel's whiteout: a character device 0:0. */
bool stat_is_whiteout(const struct stat *st);

#endif
