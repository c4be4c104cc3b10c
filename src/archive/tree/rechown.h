/* SPDX-License-Identifier: Apache-2.0 */
/* Gives a tree to the ids of another id map (docs/format/drivers.md, "Id-map walk"). */
#ifndef CST_ARCHIVE_TREE_RECHOWN_H
#define CST_ARCHIVE_TREE_RECHOWN_H

#include "idmap/idmap.h"

/* What belongs to host ids of `from` gets those of `to` for the same container ids, everything
 * below dirfd and the directory itself, which gets the root of `to`. NULL: ids are what they are.
 * Set-id bits and file capabilities stay, each inode is changed once. An id that `to` has not
 * becomes 65534, which stays that. Another one that `from` has not fails with CST_EINVAL, but for
 * root's, which stays container root. Nobody else may have the tree in hand. */
int rechown_tree(int dirfd, const struct idmaps *from, const struct idmaps *to, cst_error **error);

#endif
