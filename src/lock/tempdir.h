/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories whose content no record names yet, or no record names any more. Each is alive as long as its lock is
 * held. There are two layouts, both shared with the Go tools (docs/format/store.md, "Temporary directories"):
 *   TEMPDIR_PAIR     <root>/lock-<N> and <root>/temp-dir-<N>       (`tempdirs`, `<drv>-layers/tmp`)
 *   TEMPDIR_STAGING  <root>/<N>/staging.lock inside the directory  (overlay's `staging`)
 */
#ifndef CST_LOCK_TEMPDIR_H
#define CST_LOCK_TEMPDIR_H

#include "base/error.h"
#include "base/mem.h"

enum tempdir_layout { TEMPDIR_PAIR, TEMPDIR_STAGING };

struct tempdir {
	int root_fd; /* the directory that holds it */
	int fd;      /* the directory itself; not O_PATH */
	int lock_fd;
	char *name, *lock_name, *shown;
	enum tempdir_layout layout;
	unsigned counter; /* for tempdir_item_name */
	unsigned shares;  /* that were given out: tempdir_free() has to be called once more for each */
};

/* Makes <root_path> (0700) if it is missing, and a fresh locked directory in it. After locking it
 * checks that the lock file is still at its path, so that a process which recovers cannot have
 * removed it before. */
int tempdir_new(const char *root_path, enum tempdir_layout layout, struct tempdir **ret,
                cst_error **error);
/* The same for what is to be removed. If the disk is too full for it: 0, and *ret is NULL. */
int tempdir_new_for_trash(const char *root_path, enum tempdir_layout layout, struct tempdir **ret,
                          cst_error **error);
/* Moves <dirfd>/<name>, which is to be removed, into it as "<counter>-<name>"; both must be on the same
 * mount. If `dir` is NULL, or the disk is too full for the rename, the name is removed where it is,
 * which may be slow. A missing source is fine: 0. */
int tempdir_take(struct tempdir *dir, int dirfd, const char *name, cst_error **error);
/* The same directory once more: it lives until each owner has freed it. One thread at a time. */
struct tempdir *tempdir_share(struct tempdir *dir);
/* Removes the content and the lock. NULL allowed. This is slow: never do it with a lock of the
 * store. Errors are logged. */
void tempdir_free(struct tempdir *dir);
DEFINE_CLEANUP(struct tempdir *, tempdir_free)

/* Removes every temporary directory below <root_path> whose lock nobody holds. One that cannot be
 * removed stays and is logged. A missing root is fine. */
int tempdir_recover(const char *root_path, enum tempdir_layout layout, cst_error **error);

#endif
