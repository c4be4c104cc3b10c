/* SPDX-License-Identifier: Apache-2.0 */
/* What every opener of a store does for those who died in it. */
#ifndef CST_STORE_CHANGE_RECOVER_H
#define CST_STORE_CHANGE_RECOVER_H

#include "store/core/set.h"

/* Finishes or undoes what a dead process announced in a journal, and removes the temporary files of
 * writers that were killed. No set may be held. */
int journals_recover(cst_store *store, cst_error **error);

/* For struct set of the layers, called with the layers held for writing: deletes those that a
 * crashed Go process left incomplete, and writes down which of two holders kept a name. */
int layers_repair(cst_store *store, cst_error **error);

#endif
