/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zfs: every layer is a dataset, <fsname>/<id>, made by the program `zfs`. It begins as a clone of a snapshot of its parent, which
 * costs no space. Nothing mounts it but who uses it (mountpoint=legacy): a mount of the layer is at <home>/graph/<id>, and to
 * read or to fill it this process mounts it nowhere, on a descriptor that ends with the process (docs/format/drivers.md, "zfs").
 *
 * What is built or taken away has a name of its own beside the layers, <fsname>/cstorage-<N>-..., as long as this process has the
 * temporary directory <home>/tempdirs/temp-dir-<N>. Such a dataset whose directory is dead is removed by recovery.
 *
 *   zfs.c       opening, looking, the table of operations
 *   option.c    options of the driver and of layers
 *   claim.c     datasets with the name of a layer that has no record yet, or none any more
 *   command.c   what the program `zfs` does
 *   mount.c     mounts, seen and unseen
 *   stage.c     building a layer, and new content for one
 *   trash.c     taking layers away, and what dead processes left
 */
#ifndef CST_DRIVER_ZFS_ZFS_H
#define CST_DRIVER_ZFS_ZFS_H

#include "driver/trees/trees.h"

struct zfs {
	struct trees trees;
	char *fsname;   /* the dataset that the layers are in; given, or that of the graph root */
	char *mountopt; /* NULL: not given */
	uint64_t size;  /* limit of a container's layer that has none of its own; 0: none */
	bool as_upstream;
};

static inline struct zfs *zfs_of(struct driver *d)
{
	return (struct zfs *)d;
}

/* ---- option.c ---- */

int zfs_option(struct trees *trees, const char *key, const char *value, bool *known, cst_error **error);
/* The limit of a new layer, by its own options and those of the driver. *ret 0: none. */
int zfs_limit_of(const struct zfs *zfs, const struct driver_stage_options *options, uint64_t *ret, cst_error **error);
/* The dataset that a path is on. CST_EPREREQ: it is on none. The caller frees *ret. */
int zfs_dataset_of_path(const char *path, char **ret, cst_error **error);

/* ---- command.c: each runs the program, which gets two minutes. No lock, where the operation allows it ---- */

extern _Atomic int zfs_program_limit_ms; /* shorter in tests */

/* <fsname>/<name>; CST_EINVAL: no dataset can have such a name. The caller frees *ret. */
int zfs_dataset(const struct zfs *zfs, const char *name, char **ret, cst_error **error);
/* A dataset that only who mounts it sees. `limit` 0: none. */
int zfs_create(const struct zfs *zfs, const char *dataset, uint64_t limit, cst_error **error);
/* `snapshot` is the full name of one, which goes with the clone. */
int zfs_clone(const struct zfs *zfs, const char *snapshot, const char *dataset, uint64_t limit, cst_error **error);
int zfs_snapshot(const char *snapshot, cst_error **error);
/* As soon as no clone needs it. One that is gone: 0. */
int zfs_forget_snapshot(const char *snapshot, cst_error **error);
/* Returns when both, and all that was written to the pool before, are on disk. CST_ESYS with EEXIST: `to` exists, with ENOENT:
 * `from` does not. */
int zfs_rename(const char *from, const char *to, cst_error **error);
/* With its snapshots. One that is gone: 0. CST_EBUSY: it is mounted somewhere, or has clones. */
int zfs_destroy(const char *dataset, cst_error **error);
int zfs_promote(const char *dataset, cst_error **error);
/* Values of properties, "guid,quota", of one dataset, the caller's to free. CST_ESYS with ENOENT: there is none. */
int zfs_read(const char *dataset, const char *properties, struct strv *ret, cst_error **error);
/* The names below fsname of what this driver made in this home, youngest first: layers, and what is built or taken away. */
int zfs_list_all(const struct zfs *zfs, struct strv *ret, cst_error **error);
/* The pool's properties: `zpool list`. */
int zfs_read_pool(const char *pool, const char *properties, struct strv *ret, cst_error **error);

/* ---- mount.c ---- */

/* Opens the root directory of a dataset, which is mounted nowhere. -1 and errno; ENOENT: there is no such dataset, EBUSY: for
 * seconds somebody else had it in a way that does not let it be mounted. */
int zfs_open_dataset(const char *dataset, bool to_write);
int zfs_identity(int dirfd, struct driver_identity *ret, cst_error **error);
int zfs_get(struct driver *d, const char *id, const struct driver_mount_options *options, char **ret_path, cst_error **error);
int zfs_put(struct driver *d, const char *id, cst_error **error);
int zfs_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd, cst_error **error);

/* ---- stage.c ---- */

int zfs_make(int from_fd, const struct tempdir *area, const char *name, const struct trees_new *how, cst_error **error);
int zfs_open_layer(const struct trees *trees, const char *id);
int zfs_open_staged(const struct driver_staged *staged);
int zfs_stage_sync(struct driver_staged *staged, cst_error **error);
int zfs_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error);
int zfs_stage_prepare(struct driver_staged *staged, const char *id, cst_error **error);
int zfs_stage_keep(struct driver_staged *staged, tempdir_write write, void *userdata, cst_error **error);
int zfs_stage_commit(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
int zfs_stage_replace(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
int zfs_replace_recover(struct driver *d, const char *id, struct driver_trash **trash, cst_error **error);
int zfs_stage_resolve(struct driver *d, const char *staged_id, const char *id, cst_error **error);

/* ---- claim.c: the dataset `id`, which belongs to a temporary directory. Only settling runs a program ---- */

/* Claims it for what settling calls `name`, durably; content_fd is its root. */
int zfs_claim(const struct tempdir *area, const char *name, const char *id, int content_fd, cst_error **error);
/* It is a layer from now on, durably. */
int zfs_unclaim(const struct tempdir *area, const char *name, cst_error **error);
bool zfs_is_claimed(const struct tempdir *area, const char *name);
/* Is it the dataset still that was claimed? */
int zfs_claim_holds(const struct zfs *zfs, const struct tempdir *area, const char *name, bool *ret, cst_error **error);
/* Gives all of them their names in the temporary directory. No lock. */
int zfs_settle_claims(const struct zfs *zfs, int dirfd, const char *number, const char *shown, cst_error **error);
/* Takes the IDs from the list that a temporary directory claims. */
int zfs_without_claimed(const struct zfs *zfs, struct strv *ids, cst_error **error);
int zfs_is_anyones(const struct zfs *zfs, const char *id, bool *ret, cst_error **error); /* does one claim it? */
/* What is claimed is no layer. */
int zfs_exists(struct driver *d, const char *id, bool *ret, cst_error **error);

/* ---- trash.c ---- */

#define ZFS_OURS     "cstorage-"  /* before the number of the temporary directory */
#define ZFS_REPLACED "-replaced-" /* after it, and before the ID of the layer whose old content it is */
#define ZFS_SNAPSHOT ".snapshot" /* ends the name of a file in a temporary directory that names a snapshot */
#define ZFS_HOME     "cstorage:home" /* property: the home of the driver that made the dataset */

/* <fsname>/cstorage-<N>-<name>; the caller's, or NULL. */
char *zfs_dataset_in(const struct zfs *zfs, const struct tempdir *area, const char *name);
/* Moves a dataset into the temporary directory. One that is missing: 0. */
int zfs_take(const struct zfs *zfs, struct tempdir *area, const char *dataset, cst_error **error);
/* Frees a temporary directory with all datasets in it; or leaves it to recovery, if one cannot be destroyed now. */
void zfs_free_area(struct trees *trees, struct tempdir *area);
int zfs_recover(struct driver *d, cst_error **error);
int zfs_remove(struct driver *d, const char *id, const char *note, struct driver_trash **trash, struct fs_later *later, cst_error **error);
uint64_t zfs_trash_count(const struct driver_trash *trash);
void zfs_trash_empty(struct driver_trash *trash, const struct fs_watch *watch);
void zfs_trash_free(struct driver_trash *trash);

#endif
