/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer on its way in: planned under a short read lock, filled in a staging place that no record
 * knows and without any lock, then committed under the write lock together with whatever owns it.
 */
#ifndef CST_STORE_LAYER_CREATE_H
#define CST_STORE_LAYER_CREATE_H

#include "driver/driver.h"
#include "store/change/change.h"
#include "store/item/data_stage.h"

struct new_layer {
	struct arena arena;
	cst_layer record;   /* what will be remembered; strings in the arena or borrowed from the
	                       caller */
	struct strv names;
	struct idmaps maps; /* of the content; empty: unmapped */
	struct idmaps parent_maps;
	const cst_layer *template;      /* whose content it starts with; NULL: its parent's */
	struct strings storage_options; /* for the driver */
	struct driver_staged *staged;
	struct tempdir *metadata; /* holds TARSPLIT_STAGED if there is one, and the data items */
	bool has_tarsplit;
	struct new_data data;
	struct timestamp parent_created; /* another layer may come to have its ID */
	bool parent_gone; /* or the template, seen too late: what was staged is worth nothing */
	struct driver *driver;
};
void new_layer_free(struct new_layer *layer); /* what was not committed goes */
#define _cleanup_new_layer_ _cleanup_(new_layer_free)

/* Checks what can be checked early, resolves the parent, the template and the maps. Locks L r, C r,
 * given back. */
int new_layer_plan(cst_store *store, const cst_layer_options *options, struct new_layer *layer,
                   cst_error **error);
/* With a template, of these two: the record becomes like the template's, L held; so does the
 * tar-split. */
int new_layer_inherit(const cst_layer *template, struct new_layer *layer, cst_error **error);
int new_layer_copy_tarsplit(cst_store *store, struct new_layer *layer, cst_error **error);
/* Stages a layer like its parent or template, or one unpacked from `diff` (NULL: none) onto that,
 * and the data items. No lock; all of it is on disk afterwards. Fails with CST_ELAYER_UNKNOWN,
 * whatever became of it, if the parent or the template was deleted meanwhile. */
int new_layer_fill(cst_store *store, const cst_layer_options *options, const cst_source *diff,
                   struct new_layer *layer, cst_error **error);
/* L w held: checks again what may have changed meanwhile. */
int new_layer_check(cst_store *store, struct new_layer *layer, cst_error **error);
/* Adds it to a change, with L w held: content into place, record added. With an owner, the layer
 * goes if that gets no record. */
void new_layer_add(struct change *change, struct new_layer *layer, enum cst_kind owner_kind,
                   const char *owner_id);

/* Unpacks into a staged layer of `driver` and notes digests, sizes and ids in the record. */
int layer_unpack(cst_store *store, struct driver *driver, struct driver_staged *staged,
                 const cst_layer_options *options, const cst_source *diff, struct tempdir *metadata,
                 struct arena *arena, cst_layer *record, cst_error **error);
#define TARSPLIT_STAGED "0-addition"

#endif
