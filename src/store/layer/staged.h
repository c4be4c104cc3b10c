/* SPDX-License-Identifier: Apache-2.0 */
/* A staged layer from inside. */
#ifndef CST_STORE_LAYER_STAGED_H
#define CST_STORE_LAYER_STAGED_H

#include "store/layer/create.h"
#include <cstorage/staged.h>

enum staged_state {
	STAGED_EMPTY,
	STAGED_OPENED, /* somebody else fills it */
	STAGED_FILLED,
	STAGED_SPENT,  /* committed, or spoiled: it can only be freed */
};

struct cst_staged_layer {
	cst_store *store;
	struct new_layer layer; /* of an existing layer the record is a copy */
	bool for_existing;
	enum staged_state state;
};

/* CST_EINVAL, unless it is in one of the states from `first` to `last`. */
int staged_must_be(const cst_staged_layer *staged, enum staged_state first, enum staged_state last,
                   cst_error **error);
/* Takes the options of the caller, and checks that it is empty. */
int staged_begin_apply(const cst_staged_layer *staged, const cst_staged_apply_options *given,
                       cst_staged_apply_options *options, cst_error **error);
/* `clone`: as of struct unpack_options. */
int staged_unpack(cst_staged_layer *staged, const cst_source *diff, const struct unpack_clone *clone,
                  const cst_staged_apply_options *options, enum toc_wanted toc, cst_error **error);
/* Before any lock: what is staged becomes durable. */
int staged_sync(cst_staged_layer *staged, cst_error **error);
DEFINE_CLEANUP(cst_staged_layer *, cst_staged_layer_free)

#endif
