/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that were changed and are to be made durable at the end of a step, each once, however often they were changed. */
#ifndef CST_BASE_FS_LATER_H
#define CST_BASE_FS_LATER_H

#include "base/fs.h"

struct fs_later_dir {
	int fd;
	dev_t dev;
	ino_t ino;
	char *shown;
};

struct fs_later {
	struct fs_later_dir *dirs;
	size_t len, capacity;
};

/* Without a list, or if it cannot be remembered, the directory is synced at once. */
int fs_fsync_later(struct fs_later *later, int dirfd, const char *shown, cst_error **error);
/* Empties the list, also if it fails. */
int fs_later_sync(struct fs_later *later, cst_error **error);
void fs_later_free(struct fs_later *later);

#endif
