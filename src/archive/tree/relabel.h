/* SPDX-License-Identifier: Apache-2.0 */
/* Gives the files of a tree an SELinux label (docs/format/config.md, "SELinux"). */
#ifndef CST_ARCHIVE_TREE_RELABEL_H
#define CST_ARCHIVE_TREE_RELABEL_H

#include "base/error.h"

#define SELINUX_XATTR "security.selinux"

/* Everything below dirfd, and the directory itself last. Nobody else may have the tree in hand. */
int relabel_tree(int dirfd, const char *label, cst_error **error);

#endif
