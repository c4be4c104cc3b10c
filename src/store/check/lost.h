/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the store has fewer records than it had. */
#ifndef CST_STORE_CHECK_LOST_H
#define CST_STORE_CHECK_LOST_H

#include "store/core/store.h"

/* *ret: what tells that records were lost, as a reason not to delete an object; the caller frees it. NULL: nothing does. */
int records_lost(cst_store *store, char **ret, cst_error **error);

/* For whoever removes what no record refers to: CST_ECORRUPT, which names the file, if a damaged one was put aside. Called as the Go
 * command nobody asks. */
int records_must_be_whole(cst_store *store, cst_error **error);

/* Where there is no record at all, that is forgotten as soon as there is one again. So this puts an empty file beside, named as one
 * that was put aside. */
int records_mark_lost(cst_store *store, cst_error **error);

/* The time as the names of files that were put aside have it: "20261130T102000Z". */
#define RECORDS_WHEN_MAX 32
void records_when(char ret[RECORDS_WHEN_MAX]);

#endif
