/* SPDX-License-Identifier: Apache-2.0 */
/* Copies into a directory that is in use: what is there is merged with or replaced, owners are
 * translated (docs/format/archive.md, "CLI copy"). */
#ifndef CST_ARCHIVE_TREE_COPY_INTO_H
#define CST_ARCHIVE_TREE_COPY_INTO_H

#include "base/error.h"
#include "idmap/idmap.h"
#include <cstorage/types.h>
#include <sys/stat.h>

struct copy_into_options {
	const struct idmaps *from_maps, *to_maps; /* host ids of either side; NULL: unmapped */
	bool chown;                               /* everything gets this owner, container ids */
	uint32_t uid, gid;
	bool skip_devices; /* in a user namespace no device can be made */
	const cst_progress *progress;
	uint64_t total; /* bytes, for the progress; 0: not known */
};

/* Everything below from_fd into to_fd, whose own attributes stay. Directories are merged and get
 * the source's attributes, anything else replaces what has its name. Hard links stay links,
 * symlinks are copied and never followed on either side. What belongs to ids that from_maps does
 * not know, and sockets, are left out with a warning. On failure what was copied stays. */
int copy_into(int from_fd, int to_fd, const struct copy_into_options *options, cst_error **error);

/* One file, opened with O_PATH, becomes to_fd/name. It may be a symlink if it was opened as one.
 * Extended attributes are not copied. A directory in its place is an error if `keep_directory`. */
int copy_file_into(int from_fd, int to_fd, const char *name, bool keep_directory,
                   const struct copy_into_options *options, cst_error **error);

/* The owner that a file of host owner `uid`, `gid` gets; CST_EINVAL if it has none there. */
int copy_into_owner(const struct copy_into_options *options, uint32_t *uid, uint32_t *gid,
                    cst_error **error);

#endif
