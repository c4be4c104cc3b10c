/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every directory can do: the default operations of drivers whose layers are directories. A driver names them in its
 * table, or calls them from an operation of its own that does a part natively.
 */
#ifndef CST_DRIVER_NAIVE_H
#define CST_DRIVER_NAIVE_H

#include "driver/driver.h"
#include "lock/tempdir.h"

/* ---- identity ---- */

/* The inode number of a directory, as text. The device number is left out on purpose: it can be another one after a reboot
 * (btrfs, LVM, NVMe), and an identity is compared after a power cut. A layer and what is staged for it are always on the
 * same file system, so the inode number alone tells them apart. Not for btrfs and zfs, where the root of every subvolume
 * and data set has the same number. */
int naive_identity(int dirfd, struct driver_identity *ret, cst_error **error);

/* ---- reading: a whole tree, or two of them compared ---- */

struct naive_view {
	int tree_fd, old_fd; /* whole root file systems; old_fd -1: everything is new */
	struct idmaps maps, old_maps; /* of each */
	bool userns;         /* the attributes of overlay are the user's */
};
#define NAIVE_VIEW_INIT {.tree_fd = -1, .old_fd = -1}
/* Copies the maps, NULL: none. */
int naive_view_set_maps(struct naive_view *view, const struct driver_view_maps *maps, cst_error **error);
void naive_view_close(struct naive_view *view); /* closes both descriptors */
/* The three operations of driver_ops of these names. */
int naive_view_diff(const struct naive_view *view, const cst_sink *sink, const cst_progress *progress, cst_error **error);
int naive_view_changes(const struct naive_view *view, struct cst_changes *ret, cst_error **error);
int naive_view_size(const struct naive_view *view, int64_t *ret, cst_error **error);

/* ---- unpacking ---- */

/* The store's policy as options of unpack_layer(), to which the driver adds its own. `maps` empty: none. */
struct unpack_options naive_unpack_options(const struct driver_unpack_policy *policy, const struct idmaps *maps);

/* ---- looking ---- */

/* Do both paths lead to the same directory now? One that is not there is no error: the answer is no. */
int naive_same_directory(const char *a, const char *b, bool *ret, cst_error **error);

/* ---- measuring ---- */

/* driver_ops.usage by walking what content_open() gives. */
int naive_usage(struct driver *d, const char *id, struct driver_usage *ret, cst_error **error);

/* ---- trash: temporary directories, one in each place that something was taken from ---- */

/* The temporary directory in `root`, made if the trash has none there yet, and so is the trash. It stays the trash's. NULL:
 * the disk is too full for one. */
int naive_trash_in(const struct driver_ops *ops, const char *root, enum tempdir_layout layout, struct driver_trash **trash,
		   struct tempdir **ret, cst_error **error);
uint64_t naive_trash_count(const struct driver_trash *trash);
void naive_trash_empty(struct driver_trash *trash, const struct fs_watch *watch);
void naive_trash_free(struct driver_trash *trash);

/* The same for one temporary directory. */
uint64_t naive_tempdir_count(const struct tempdir *dir);
void naive_tempdir_empty(const struct tempdir *dir, const struct fs_watch *watch);

#endif
