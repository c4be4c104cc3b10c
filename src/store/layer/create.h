/* SPDX-License-Identifier: Apache-2.0 */
/* A new layer. It is planned under a short read lock, filled without any lock in a staging
 * directory that no record names, and then committed under the write lock together with its
 * owner, or with the other layers of an image (create_many.c). */
#ifndef CST_STORE_LAYER_CREATE_H
#define CST_STORE_LAYER_CREATE_H

#include "driver/driver.h"
#include "store/change/change.h"
#include "store/item/data_stage.h"

struct new_layer {
	struct arena arena;
	cst_layer record; /* its strings are in the arena or borrowed from the caller */
	struct strv names;
	struct idmaps maps; /* of the content; empty: unmapped */
	struct idmaps parent_maps;
	const cst_layer *template;      /* whose content it starts with; NULL: its parent's */
	struct strings storage_options; /* for the driver */
	struct driver_staged *staged;
	struct tempdir *metadata; /* holds the tar-split if there is one, and the data items */
	char tarsplit[24];        /* its name there */
	bool has_tarsplit;
	const char *kept; /* the ID of the staged layer, if that outlives this process; else NULL */
	bool consumed; /* a change has had it: what was staged is in place, or worth nothing */
	/* Of the layers of an image: */
	bool of_image;            /* nothing is on disk before the barrier, which is made once for all */
	bool followed;            /* by another one, whose step syncs the directories */
	unsigned number;          /* from 0 on */
	struct new_layer *parent; /* one of them; NULL: the parent, if there is one, exists */
	struct new_data data;
	struct timestamp parent_created; /* another layer may come to have its ID */
	bool parent_gone; /* or the template, seen too late: what was staged is worth nothing */
	struct driver *driver;
};
void new_layer_free(struct new_layer *layer); /* what was not committed goes */
#define _cleanup_new_layer_ _cleanup_(new_layer_free)

/* Checks what can be checked early, and resolves the parent, the template and the maps. Takes and
 * gives back the locks L r, C r. */
int new_layer_plan(cst_store *store, const cst_layer_options *options, struct new_layer *layer,
                   cst_error **error);
/* The part of it that only names the layer: ID, names, flags, and the time. May be called again. */
int new_layer_identify(const cst_layer_options *options, struct new_layer *layer, cst_error **error);
/* For a layer with a template: the record (L held), and the tar-split, become like the
 * template's. */
int new_layer_inherit(const cst_layer *template, struct new_layer *layer, cst_error **error);
int new_layer_copy_tarsplit(cst_store *store, struct new_layer *layer, cst_error **error);
/* Stages a layer like its parent or template, or one unpacked from `diff` (NULL: none) on top of
 * that, and the data items. It takes no lock. Afterwards all of it is on disk. If the parent or the
 * template was deleted meanwhile, the error is CST_ELAYER_UNKNOWN, whatever else failed. */
int new_layer_fill(cst_store *store, const cst_layer_options *options, const cst_source *diff,
                   struct new_layer *layer, cst_error **error);
/* The two halves of it: staging is quick, but for a copy of a parent or template; several threads may unpack, each a layer of
 * its own. Afterwards new_layer_explain() finds out if the parent or the template is to blame for a failure, which it takes. */
struct layer_unpacking;
int new_layer_stage(cst_store *store, const cst_layer_options *options, struct new_layer *layer,
                    cst_error **error);
int new_layer_stage_data(cst_store *store, const cst_layer_options *options, struct new_layer *layer,
                         cst_error **error); /* a part of the first */
int new_layer_unpack(cst_store *store, const struct layer_unpacking *how, struct new_layer *layer,
                     cst_error **error);
int new_layer_explain(cst_store *store, struct new_layer *layer, cst_error *problem,
                      cst_error **error);
/* Checks again what may have changed since the plan. L w held. */
int new_layer_check(cst_store *store, struct new_layer *layer, cst_error **error);
/* After new_layer_fill(), before L w: what of the commit is slow. new_layer_commit() does it, too. */
int new_layer_prepare(struct new_layer *layer, cst_error **error);
/* Adds it to a change with L w held: the content is put into place, and the record added. If the
 * layer has an owner that gets no record, recovery removes the layer. */
void new_layer_add(struct change *change, struct new_layer *layer, enum cst_kind owner_kind,
                   const char *owner_id);

/* The change that makes this one layer. L w. */
int new_layer_commit(cst_store *store, struct new_layer *layer, cst_layer **ret, cst_error **error);

/* Unpacks into a staged layer of `driver`, and notes digests, sizes and ids in the record. */
enum toc_wanted {
	TOC_AS_CONFIGURED, /* made if the store's options say so */
	TOC_OF_BLOB,       /* made, and its digest as that of a blob noted in the record */
	TOC_KNOWN,         /* somebody else has it, or it has none */
};
struct layer_unpacking {
	const cst_layer_options *options;
	const cst_source *diff;
	struct pool *pool; /* NULL: the store's */
	int (*await_parent)(void *userdata, cst_error **error); /* struct driver_unpack_policy */
	void *await_userdata;
	const struct unpack_clone *clone; /* NULL: nobody */
	enum toc_wanted toc;
	/* new_layer_unpack() knows these. */
	const cst_sink *copy;
	struct driver *driver;
	struct driver_staged *staged;
	struct tempdir *metadata;
	const char *tarsplit; /* the name of the tar-split there */
	bool sync_later;      /* the caller makes the barrier */
};
int layer_unpack(cst_store *store, const struct layer_unpacking *how, struct arena *arena,
                 cst_layer *record, cst_error **error);
#define TARSPLIT_STAGED "0-addition"

#endif
