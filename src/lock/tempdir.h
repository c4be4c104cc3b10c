/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories whose content nobody refers to yet, or any more, and whose liveness is a held lock.
 * Two layouts on disk, both shared with the Go tools (docs/format/store.md, "Temporary
 * directories"): TEMPDIR_PAIR     <root>/lock-<N> and <root>/temp-dir-<N>        (`tempdirs`,
 * `<drv>-layers/tmp`) TEMPDIR_STAGING  <root>/<N>/staging.lock inside the directory   (overlay
 * `staging`)
 */
#ifndef CST_LOCK_TEMPDIR_H
#define CST_LOCK_TEMPDIR_H

#include "base/error.h"
#include "base/mem.h"

enum tempdir_layout { TEMPDIR_PAIR, TEMPDIR_STAGING };

struct tempdir {
	int root_fd; /* the directory that holds it */
	int fd;      /* the directory itself, O_PATH-free */
	int lock_fd;
	char *name, *lock_name, *shown;
	enum tempdir_layout layout;
	unsigned counter; /* for tempdir_item_name */
};

/* Makes <root_path> (0700) on demand and a fresh locked directory in it. The lock's inode is
 * checked to be the one at the path after locking, so a recoverer cannot take it away in between.
 */
int tempdir_new(const char *root_path, enum tempdir_layout layout, struct tempdir **ret,
                cst_error **error);
/* Moves <dirfd>/<name> in as "<counter>-<name>"; same mount. Missing source: nothing to do, 0. */
int tempdir_take(struct tempdir *dir, int dirfd, const char *name, cst_error **error);
/* Removes the content and the lock. NULL allowed. Slow: never under a store lock. Errors are
 * logged. */
void tempdir_free(struct tempdir *dir);
DEFINE_CLEANUP(struct tempdir *, tempdir_free)

/* Removes every temporary directory below <root_path> whose lock nobody holds; one that cannot be
 * is logged and stays. A missing root is fine. */
int tempdir_recover(const char *root_path, enum tempdir_layout layout, cst_error **error);

#endif
