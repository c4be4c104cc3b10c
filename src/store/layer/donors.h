/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of a store that were fetched in parts, or made as such, with their caches: who may have content of a digest. */
#ifndef CST_STORE_LAYER_DONORS_H
#define CST_STORE_LAYER_DONORS_H

#include "chunked/cache.h"
#include "store/core/store.h"

struct donor {
	char *layer; /* its ID */
	char *data;
	struct cache cache; /* looks into data */
	bool objects;       /* it is a composefs image */
	int fd;             /* the directory of its content; -1: not opened yet, -2: it cannot be */
};
struct donors {
	struct donor *items; /* in the order of the layers */
	size_t len, capacity;
};

/* A cache that is missing, or cannot be read, is made of the TOC, and kept with the layer if the store may be written to. A layer
 * whose TOC cannot be read either, or whose files are kept in a way that is not known, is left out. L r; L w for each cache that is made. */
int donors_load(cst_store *store, struct donors *ret, cst_error **error);
void donors_free(struct donors *donors);
#define _cleanup_donors_ _cleanup_(donors_free)

/* The first layer that has it; NULL: none. */
struct donor *donors_find(const struct donors *donors, const uint8_t digest[TOC_DIGEST_SIZE], struct cache_place *place);
/* Opens the file of that place, a regular one, as it is now; -1: there is none. The store's locks need not be held: a layer that is
 * deleted meanwhile has no files any more, and one that is opened stays readable. */
int donor_open(const cst_store *store, struct donor *donor, const struct cache_place *place);

#endif
