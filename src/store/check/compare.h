/* SPDX-License-Identifier: Apache-2.0 */
/* How one real file differs from what it should be. */
#ifndef CST_STORE_CHECK_COMPARE_H
#define CST_STORE_CHECK_COMPARE_H

#include "archive/tree/walk.h"
#include "store/check/expected.h"
#include "store/check/node.h"

/* Is this extended attribute compared? Only those that every copy of a layer keeps, and that nobody else writes: not
 * overlay's own, the labels and notes of kernel and security modules, ACLs, and what stands in for owner, mode and type. */
bool xattr_is_compared(const char *name);

/* Writes what is different into *text, which is "" if nothing is. */
int compare_attributes(const struct expected_options *options, const struct node_attributes *wanted,
		       const struct tree_entry *entry, struct strbuf *text, cst_error **error);

#endif
