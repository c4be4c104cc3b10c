/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ways to remove a tree share: fs_remove.c goes down and up again; if there is much to remove, it has most of the
 * subtrees removed on all processors first (fs_remove_many.c). */
#ifndef CST_BASE_FS_REMOVE_H
#define CST_BASE_FS_REMOVE_H

#include "base/fs.h"

/* Opens a directory that is on the same mount as dirfd. -1 and EXDEV if something is mounted on it, also a bind mount of the same
 * file system. Kernels without openat2 notice other file systems only. */
int fs_open_same_mount(int dirfd, const char *name);

/* Removes one name with everything in it, on the thread of the caller. */
int fs_remove_alone(int dirfd, const char *name, const struct fs_watch *watch);

/* Removes what it can of what is in the directories of <dirfd>/<name>, on all processors. `watch` (may be NULL) is told by the
 * thread of the caller. Something may stay, for whatever reason. */
void fs_remove_many(int dirfd, const char *name, const struct fs_watch *watch);

#endif
