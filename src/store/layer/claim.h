/* SPDX-License-Identifier: Apache-2.0 */
/* Claims on the content of a digest. */
#ifndef CST_STORE_LAYER_CLAIM_H
#define CST_STORE_LAYER_CLAIM_H

#include "lock/lockfile.h"
#include "store/layer/create.h"

struct layer_claim {
	struct lockfile *lock, *held;
};
/* Waits until nobody else has the claim on options->expected_digest. The caller holds no lock. CST_EINVAL: no sha256. */
int layer_claim(cst_store *store, const cst_layer_options *options, struct layer_claim *claim,
                cst_error **error);
void layer_claim_end(struct layer_claim *claim);
#define _cleanup_claim_ _cleanup_(layer_claim_end)

/* With the claim: does the store have the layer that the options ask for? *ret is a copy of its record. L r, C r. */
int layer_find_claimed(cst_store *store, const cst_layer_options *options, bool *found,
                       cst_layer **ret, cst_error **error);

#endif
