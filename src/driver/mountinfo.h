/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says about mounts: of one directory (statx, statmount), or all of them
 * (/proc/self/mountinfo). */
#ifndef CST_DRIVER_MOUNTINFO_H
#define CST_DRIVER_MOUNTINFO_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

/* Is <dirfd>/<path> (not following a final symlink; "": dirfd itself) the root of a mount? 1, 0, or
 * -1 and errno. */
int mountinfo_is_mount_point(int dirfd, const char *path);

/* Does the mount that `fd` is on neither send nor receive mount events? 1, 0, or -1 and errno. */
int mountinfo_is_private(int fd);

/* One line of the table, escapes decoded. Strings live until the next line. */
struct mountinfo_entry {
	unsigned long id, parent_id;
	const char *root, *mount_point, *options, *type, *source, *super_options;
	bool is_private; /* no shared:, master:, propagate_from: or unbindable field */
};

/* Parses one line in place. False if it is none. */
bool mountinfo_parse_line(char *line, struct mountinfo_entry *ret);

/* Calls visit for each line until it returns false. */
int mountinfo_scan(bool (*visit)(const struct mountinfo_entry *entry, void *userdata),
                   void *userdata, cst_error **error);

/* File system type and superblock options, escapes decoded, of the mount that `fd` is on. Both are the caller's. ENOENT: the
 * table has no such mount. */
int mountinfo_describe(int fd, char **ret_type, char **ret_options, cst_error **error);

/* Is anything mounted strictly below `path` (absolute, clean)? What is in the directories `except`
 * of it (names, ended by NULL; NULL: none) does not count. */
int mountinfo_any_below(const char *path, const char *const *except, bool *ret, cst_error **error);

#endif
