/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look through a store:
 *
 *     the records as they are at one moment;
 *     what they point at, without any lock: data items and content of layers, on all cores;
 *     the records once more: what was found of an item that is gone or another one by now is forgotten;
 *     what the records say of one another, and the driver's own list of layers.
 */
#ifndef CST_STORE_CHECK_CHECK_H
#define CST_STORE_CHECK_CHECK_H

#include "base/hashmap.h"
#include "base/pool.h"
#include "store/check/findings.h"
#include "store/core/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct check;

/* An item, and what was found. */
struct checked {
	struct task task;
	struct check *check;
	struct subject about;
	const void *record;
	struct cst_findings found;
	bool whole;         /* layers: the content is what the record says */
	bool referenced;    /* layers: something is built on it */
	bool wanted;        /* it is looked at, rather than only what the records say of it */
	bool is_copy;       /* layers: a copy of another one for other id maps */
	int result;         /* of looking: what cannot be a finding, such as no memory */
	cst_error *error;
};

/* The items of the store at one moment. One of an additional store that hides behind one of this store is left out:
 * nobody gets to see it. */
struct inventory {
	cst_layer_list *layers;
	cst_image_list *images;
	cst_container_list *containers;
	struct checked *items; /* layers, images, containers */
	size_t n_items;
	struct hashmap by_id[KINDS]; /* of each kind, to its struct checked */
};
struct checked *inventory_get(const struct inventory *inventory, enum cst_kind kind, const char *id);

struct check {
	cst_store *store;
	cst_check_options options;
	struct inventory before, now; /* that is looked at; that is told of */
	const struct cst_findings *only; /* NULL: all is looked at; else what has these findings */
	pthread_t caller;        /* may tell the progress */
	_Atomic uint64_t bytes_done;
	_Atomic bool canceled;
	_Atomic size_t n_left; /* items that are still looked at */
	uint64_t bytes_total;
	struct cst_findings *findings; /* of all, in the end */
};

static inline bool check_wants(const struct check *check, unsigned part)
{
	return (check->options.parts & part) != 0;
}
/* CST_ECANCELED */
int check_progress(struct check *check, size_t bytes, cst_error **error);

/* content.c: data items of any kind; content of a layer. */
int check_data(struct checked *item, cst_error **error);
int check_layer_content(struct checked *layer, cst_error **error);
/* objects.c: the names of the first few objects of a composefs layer that hold something else; NULL: none does, or it is no such
 * layer. The caller frees *ret. */
int damaged_objects(struct driver *driver, const char *id, char **ret, cst_error **error);
/* driver_files.c: the driver's other files of a layer. *readable: they say what the layer is built on, so that its content can be
 * read. */
int check_driver_files(struct checked *layer, bool *readable, cst_error **error);
/* mounts.c: the layer's mount count. */
int check_mount(struct checked *layer, cst_error **error);
/* Mounts the layer and compares. The layers below were looked at before. */
int check_layer_mount(struct checked *layer, cst_error **error);

/* lock_files.c: lock files of another type. *goes_on: all locks that a look at the store takes can be taken. */
int check_lock_files(struct check *check, bool *goes_on, cst_error **error);
/* Is the finding one that *goes_on is false for? */
bool lock_files_hide_records(const cst_store *store, const struct cst_finding *finding);
/* record_files.c: files that are not understood. *goes_on: there are none; else nothing else can be found. */
int check_record_files(struct check *check, bool *goes_on, cst_error **error);
/* records.c: what items say of one another, by check->now. */
int check_records(struct check *check, cst_error **error);

/* cst_store_check() once more, after something was done about `findings`: of all that had none only the records count. */
int check_again(cst_store *store, const struct cst_findings *findings, const cst_progress *progress, cst_findings **ret,
		cst_error **error);

#endif
