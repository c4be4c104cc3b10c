/* SPDX-License-Identifier: Apache-2.0 */
/* Owner, mode, times and xattrs of what was made, through its descriptor. */
#ifndef CST_ARCHIVE_UNPACK_METADATA_H
#define CST_ARCHIVE_UNPACK_METADATA_H

#include "archive/unpack/entry.h"
#include "archive/unpack/unpack.h"
#include <stdatomic.h>
#include <sys/stat.h>

struct metadata {
	const struct unpack_options *options;
	_Atomic bool xattrs_ignored; /* the file system has none */
};
mode_t metadata_mode(const struct metadata *m, const struct entry *entry); /* what it gets */
int metadata_file(struct metadata *m, const struct entry *entry, int fd, cst_error **error); /* all, times included */
/* Is the file, whose attributes nobody set for this entry, as metadata_file() would make it? */
bool metadata_file_fits(const struct metadata *m, const struct entry *entry, int fd);
/* All but times; `st` is how it is now. */
int metadata_directory(struct metadata *m, const struct entry *entry, int fd, const struct stat *st, cst_error **error);
/* These take an O_PATH descriptor. */
int metadata_node(struct metadata *m, const struct entry *entry, int fd, const struct stat *st, cst_error **error);
int metadata_symlink(struct metadata *m, const struct entry *entry, int fd, const struct stat *st, cst_error **error);
/* The attributes of the directory `below`, which may be an O_PATH descriptor; -1 and errno. */
int metadata_inherit(struct metadata *m, int fd, int below);
/* Those of a directory that is nowhere: it belongs to the root of the id maps. -1 and errno. */
int metadata_default(struct metadata *m, int fd);
/* Of a root that no entry names. */
int metadata_override_root(struct metadata *m, int root_fd, cst_error **error);
struct timespec metadata_clamp_time(struct timespec time);

/* ---- overlay's marks ---- */

bool mark_is_whiteout(const struct unpack_options *options, const struct stat *st);
/* Does the directory hide what is below it, and a mark in it what is below under this name? */
bool mark_is_opaque(const struct unpack_options *options, int fd);
bool mark_hides(const struct unpack_options *options, int fd, const char *name);
/* What is below the directory stays hidden: the xattr, where the target is one layer's own. -1 and errno. */
int mark_opaque(const struct unpack_options *options, int fd);

#endif
