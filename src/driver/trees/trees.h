/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drivers have in common whose layers are whole trees: vfs, btrfs and zfs. A layer is a directory, <home>/<place>/<id>, with all
 * of its root file system. It begins as a copy of its parent, is built in <home>/tempdirs, and is renamed into place. Nothing is
 * mounted, but by zfs, where a layer is a dataset (docs/format/drivers.md, "vfs", "btrfs" and "zfs").
 *
 *   trees.c   opening, taking layers away, reading them
 *   home.c    the homes, and finding a layer in them
 *   stage.c   building a layer, and new content for one
 *   keep.c    staged layers that outlive their process
 */
#ifndef CST_DRIVER_TREES_TREES_H
#define CST_DRIVER_TREES_TREES_H

#include "archive/tree/copy.h"
#include "driver/naive.h"

struct trees;

/* A tree that make() makes. */
struct trees_new {
	struct trees *trees;
	const char *from; /* ID of the existing layer whose tree is copied; NULL: none, or that of a staged parent */
	const struct driver_stage_options *options; /* of the layer */
	struct copy_options copy; /* if a tree is copied into it */
	bool renewed; /* it is the copy of a layer whose place it takes */
};

/* In which the drivers differ. */
struct trees_kind {
	const char *place;   /* of the layers, below the home */
	bool in_image_store; /* an image store has the layers that are not writable */
	bool alone;          /* no other store has layers of this one */
	/* Makes the directory `name` in a staging area: empty, if from_fd is -1; else with the tree from_fd copied into it. The
	 * caller opens it, and removes what is left after a failure. */
	int (*make)(int from_fd, const struct tempdir *area, const char *name, const struct trees_new *how, cst_error **error);
	int (*identity)(int dirfd, struct driver_identity *ret, cst_error **error);
	/* When one of two trees was made as a snapshot of the other. False: it was not, or that is not known. NULL: there are none. */
	bool (*snapshot)(int one_fd, int other_fd, struct timespec *ret);
	/* Applies an option of the driver that not all of these have. *known false: it has none of this key. */
	int (*option)(struct trees *trees, const char *key, const char *value, bool *known, cst_error **error);
	/* Open the content of a layer of this store, and of a staged one, which is not a directory of that name: all three are NULL if
	 * it is. -1 and errno. The third frees a staging area (NULL allowed) with what is in it. */
	int (*open_layer)(const struct trees *trees, const char *id);
	int (*open_staged)(const struct driver_staged *staged);
	void (*free_area)(struct trees *trees, struct tempdir *area);
};

/* A store has the home of its graph root. With an image store it can have that one's, too. */
struct trees_home {
	char *path, *layers_path, *tempdirs;
	int layers_fd; /* <home>/<place>; for reading: see trees_beside() */
};
#define TREES_MAX_HOMES 2

struct trees {
	struct driver base;
	const struct trees_kind *kind;
	struct trees_home homes[TREES_MAX_HOMES];
	size_t n_homes;
	bool ignore_chown_errors;
	struct strv image_stores; /* graph roots that are only read; their layers may be parents */
};

static inline struct trees *trees_of(struct driver *d)
{
	return (struct trees *)d;
}

struct driver_staged {
	struct trees *trees;
	const struct trees_home *home;
	struct tempdir *area; /* NULL: the content is an existing layer's */
	char name[24];        /* of the content in it */
	unsigned number;      /* among the layers of an image that are staged together */
	bool of_image;        /* nothing is synced before the barrier, and no descriptor stays open */
	int fd;               /* the content */
	struct idmaps maps;   /* whose ids files get that are unpacked; empty: no maps */
	uint64_t size;        /* a limit of what it may hold, of drivers that have limits; 0: none */
};

/* ---- trees.c: what a driver's open() does, and operations of driver_ops ---- */

/* Fills a driver's own struct, whose first member is a zeroed struct trees, and opens the homes. After a failure the caller
 * frees it with trees_close(). */
int trees_open(struct trees *trees, const struct driver_ops *ops, const struct trees_kind *kind,
	       const struct driver_config *config, cst_error **error);
/* The same in two steps: what is said first, then the homes. */
int trees_open_options(struct trees *trees, const struct driver_ops *ops, const struct trees_kind *kind,
		       const struct driver_config *config, cst_error **error);
int trees_open_homes(struct trees *trees, const struct driver_config *config, cst_error **error);
void trees_close(struct driver *d);
/* How much a layer may hold, in bytes: *size is what an option of the driver says (0: nothing), for writable layers, and becomes what the
 * layer's own option "size" says. *given: one of the two says something. CST_EINVAL: it has another option (`hint` is the end of the
 * message), or is no size. */
int trees_size_of(const struct driver_stage_options *options, const char *hint, bool *given, uint64_t *size,
		  cst_error **error);
int trees_cleanup(struct driver *d, cst_error **error);
int trees_recover(struct driver *d, cst_error **error);
int trees_exists(struct driver *d, const char *id, bool *ret, cst_error **error);
int trees_list(struct driver *d, struct strv *ids, cst_error **error);
const struct strv *trees_image_stores(struct driver *d);
int trees_status(struct driver *d, struct strv *pairs, cst_error **error);
int trees_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error);
int trees_shareable(struct driver *d, const char *id, const char **root, char **path, cst_error **error);
int trees_supports_shifting(struct driver *d, const struct idmaps *maps, bool *ret, cst_error **error);
int trees_content_open(struct driver *d, const char *id, int *ret_fd, cst_error **error);
int trees_remove(struct driver *d, const char *id, const char *note, struct driver_trash **trash, struct fs_later *later,
		 cst_error **error);
int trees_get(struct driver *d, const char *id, const struct driver_mount_options *options, char **ret_path,
	      cst_error **error);
int trees_put(struct driver *d, const char *id, cst_error **error);
int trees_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd, cst_error **error);
int trees_view_open(struct driver *d, const char *id, const char *from, const struct driver_view_maps *maps,
		    struct driver_view **ret, cst_error **error);
int trees_view_diff(struct driver_view *view, const cst_sink *sink, const cst_progress *progress, cst_error **error);
int trees_view_changes(struct driver_view *view, struct cst_changes *ret, cst_error **error);
int trees_view_size(struct driver_view *view, int64_t *ret, cst_error **error);
int trees_view_open_content(struct driver_view *view, const char *name, int64_t size, cst_error **error);
int trees_view_tree(struct driver_view *view, int *ret_fd, cst_error **error);
void trees_view_close(struct driver_view *view);

/* ---- home.c ---- */

/* Are the homes there that this configuration needs? */
bool trees_homes_are_there(const char *name, const struct trees_kind *kind, const struct driver_config *config);
/* Adds the home in a graph root. If it is missing it is made, unless the store is only read. */
int trees_home_open(struct trees *trees, const char *root, bool read_only, cst_error **error);
/* The home that has the layer; the first one if none has it. */
const struct trees_home *trees_home_of(const struct trees *trees, const char *id);
/* Opens a directory of the home, and the temporary directory once more, on the same mount. Another process can mount a home on
 * itself, or unmount it, at any moment, and a rename does not lead from one mount to another. */
int trees_beside(const struct trees_home *home, const struct tempdir *area, const char *name, int *ret_fd, cst_error **error);
/* The path of a layer in our homes or in an additional store; if it is nowhere, where it would be in ours. Caller frees. */
char *trees_layer_path(const struct trees *trees, const char *id);
/* Opens the layer's directory. The first looks in our homes and in the additional stores, the second in our homes only. */
int trees_layer_open(const struct trees *trees, const char *id, int *ret_fd, cst_error **error);
int trees_own_layer_open(const struct trees *trees, const char *id, int *ret_fd, cst_error **error);

/* ---- stage.c: operations of driver_ops ---- */

/* Gives a copy of a tree to other ids, if that is asked for, and syncs it. */
int trees_reown(int fd, const struct copy_options *how, const char *shown, cst_error **error);

int trees_stage(struct driver *d, const struct driver_stage_options *options, struct driver_staged **ret, cst_error **error);
int trees_stage_copy(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
		     cst_error **error);
int trees_stage_in_place(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
			 cst_error **error);
int trees_stage_unpack(struct driver_staged *staged, const cst_source *source, const struct driver_unpack_policy *policy,
		       struct unpack_result *ret, cst_error **error);
int trees_stage_open(struct driver_staged *staged, struct driver_filling *ret, cst_error **error);
/* Opens the content once more. */
int trees_staged_open(const struct driver_staged *staged, int *ret_fd, cst_error **error);
int trees_stage_sync(struct driver_staged *staged, cst_error **error);
int trees_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error);
const char *trees_stage_note(struct driver_staged *staged);
int trees_stage_commit(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
int trees_stage_replace(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
int trees_staged_identity(struct driver_staged *staged, struct driver_identity *ret, cst_error **error);
int trees_content_identity(struct driver *d, const char *id, struct driver_identity *ret, cst_error **error);
const char *trees_staged_id(struct driver_staged *staged);
void trees_stage_free(struct driver_staged *staged);
DEFINE_CLEANUP(struct driver_staged *, trees_stage_free)
#define TREES_CONTENT "%u-addition" /* in a staging directory; the Go tools give the name */

/* ---- keep.c: operations of driver_ops ---- */

int trees_stage_keep(struct driver_staged *staged, tempdir_write write, void *userdata, cst_error **error);
int trees_stage_list(struct driver *d, struct strv *ids, cst_error **error);
int trees_stage_adopt(struct driver *d, const char *id, struct driver_staged **ret, int *ret_fd, cst_error **error);
int trees_stage_unkeep(struct driver_staged *staged, cst_error **error);
int trees_stage_resolve(struct driver *d, const char *staged_id, const char *id, cst_error **error);

/* ---- for the tables of the drivers: the operations that all of them do alike ---- */

#define TREES_OPERATIONS \
	.stage_unpack = trees_stage_unpack, \
	.stage_open = trees_stage_open, \
	.stage_note = trees_stage_note, \
	.stage_free = trees_stage_free, \
	.staged_id = trees_staged_id, \
	.stage_list = trees_stage_list, \
	.stage_unkeep = trees_stage_unkeep, \
	.stage_copy = trees_stage_copy, \
	.stage_in_place = trees_stage_in_place, \
	.staged_identity = trees_staged_identity, \
	.content_identity = trees_content_identity, \
	.content_open = trees_content_open, \
	.image_stores = trees_image_stores, \
	.usage = naive_usage, \
	.supports_shifting = trees_supports_shifting, \
	.view_open = trees_view_open, \
	.view_diff = trees_view_diff, \
	.view_changes = trees_view_changes, \
	.view_size = trees_view_size, \
	.view_open_content = trees_view_open_content, \
	.view_tree = trees_view_tree, \
	.view_close = trees_view_close

#endif
