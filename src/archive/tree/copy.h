/* SPDX-License-Identifier: Apache-2.0 */
/* Copies a directory tree, faithfully (docs/format/drivers.md, "vfs"). */
#ifndef CST_ARCHIVE_TREE_COPY_H
#define CST_ARCHIVE_TREE_COPY_H

#include "base/error.h"
#include "idmap/idmap.h"
#include <cstorage/types.h>

struct copy_options {
	bool sync;         /* everything is on disk when this returns */
	bool skip_devices; /* in a user namespace no device can be made; whiteouts can */
	const cst_progress *progress;
	const struct idmaps *from_maps, *maps; /* owners go from ids of the one to ids of the other; NULL: ids are what they are */
};

/* Everything below from_fd into the empty directory to_fd, and the attributes of from_fd itself:
 * owners, modes, times, all extended attributes but overlay's own bookkeeping (origin, impure,
 * uuid, nlink, upper: they speak of other inodes), hard links, holes. Opaque marks and whiteouts
 * are kept. Sockets are made anew. No symlink is followed. Where there are many files, several threads fill them. On
 * failure to_fd holds a part: the caller throws it away. With maps that differ the root of the copy belongs to the root of `maps`, and
 * what is in it to the ids that archive/tree/owners.h says. */
int copy_tree(int from_fd, int to_fd, const struct copy_options *options, cst_error **error);

#endif
