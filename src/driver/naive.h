/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default operations of drivers whose layers are directories: what every directory can do. A driver names them in its
 * table, or calls them from an operation of its own that does a part of the work natively.
 */
#ifndef CST_DRIVER_NAIVE_H
#define CST_DRIVER_NAIVE_H

#include "driver/driver.h"

/* ---- identity ---- */

/* The inode number of a directory, as text. The device number is left out on purpose: after a reboot it can be another one
 * (btrfs, LVM, NVMe), and an identity is compared after a power cut. A layer and what is staged for it are always on one
 * filesystem, so the inode number alone tells them apart. btrfs and zfs need something else, since the root of every
 * subvolume and every dataset has the same number. */
int naive_identity(int dirfd, struct driver_identity *ret, cst_error **error);

/* ---- reading: a whole tree, or two of them compared ---- */

struct naive_view {
	int tree_fd, old_fd; /* whole root file systems; old_fd -1: everything is new */
	struct idmaps maps, old_maps; /* of the two trees */
	struct timespec snapshot; /* as in struct pack_options */
	bool userns;         /* overlay's attributes are user.overlay.*, not trusted.overlay.* */
};
#define NAIVE_VIEW_INIT {.tree_fd = -1, .old_fd = -1}
/* Copies the maps. `maps` NULL: there are none. */
int naive_view_set_maps(struct naive_view *view, const struct driver_view_maps *maps, cst_error **error);
void naive_view_close(struct naive_view *view); /* closes both descriptors */
/* The three operations of driver_ops of these names. */
int naive_view_diff(const struct naive_view *view, const cst_sink *sink, const cst_progress *progress, cst_error **error);
int naive_view_changes(const struct naive_view *view, struct cst_changes *ret, cst_error **error);
int naive_view_size(const struct naive_view *view, int64_t *ret, cst_error **error);

/* ---- unpacking ---- */

/* Options of unpack_layer() that say what the store wants; the driver adds its own. `maps` empty: there are none. */
struct unpack_options naive_unpack_options(const struct driver_unpack_policy *policy, const struct idmaps *maps);

/* For driver_ops.stage_open: the descriptor once more, O_RDONLY. */
int naive_reopen(int dirfd, int *ret_fd, cst_error **error);

/* driver_ops.stage_barrier: for a staging area, and for another directory, which may be on another filesystem. */
int naive_barrier(const struct tempdir *area, int also_fd, cst_error **error);

/* ---- staged layers that outlive the process ---- */

/* tempdir_adopt() in one of several places. 0 with *ret NULL: it is not there. */
int naive_adopt(const char *root, enum tempdir_layout layout, const char *id, struct tempdir **ret, int *ret_fd,
		cst_error **error);
/* The error for an ID that no staged layer has. */
int naive_not_staged(const char *id, cst_error **error);

/* ---- looking ---- */

/* Do both paths lead to the same directory now? If one of them leads nowhere the answer is no, and that is no error. */
int naive_same_directory(const char *a, const char *b, bool *ret, cst_error **error);

/* ---- measuring ---- */

/* driver_ops.usage: walks the directory that content_open() gives. */
int naive_usage(struct driver *d, const char *id, struct driver_usage *ret, cst_error **error);

/* ---- trash: temporary directories, one in each place that something was taken from ---- */

/* The temporary directory that the trash has in `root`. The directory, and the trash itself, are made if they are missing.
 * The trash frees the directory. *ret is NULL if the disk is too full for one. */
int naive_trash_in(const struct driver_ops *ops, const char *root, enum tempdir_layout layout, struct driver_trash **trash,
		   struct tempdir **ret, cst_error **error);
uint64_t naive_trash_count(const struct driver_trash *trash);
void naive_trash_empty(struct driver_trash *trash, const struct fs_watch *watch);
void naive_trash_free(struct driver_trash *trash);
/* Shows each of its temporary directories. */
void naive_trash_visit(const struct driver_trash *trash, void (*look)(int fd, void *userdata), void *userdata);
/* Texts that a driver keeps with its trash. */
struct strv *naive_trash_notes(struct driver_trash *trash);

/* The same for a temporary directory that is no trash. */
uint64_t naive_tempdir_count(const struct tempdir *dir);
void naive_tempdir_empty(const struct tempdir *dir, const struct fs_watch *watch);

#endif
