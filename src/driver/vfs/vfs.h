/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfs: every layer is a directory, <home>/dir/<id>, with a full copy of its parent that has the layer's changes applied. It
 * mounts nothing and works everywhere. It costs the space of the copies, unless the filesystem shares blocks, which the copy
 * asks for. A layer is built in <home>/tempdirs and renamed into place (docs/format/drivers.md, "vfs").
 *
 *   vfs.c     opening, taking layers away, reading them, the table of operations
 *   home.c    the homes, and finding a layer in them
 *   stage.c   building a layer, and new content for one
 */
#ifndef CST_DRIVER_VFS_H
#define CST_DRIVER_VFS_H

#include "driver/naive.h"

/* A store has the home of its graph root. With an image store it has that one's, too, and read-only layers go there. */
struct vfs_home {
	char *path, *dir_path, *tempdirs;
	int dir_fd; /* <home>/dir */
};
#define VFS_MAX_HOMES 2

struct vfs {
	struct driver base;
	struct vfs_home homes[VFS_MAX_HOMES];
	size_t n_homes;
	bool ignore_chown_errors;
	struct strv image_stores; /* graph roots that are only read; their layers may be parents */
};

static inline struct vfs *vfs_of(struct driver *d)
{
	return (struct vfs *)d;
}

/* ---- home.c ---- */

bool vfs_home_is_there(const char *root); /* in this graph root */
/* Adds the home in a graph root. If it is missing it is made, unless the store is only read. */
int vfs_home_open(struct vfs *vfs, const char *root, bool read_only, cst_error **error);
/* The home that has the layer; the first one if none has it. */
const struct vfs_home *vfs_home_of(const struct vfs *vfs, const char *id);
/* The path of a layer in our homes or in an additional store; if it is nowhere, where it would be in ours. Caller frees. */
char *vfs_layer_path(const struct vfs *vfs, const char *id);
/* Opens the layer's directory. The first looks in our homes and in the additional stores, the second in our homes only. */
int vfs_layer_open(const struct vfs *vfs, const char *id, int *ret_fd, cst_error **error);
int vfs_own_layer_open(const struct vfs *vfs, const char *id, int *ret_fd, cst_error **error);

/* ---- stage.c ---- */

int vfs_stage(struct driver *d, const struct driver_stage_options *options, struct driver_staged **ret, cst_error **error);
int vfs_stage_copy(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
		   cst_error **error);
int vfs_stage_in_place(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
		       cst_error **error);
int vfs_stage_unpack(struct driver_staged *staged, const cst_source *source, const struct driver_unpack_policy *policy,
		     struct unpack_result *ret, cst_error **error);
int vfs_stage_open(struct driver_staged *staged, struct driver_filling *ret, cst_error **error);
int vfs_stage_sync(struct driver_staged *staged, cst_error **error);
int vfs_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error);
const char *vfs_stage_note(struct driver_staged *staged);
int vfs_stage_commit(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
int vfs_stage_replace(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
int vfs_staged_identity(struct driver_staged *staged, struct driver_identity *ret, cst_error **error);
int vfs_content_identity(struct driver *d, const char *id, struct driver_identity *ret, cst_error **error);
const char *vfs_staged_id(struct driver_staged *staged);
void vfs_stage_free(struct driver_staged *staged);

#endif
