/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes of one file, read without opening it. */
#ifndef CST_ARCHIVE_TREE_XATTRS_H
#define CST_ARCHIVE_TREE_XATTRS_H

#include "archive/tar/tar.h"

struct xattrs {
	struct tar_xattr *items; /* sorted by name */
	size_t len;
	struct arena arena;
};

/* "/proc/self/fd/N/NAME": a path for the calls that know no directory descriptor. The kernel
 * resolves it to the very directory; the last component is not followed by the l*xattr calls. */
#define XATTR_PATH_MAX 300
void xattr_path(char ret[XATTR_PATH_MAX], int dirfd, const char *name);
/* The same for the file that a descriptor holds, which may be an O_PATH one. Only for the calls that
 * follow the last component: the kernel goes from here to the very file, and no further if that is a
 * symlink. */
void xattr_fd_path(char ret[XATTR_PATH_MAX], int fd);

/* Those that `wanted` accepts of dirfd/name; `name` NULL: of dirfd itself, which is open for reading or writing and need be no
 * directory. A file system without any has none. Fails with errno of the call (CST_ESYS), ENOENT when the file vanished. `ret` must be
 * empty. */
int xattrs_read(int dirfd, const char *name, bool (*wanted)(const char *name), struct xattrs *ret,
                const char *shown, cst_error **error);
bool xattrs_equal(const struct xattrs *a, const struct xattrs *b);
void xattrs_free(struct xattrs *xattrs);
#define _cleanup_xattrs_ _cleanup_(xattrs_free)

/* What a layer tar carries: file capabilities, IMA, user.* without overlay's
 * (docs/format/archive.md, "Headers"). */
bool xattr_is_exported(const char *name);

/* Is dirfd/name a directory marked opaque? `userns`: user.overlay.opaque. */
bool xattr_is_opaque(int dirfd, const char *name, bool userns);

#endif
