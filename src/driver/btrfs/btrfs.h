/* SPDX-License-Identifier: Apache-2.0 */
/*
 * btrfs: every layer is a subvolume, <home>/subvolumes/<id>. It begins as a snapshot of its parent, which costs no space and a
 * moment. A layer with a limit has it in the quota group of its subvolume, and as a number of bytes in <home>/quotas/<id>
 * (docs/format/drivers.md, "btrfs").
 *
 *   btrfs.c   opening, making subvolumes, the table of operations
 *   quota.c   limits, and the files that say which
 */
#ifndef CST_DRIVER_BTRFS_BTRFS_H
#define CST_DRIVER_BTRFS_BTRFS_H

#include "driver/trees/trees.h"

struct btrfs {
	struct trees trees;
	uint64_t min_space; /* no limit may be smaller */
	uint64_t size;      /* limit of a container's layer that has none of its own; 0: none */
	bool wants_quota;   /* one of both options was given: groups are counted from the start */
};

static inline struct btrfs *btrfs_of(struct driver *d)
{
	return (struct btrfs *)d;
}

/* ---- quota.c ---- */

/* Is there nothing to do before a limit can be set? */
bool btrfs_quota_is_ready(const struct btrfs *btrfs);
/* Has the file system count what each subvolume holds, if it does not. */
int btrfs_quota_enable(const struct btrfs *btrfs, cst_error **error);
/* The limit of a new layer, by its own options and those of the driver. *ret 0: none. */
int btrfs_quota_of(const struct btrfs *btrfs, const struct driver_stage_options *options, uint64_t *ret, cst_error **error);
/* Sets the limit again that the layer has by its file: groups are lost if quotas are switched off. */
int btrfs_quota_limit_again(const struct btrfs *btrfs, const char *id, cst_error **error);
/* Limits a staged layer, and writes the file that says so. */
int btrfs_quota_stage(struct driver_staged *staged, uint64_t size, cst_error **error);
/* The file becomes that of layer `id`. */
int btrfs_quota_commit(const struct driver_staged *staged, const char *id, bool durable, cst_error **error);
int btrfs_quota_remove(const struct btrfs *btrfs, const char *id, struct fs_later *later, cst_error **error);

#endif
