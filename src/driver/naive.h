/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every directory can do: the default operations of drivers whose layers are directories. A driver names them in its
 * table, or calls them from an operation of its own that does a part natively.
 */
#ifndef CST_DRIVER_NAIVE_H
#define CST_DRIVER_NAIVE_H

#include "driver/driver.h"

/* ---- identity ---- */

/* The inode number of a directory, as text. The device number is left out on purpose: it can be another one after a reboot
 * (btrfs, LVM, NVMe), and an identity is compared after a power cut. A layer and what is staged for it are always on the
 * same file system, so the inode number alone tells them apart. Not for btrfs and zfs, where the root of every subvolume
 * and data set has the same number. */
int naive_identity(int dirfd, struct driver_identity *ret, cst_error **error);

#endif
