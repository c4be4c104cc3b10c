/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store object. The order of its locks:
 *
 *     userns lock, graph lock, layers, images, containers, mount points
 *
 * hold.h takes those of the three sets; the parts of the store that no lock is named for do not
 * change while it is open.
 */
#ifndef CST_STORE_CORE_STORE_H
#define CST_STORE_CORE_STORE_H

#include "base/fs.h"
#include "base/pool.h"
#include "base/types.h"
#include "driver/driver.h"
#include "store/change/trash.h"
#include "store/core/set.h"

/* An additional image store: the graph root of another store, which is only read
 * (docs/format/store.md, "Additional image stores"). */
struct additional_store {
	struct sets sets; /* layers and images */
	/* The graph root of this store, whose images are now in an image store. The images that were there before still
	 * belong to the store; the layers there are among the store's own. */
	bool own;
};

struct cst_store {
	char *graph_root, *run_root, *image_store;
	char *graph_root_origin, *run_root_origin; /* for messages; NULL: the caller's own choice */
	struct strv driver_options;
	struct strv option_origins; /* of each of these, for messages; "": unknown */
	struct idmaps maps; /* defaults of new layers */
	char *auto_userns_user; /* NULL: the usual one */
	uint32_t auto_userns_min, auto_userns_max; /* 0: the usual ones */
	bool disable_volatile, transient, read_only, as_upstream, general_driver_options;
	struct strv ostree_repositories; /* that pulls take files from */
	bool convert_images; /* new layers get a TOC, whatever they come from */
	bool use_hard_links; /* pulls in parts share files with other layers */
	struct lock_wait lock_wait; /* of all locks that are ours */

	struct lockfile *graph_lock;
	struct lockfile *userns_lock; /* ids are being chosen for a container */
	pthread_mutex_t graph_mutex;  /* of what is opened when it is first needed */
	struct lock_token graph_token;
	struct driver *_Atomic driver; /* replaced under the graph lock; others read it meanwhile */
	struct driver **retired_drivers; /* of before a shutdown by somebody else */
	size_t n_retired_drivers, retired_capacity;
	struct pool *pool; /* started with the first unpacking */

	struct sets sets;
	/* What only the layers have. */
	bool layers_open;
	struct lockfile *mounts_lock; /* of mountpoints.json */
	char *tmp_dir;                /* <g>/<drv>-layers/tmp */
	char *image_layers_dir;       /* <i>/<drv>-layers of a split image store, or NULL */
	struct trash repair_trash;    /* of a repair while the layers were being loaded for writing */

	struct additional_store *additional;
	size_t n_additional;
};

/* The lock by which processes agree who makes the content of a digest. The caller frees it. NULL: out of memory. */
char *digest_lock_path(const cst_store *store, const char *digest);

#endif
