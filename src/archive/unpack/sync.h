/* SPDX-License-Identifier: Apache-2.0 */
/* Content onto the disk. */
#ifndef CST_ARCHIVE_UNPACK_SYNC_H
#define CST_ARCHIVE_UNPACK_SYNC_H

#include "base/error.h"
#include "base/str.h"

struct sync_list {
	int root_fd;
	bool wanted;
	struct strv files;       /* what was made: never through a symlink as the last step */
	struct strv directories; /* in which a name, or which itself, changed */
	bool overflow;
};
/* Remembers what was made at path[0..n), and the directory that it is in. */
int sync_list_add(struct sync_list *list, const char *path, size_t n, cst_error **error);
int sync_list_add_directory(struct sync_list *list, const char *path, size_t n, cst_error **error);
/* The paths of the list may no longer lead to what changed: the whole file system is synced instead. Frees the list. */
void sync_list_give_up(struct sync_list *list);
int sync_content(struct sync_list *list, cst_error **error);

#endif
