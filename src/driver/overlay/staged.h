/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A staged layer from inside. Its directory is made in a temporary directory of the home, whose lock this process holds, and one
 * rename makes it visible. The Go tools have two places for temporary directories, and neither is safe from all releases.
 * Every podman and buildah before 1.54 that ends while nothing is mounted removes <home>/staging, whatever is locked there.
 * `gc` of releases before 1.59 removes <home>/tempdirs. So this driver uses the first, unless such an old podman uses the
 * store, and the commit gives up if the lock file is not the one that this process holds.
 */
#ifndef CST_DRIVER_OVERLAY_STAGED_H
#define CST_DRIVER_OVERLAY_STAGED_H

#include "driver/overlay/overlay.h"

#define STAGED_DIR   "dir" /* of the layers of an image the others are called dir1, dir2, ... */
#define STAGING_LOCK "staging.lock"
#define GENERATION   "diff1" /* of the parent's content under other owners: see reown.c */

struct root_attributes {
	uid_t uid, gid;
	mode_t mode;
};
/* Reads them of <dirfd>/<name>: what force_mask or fuse-overlayfs noted in an attribute of the directory, else its own. */
int overlay_read_root(int dirfd, const char *name, struct root_attributes *ret, const char *shown,
                      cst_error **error);
/* Notes them there, as the file is other because of force_mask. */
int overlay_note_root(int fd, const struct root_attributes *root, const char *shown,
                      cst_error **error);
/* Of a new layer's `diff`: owner and mode of the parent's. Without a parent its mode is 0555. Without a parent, or if the parent's
 * content gets other owners, it belongs to the root user of the maps. */
int overlay_root_attributes(const struct overlay *o, const struct overlay_dirs *dirs,
                            const struct driver_stage_options *options, struct root_attributes *ret,
                            cst_error **error);
/* `ret_fd` may be NULL. */
int overlay_make_dir(int parent_fd, const char *name, const struct root_attributes *owner,
                     mode_t mode, int *ret_fd, const char *shown, cst_error **error);
/* A temporary directory in one of the homes. */
int overlay_new_temp(const struct overlay *o, size_t home, struct tempdir **ret, cst_error **error);

struct driver_staged {
	struct overlay *overlay;
	size_t home;
	struct tempdir *temp; /* NULL: the content is that of an existing layer */
	char name[16];        /* of the layer's directory in it */
	ino_t inode;          /* of that directory */
	int dir_fd;           /* that directory; -1: the content is that of an existing layer */
	int diff_fd;
	/* The layers of an image: nothing is synced before the barrier, and between unpacking and commit no descriptor is open. */
	bool of_image, root_named;
	bool has_project; /* of its own, whose limits go if the layer is not committed */
	unsigned number;              /* among the layers of an image that are staged together */
	struct driver_staged *parent; /* one of them; NULL: the parent, if there is one, exists */
	struct root_attributes root, inherited; /* of `diff`, and what the parent's had when this layer was staged */
	char *lower, *lower_layers;   /* what the files of these names have; NULL: there are none */
	char *lower_id;       /* the layer whose lowers are below the content, too: its parent, or the one it is for; NULL: none */
	char *foreign; /* the directory of an additional layer store that has the content, until the commit; NULL: none */
	char link[OVERLAY_LINK_LEN + 1]; /* "": this is new content for a layer that has a link */
	char *path;                      /* of the staged layer, for messages */
	struct idmaps maps;              /* whose ids files get that are unpacked; empty: no maps */
};

#endif
