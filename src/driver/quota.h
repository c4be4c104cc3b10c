/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Project quotas of xfs and ext4 (docs/format/drivers.md, "Quota"): a directory gets a project ID, which all that is made below
 * it inherits, and the file system limits what the project may hold.
 *
 * The Go tools give out IDs upwards, from a number that they make of the home's inode or find at the home, and only look at
 * what is in use when they start. So ours are taken from below that number, at random, and only if the file system knows
 * nothing of them: no process needs to ask another.
 */
#ifndef CST_DRIVER_QUOTA_H
#define CST_DRIVER_QUOTA_H

#include "base/error.h"
#include "driver/driver.h"

/* Replaces in *ret what the storage options of a new layer say otherwise: "size=1g", "inodes=1000". */
int quota_parse(const struct driver_stage_options *options, struct driver_quota *ret, cst_error **error);
/* Does the file system of this directory account and limit projects? CST_ENOTSUP says why not, in the words of the Go tools.
 * `home` is the driver's directory, absolute; on kernels before 5.14 the node of its device is made there, as they make it. */
int quota_probe(const char *home, cst_error **error);
/* Gives an empty directory on the file system of `home` a project of its own with these limits; 0 limits nothing. */
int quota_assign(const char *home, int dirfd, const struct driver_quota *limits, cst_error **error);
/* The second directory, an empty one, belongs to the project of the first from now on, if that has one. */
int quota_share(int from_fd, int to_fd, const char *shown, cst_error **error);
/* Takes the limits of the directory's project away, before the directory goes. Failures are logged: what is left over limits
 * nobody. */
void quota_release(const char *home, int dirfd);

#endif
