/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as the same file in two layers (docs/format/archive.md, "Changes"). */
#ifndef CST_ARCHIVE_PACK_STAT_COMPARE_H
#define CST_ARCHIVE_PACK_STAT_COMPARE_H

#include "base/error.h"
#include "idmap/idmap.h"
#include <sys/stat.h>

/* Equal, or the same second where one of the two has none of the nanoseconds: it came from a tar.
 */
bool stat_same_mtime(const struct stat *a, const struct stat *b);
/* As the container sees the owners, each by its own maps (NULL: identity). */
bool stat_same_owner(const struct stat *a, const struct idmaps *a_maps, const struct stat *b,
                     const struct idmaps *b_maps);
/* The attributes a user sets: capabilities and user.* of `name` in both directories. */
int xattrs_same(int a_fd, int b_fd, const char *name, const char *shown, bool *ret,
                cst_error **error);

#endif
