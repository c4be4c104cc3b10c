/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private directory: mode 0700 and owned by this process, inside a directory where other users may create, rename and
 * delete. What is to appear in such a directory is made in the private one first, gets its content, owner, mode and
 * attributes there, and then moves to its name by one rename. Other users can neither replace it nor open it before that.
 * It is locked as long as its process lives: the next process that makes one in the same directory removes what a dead one
 * left.
 */
#ifndef CST_BASE_FS_PRIVATE_H
#define CST_BASE_FS_PRIVATE_H

#include "base/error.h"
#include "base/mem.h"
#include <sys/types.h>

struct fs_private {
	int dirfd;     /* where it was made; a copy of the caller's descriptor */
	int fd;        /* the private directory itself */
	char name[32]; /* in dirfd, when it was made: others may have renamed it since */
};
#define FS_PRIVATE_INIT {.dirfd = -1, .fd = -1}

/* Makes one below dirfd. CST_ESYS. */
int fs_private_make(struct fs_private *dir, int dirfd, const char *shown, cst_error **error);
/* Empties and removes it. A directory that was never made is fine. */
int fs_private_remove(struct fs_private *dir, cst_error **error);
/* The same after a failure: what cannot be removed is logged. */
void fs_private_discard(struct fs_private *dir);
#define _cleanup_fs_private_ _cleanup_(fs_private_discard)

/* Makes the directory dirfd/name with `mode` (not writable for others) less the umask, and opens
 * it. -1 and errno: EEXIST if the name is taken, ESTALE if another user replaced the directory
 * before it was opened. */
int fs_make_dir(int dirfd, const char *name, mode_t mode);

#endif
