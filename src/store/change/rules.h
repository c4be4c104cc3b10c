/* SPDX-License-Identifier: Apache-2.0 */
/* What the leftovers of a dead writer mean. */
#ifndef CST_STORE_CHANGE_RULES_H
#define CST_STORE_CHANGE_RULES_H

#include "store/change/trash.h"
#include "store/core/hold.h"

/* Applies the rules to what was announced, and saves. Of the sets, those held for writing are looked
 * at and edited; they are as on disk. What goes is moved into the trash. */
int rules_apply(cst_store *store, const struct hold *held, const struct intents *intents,
                struct trash *trash, cst_error **error);

#endif
