/* SPDX-License-Identifier: Apache-2.0 */
/* Gives a tree to the ids of another id map (docs/format/drivers.md, "Id-map walk"). */
#ifndef CST_ARCHIVE_TREE_RECHOWN_H
#define CST_ARCHIVE_TREE_RECHOWN_H

#include "idmap/idmap.h"

/* Everything below dirfd, and the directory itself, gets the owners that archive/tree/owners.h says; the maps differ. Set-id bits and file
 * capabilities stay, each inode is changed once. Nobody else may have the tree in hand. */
int rechown_tree(int dirfd, const struct idmaps *from, const struct idmaps *to, cst_error **error);

#endif
