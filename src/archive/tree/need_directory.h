/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that a copy needs in its target: the tree of a layer, or the file system of the caller. */
#ifndef CST_ARCHIVE_TREE_NEED_DIRECTORY_H
#define CST_ARCHIVE_TREE_NEED_DIRECTORY_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct new_directory {
	mode_t mode;
	bool chown;
	uint32_t uid, gid; /* host ids */
};

/* Opens a path as it resolves inside of the tree; `root` -1: in the caller's file system. -1 and errno. */
int open_in_tree(int root, const char *path, int flags);
/* Opens a directory, and makes what is missing of its path, as mkdir -p does. `shown` stands in front of the path in messages. */
int need_directory(int root, const char *shown, const char *path, const struct new_directory *new,
                   int *ret, cst_error **error);

/* The directory that a path is in, "." if it names none; the caller frees it. *base is the rest of the path. */
char *parent_path(const char *path, const char **base);

#endif
