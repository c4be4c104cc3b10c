/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says about mounts: about that of one directory (statx, statmount), or about all of them
 * (/proc/self/mountinfo). */
#ifndef CST_DRIVER_MOUNTINFO_H
#define CST_DRIVER_MOUNTINFO_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

/* Is <dirfd>/<path> the root of a mount? A final symlink is not followed; "" means dirfd itself. 1, 0, or -1 and errno. */
int mountinfo_is_mount_point(int dirfd, const char *path);

/* Is the mount that `fd` is on private: does it neither send nor receive mount events? 1, 0, or -1 and errno. */
int mountinfo_is_private(int fd);

/* One line of /proc/self/mountinfo, with its escapes decoded. The strings live until the next line is read. */
struct mountinfo_entry {
	unsigned long id, parent_id;
	const char *root, *mount_point, *options, *type, *source, *super_options;
	bool is_private; /* the line has no field shared:, master:, propagate_from: or unbindable */
};

/* Parses a line in place. False: it is no line of the table. */
bool mountinfo_parse_line(char *line, struct mountinfo_entry *ret);

/* Calls visit() for each line until visit() returns false. */
int mountinfo_scan(bool (*visit)(const struct mountinfo_entry *entry, void *userdata),
                   void *userdata, cst_error **error);

/* Filesystem type and superblock options of the mount that `fd` is on. The caller frees both. ENOENT: the table has no such
 * mount. */
int mountinfo_describe(int fd, char **ret_type, char **ret_options, cst_error **error);

/* Is anything mounted below `path`, which is absolute and clean, but not on `path` itself? Mounts in its directories `except`
 * (an array of names that ends with NULL, or NULL) do not count. */
int mountinfo_any_below(const char *path, const char *const *except, bool *ret, cst_error **error);

#endif
