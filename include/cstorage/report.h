/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a store: what takes how much room on the disk, who holds which lock, where a layer's directories are.
 */
#ifndef CSTORAGE_REPORT_H
#define CSTORAGE_REPORT_H

#include <cstorage/lock.h>
#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- room on the disk ---- */

/* What one layer, image or container takes, in bytes of disk blocks. Within one entry a file with several names, and a
 * block that several files share (reflinks), counts once. */
typedef struct cst_usage_entry {
	size_t size; /* sizeof(cst_usage_entry) of the library */
	int kind; /* enum cst_kind */
	bool read_only;     /* in an additional store: not part of the total */
	char unused[3];
	const char *id;
	const char *const *names;
	size_t n_names;
	uint64_t content;   /* of a layer; of all layers of an image; of a container's own layer */
	uint64_t shared;    /* part of content. Layer: blocks and files that something outside of it has too. Image: layers that
			       other images have too */
	uint64_t exclusive; /* the other part */
	uint64_t data;      /* data items, a layer's tar-split, private directories of images and containers */
	uint64_t entries;   /* files and directories in content */
	size_t images, containers; /* of a layer: how many are built on it */
} cst_usage_entry;

typedef struct cst_usage_total {
	size_t size; /* sizeof(cst_usage_total) of the library */
	uint64_t content, data; /* of the layers, images and containers listed; what they share counts once */
	uint64_t unused;        /* part of both: layers that no image and no container is built on */
} cst_usage_total;

typedef struct cst_usage cst_usage;

/* Measures the items (IDs, names or prefixes; n_items 0: everything in the store), layers first, then images, then
 * containers. Locks L r, I r and C r for the lists; none while measuring: what vanishes meanwhile counts for what was
 * found. `progress` (may be NULL, what: "measure") counts layers. *usage is the caller's, to be given to
 * cst_usage_free. CST_EINVAL (no such item: CST_ENOT_AN_ID), CST_ECANCELED. */
CST_PUBLIC int cst_store_usage(cst_store *store, const char *const *items, size_t n_items, const cst_progress *progress,
			       cst_usage **usage, cst_error **error);
CST_PUBLIC size_t cst_usage_size(const cst_usage *usage);
CST_PUBLIC const cst_usage_entry *cst_usage_get(const cst_usage *usage, size_t index); /* NULL when out of range */
CST_PUBLIC const cst_usage_total *cst_usage_get_total(const cst_usage *usage);
CST_PUBLIC void cst_usage_free(cst_usage *usage); /* NULL allowed */

/* ---- locks ---- */

/* One process that holds a lock file of a store, or waits for it. */
typedef struct cst_lock_holder {
	size_t size; /* sizeof(cst_lock_holder) of the library */
	const char *lock; /* storage, userns, layers, images, containers, mountpoints, digest, staging or journal */
	const char *path;
	int64_t pid;         /* 0: not to be found out (another user's, or of another pid namespace) */
	const char *command; /* its name as the kernel has it, "" unknown */
	int mode; /* enum cst_lock_mode */
	bool waiting;
	char unused[3];
} cst_lock_holder;

typedef struct cst_lock_holders cst_lock_holders;

/* Asks the kernel about every lock file of the store at options->graph_root, run_root and image_store, of all drivers.
 * The store is not opened and no lock is taken: works, and at once, however stuck the store is. Sorted by path, holders
 * before waiters. *holders is the caller's, to be given to cst_lock_holders_free. CST_EINCOMPLETE_OPTIONS. */
CST_PUBLIC int cst_store_options_lock_holders(const cst_store_options *options, cst_lock_holders **holders, cst_error **error);
CST_PUBLIC size_t cst_lock_holders_size(const cst_lock_holders *holders);
CST_PUBLIC const cst_lock_holder *cst_lock_holders_get(const cst_lock_holders *holders, size_t index);
CST_PUBLIC void cst_lock_holders_free(cst_lock_holders *holders); /* NULL allowed */

/* ---- a layer's surroundings ---- */

/* The directories in which the driver has the layer. overlay: LowerDir (joined by ":"; none for a base
 * layer), MergedDir, UpperDir, WorkDir; vfs: Directory. CST_ELAYER_UNKNOWN. */
CST_PUBLIC int cst_store_layer_paths(cst_store *store, const char *id, cst_pairs **pairs, cst_error **error);
/* IDs of the layers whose parent this one is. CST_ELAYER_UNKNOWN. L r. */
CST_PUBLIC int cst_store_layer_children(cst_store *store, const char *id, cst_strings **ids, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
