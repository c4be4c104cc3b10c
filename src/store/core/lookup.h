/* SPDX-License-Identifier: Apache-2.0 */
/* Finding records in this store and then in the additional ones. Except for those that say so, the
 * caller holds the set of the kind. */
#ifndef CST_STORE_CORE_LOOKUP_H
#define CST_STORE_CORE_LOOKUP_H

#include "store/core/set.h"

/* Where a record was found. */
struct source {
	int fd; /* of the directory that has its files: <drv>-layers, ... */
	const char *dir;
	bool foreign; /* in an additional store: never changed */
	bool own; /* foreign, but in the graph root of a split store: to be deleted, not changed */
};

/* By ID, name or the beginning of an ID. NULL: nowhere. `source` may be NULL. */
const void *item_find(cst_store *store, enum cst_kind kind, const char *id, struct source *source);
/* The same with the type of the record; `get` takes the whole ID only, `must` fails with CST_ELAYER_UNKNOWN. */
const cst_layer *layer_find(cst_store *store, const char *id, struct source *source);
const cst_layer *layer_get(cst_store *store, const char *id, struct source *source);
const cst_image *image_find(cst_store *store, const char *id, struct source *source);
int layer_must(cst_store *store, const char *id, const cst_layer **ret, cst_error **error);
/* Holds the set of a kind for reading, and finds an item of it: hold->item, which stays as long as the set is held.
 * CST_E*_UNKNOWN. */
struct hold;
int item_hold(cst_store *store, enum cst_kind kind, const char *id, struct hold *hold, cst_error **error);

/* Is it the image's top layer, or a mapped copy of that? */
bool image_has_top_layer(const cst_image *image, const char *layer);

/* The id maps of a layer (NULL: none). The ranges stay the record's: not to be freed. */
struct idmaps layer_maps(const cst_layer *layer);

/* A copy of the item in an arena. The set is held for reading meanwhile, and free afterwards.
 * CST_E*_UNKNOWN. */
struct found_item {
	struct arena arena;
	const struct kind *kind;
	const void *record;
	struct source source;
};
int item_read(cst_store *store, enum cst_kind kind, const char *id, struct found_item *ret,
              cst_error **error);
/* Looks for a layer, then an image, then a container. */
int item_read_any(cst_store *store, const char *id, int unknown, struct found_item *ret,
                  cst_error **error);
void found_item_free(struct found_item *item);
#define _cleanup_found_item_ _cleanup_(found_item_free)

#endif
