/* SPDX-License-Identifier: Apache-2.0 */
/* A set: all layers, all images or all containers of a store. It has a lock file, which all
 * processes share; a table of records in memory with a mutex (hold.h); and the directory where its
 * items keep their files. */
#ifndef CST_STORE_CORE_SET_H
#define CST_STORE_CORE_SET_H

#include "lock/lockfile.h"
#include "records/table.h"
#include "store/change/journal.h"
#include "store/core/kind.h"
#include <pthread.h>

struct set {
	const struct kind *kind;
	struct lockfile *lock;
	struct lockfile *second; /* of a split image store, taken after `lock`; NULL: none */
	pthread_mutex_t mutex;
	struct record_set *table; /* NULL: this (additional) store has no such items */
	struct journal journal;
	char *dir; /* <g>/<drv>-layers; images of a split store: <i>/<drv>-images */
	int fd;    /* of dir; -1: there is none */
	char *run_dir; /* <r>/<drv>-layers, <r>/<drv>-containers; images: NULL */
	int run_fd;    /* of run_dir, containers only; else -1 */
	bool foreign;  /* of an additional store: never repaired, never written */
	bool was_read; /* the last reading succeeded: its records are there, if perhaps old */
	/* NULL: nothing to do. Both are called with the set held: `loaded` after each load,
	 * `repair` by a writer after a load that asked for it. */
	int (*loaded)(cst_store *store, cst_error **error);
	int (*repair)(cst_store *store, cst_error **error);
};

/* The sets of a store, by name and by kind. */
struct sets {
	union {
		struct {
			struct set layers, images, containers;
		};
		struct set of[KINDS]; /* by kind - CST_KIND_LAYER, in the order of their locks */
	};
};

void sets_init(struct sets *sets);
void sets_free(struct sets *sets);
struct set *sets_get(struct sets *sets, enum cst_kind kind);

struct set *set_of(cst_store *store, enum cst_kind kind);

/* <root>/<driver>-<files>. The caller frees it. NULL: out of memory. */
char *set_path(const char *root, const cst_store *store, const char *files);

/* Opens images and containers, with their directories, locks and tables. */
int sets_open(cst_store *store, cst_error **error);
/* Opens the layers if that was not done yet. They are opened when they are first needed. */
int layers_need(cst_store *store, cst_error **error);
void layers_close(cst_store *store);
/* The `loaded` of the layers: reads the mount counts again. */
int layers_load_mounts(cst_store *store, cst_error **error);

/* Lets the set have an index in the run directory. */
void set_use_index(const cst_store *store, struct set *set);

/* Writes the records of a set that is held for writing, if any was edited. */
int set_save(struct set *set, cst_error **error);

#endif
