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
#include "base/str.h"

enum tempdir_layout { TEMPDIR_PAIR, TEMPDIR_STAGING };

struct tempdir {
	int root_fd; /* the directory that holds it */
	int fd;      /* the directory itself; not O_PATH */
	int lock_fd;
	char *name, *lock_name, *shown;
	enum tempdir_layout layout;
	unsigned counter; /* for tempdir_item_name */
	unsigned shares;  /* that were given out: tempdir_free() has to be called once more for each */
	bool kept;        /* it outlives its process: tempdir_free() leaves it */
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
/* Frees it, and leaves what is on disk to tempdir_recover(). */
void tempdir_leave(struct tempdir *dir);

/* ---- directories that outlive their process ----
 *
 * In the place of the lock file there is a directory then, which nobody can lock: the Go tools pass over what they cannot
 * lock. In it are the file KEPT_STATE, for whoever goes on, and the lock of whoever is at work now. Without KEPT_STATE the
 * directory is dead as soon as that lock is free. */
#define KEPT_STATE  "state"
#define KEPT_HOLDER "holder"

/* `write` puts what it wants to know later into the directory `fd`, KEPT_STATE with it; then all of that becomes durable, and
 * the directory is kept. The caller has synced the rest. CST_ENOTSUP: the file system cannot exchange two names. */
typedef int (*tempdir_write)(int fd, void *userdata, cst_error **error);
int tempdir_keep(struct tempdir *dir, tempdir_write write, void *userdata, cst_error **error);
/* The names of those that are kept, which tempdir_adopt() takes. A missing root has none. */
int tempdir_list_kept(const char *root_path, enum tempdir_layout layout, struct strv *names, cst_error **error);
/* Opens one that is kept, and in *ret_fd what was written. It stays kept. CST_EBUSY: another process is at work in it. CST_ESYS with
 * ENOENT: there is none. */
int tempdir_adopt(const char *root_path, enum tempdir_layout layout, const char *name, struct tempdir **ret, int *ret_fd,
                  cst_error **error);
/* It dies with this process again, durably. One that is not kept: 0. */
int tempdir_unkeep(struct tempdir *dir, cst_error **error);

/* The same for the one of this name, whoever has it. There is none: 0. */
int tempdir_forget(const char *root_path, enum tempdir_layout layout, const char *name, cst_error **error);
/* Is one of this name kept? *ret_dir is the path of its directory below the root, the caller's, or NULL. */
int tempdir_find_kept(const char *root_path, enum tempdir_layout layout, const char *name, char **ret_dir, cst_error **error);
/* The number in its name. */
const char *tempdir_number(const struct tempdir *dir);

/* Removes every temporary directory below <root_path> whose lock nobody holds. One that cannot be
 * removed stays and is logged. A missing root is fine. */
int tempdir_recover(const char *root_path, enum tempdir_layout layout, cst_error **error);
/* The same for directories that stand for something elsewhere: `empty` removes that of one of them first, with
 * its lock held. If it fails, the directory stays, too. */
typedef int (*tempdir_empty)(int dirfd, const char *number, void *userdata, cst_error **error);
int tempdir_recover_with(const char *root_path, enum tempdir_layout layout, tempdir_empty empty, void *userdata,
                         cst_error **error);
/* Was one of this number made by this library? */
bool tempdir_is_ours(const char *number);

#endif
