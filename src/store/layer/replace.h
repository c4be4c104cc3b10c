/* SPDX-License-Identifier: Apache-2.0 */
/* New content for a layer that exists: unpacked in a staging place, and then put in the place of the old content, together
 * with its tar-split and what the record says of it. content.h says what is done after a crash in between. */
#ifndef CST_STORE_LAYER_REPLACE_H
#define CST_STORE_LAYER_REPLACE_H

#include "driver/driver.h"
#include "store/change/change.h"

struct new_content {
	struct arena arena;
	cst_layer record; /* a copy of the layer's, with what is new: digests, sizes, owners */
	struct driver *driver;
	struct driver_staged *staged;
	struct tempdir *metadata; /* holds TARSPLIT_STAGED, which is on disk, and the data items */
	const struct new_data *data; /* that come with it, named in the record; NULL: none */
	const char *kept;         /* the ID of the staged layer, if that outlives this process; else NULL */
	bool in_place;            /* the content is where it belongs already: the tar-split and the record follow */
	struct driver_identity identity;
};
void new_content_free(struct new_content *content); /* what was not put into place goes */
#define _cleanup_new_content_ _cleanup_(new_content_free)

/* Is somebody at work in the layer? L r is enough. */
int layer_in_use(cst_store *store, const cst_layer *layer, bool *ret, cst_error **error);

/* The ids that own a layer's content; *ret borrows from the record. None where the driver maps ids when it mounts, because the
 * content then belongs to nobody in particular. */
int layer_content_maps(cst_store *store, const cst_layer *layer, struct idmaps *ret, cst_error **error);

/* Stages an empty layer like the one of this record; `parent` has id "" if it has none. No lock. */
int new_content_stage(cst_store *store, const cst_layer *record, const cst_layer *parent, struct driver *driver,
                      struct driver_staged **ret, cst_error **error);

/* Adds it to a change with L w held. */
int new_content_add(struct change *change, struct new_content *content, cst_error **error);

#endif
