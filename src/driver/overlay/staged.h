/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A staged layer from inside. Its directory is made whole in a temporary directory of the home, under a lock, and appears by
 * one rename. Two places are the Go tools' own, and neither is safe from all releases: <home>/staging is removed, whatever
 * is locked there, by every podman and buildah before 1.54 that ends while nothing is mounted; <home>/tempdirs only by `gc`
 * of releases before 1.59. So it is the first unless such an old one uses the store. The commit looks if the lock file is
 * still the one it holds, and gives up if not.
 */
#ifndef CST_DRIVER_OVERLAY_STAGED_H
#define CST_DRIVER_OVERLAY_STAGED_H

#include "driver/overlay/overlay.h"

#define STAGED_DIR   "dir"
#define STAGING_LOCK "staging.lock"
#define GENERATION   "diff1" /* of the parent's content under other owners: see reown.c */

struct driver_staged {
	struct overlay *overlay;
	size_t home;
	struct tempdir *temp; /* NULL: the content is an existing layer's */
	int dir_fd;           /* of the layer's directory; -1: the content is an existing layer's */
	int diff_fd;
	bool has_parent;
	char *lower_id;       /* the layer whose lowers are this one's, too: its parent, or the layer that the content is
				 for; NULL: there are none */
	char link[OVERLAY_LINK_LEN + 1]; /* "": this is content for a layer that has its link */
	char *path;                      /* of the staged layer, for messages */
	struct idmaps maps;              /* of files to be unpacked; empty: none */
};

#endif
