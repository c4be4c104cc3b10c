/* SPDX-License-Identifier: Apache-2.0 */
/* Deletion marks. */
#ifndef CST_ARCHIVE_UNPACK_WHITEOUT_H
#define CST_ARCHIVE_UNPACK_WHITEOUT_H

#include "archive/unpack/entry.h"
#include "archive/unpack/way.h"

struct whiteouts {
	struct target *target;
	char *asked;    /* whiteouts of one directory come in a row: its path, NULL: no row, */
	struct way way; /* the way there, */
	struct directory directory; /* and what is there */
};
int whiteout_apply(struct whiteouts *w, const struct entry *entry, cst_error **error);
int whiteout_apply_opaque(struct whiteouts *w, const struct entry *entry, cst_error **error);
/* The row is over, or directories changed. Frees what there is. */
void whiteouts_forget(struct whiteouts *w);

#endif
