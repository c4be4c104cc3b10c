/* SPDX-License-Identifier: Apache-2.0 */
/* What the layers below an overlay layer hold at the place of an entry. */
#ifndef CST_ARCHIVE_PACK_OVERLAY_LOWERS_H
#define CST_ARCHIVE_PACK_OVERLAY_LOWERS_H

#include "archive/pack/pack.h"
#include "archive/tree/walk.h"

/* A walk of the layer with its lowers beside it. */
int overlay_walk(int diff_fd, const struct pack_options *options, bool lenient,
                 struct tree_walk **ret, cst_error **error);

/* Is the entry's path there below, in the topmost layer that says anything of it? A whiteout says
 * no. `lower_fd` (may be NULL) is the directory that holds it. */
int overlay_find_below(const struct tree_walk *walk, const struct tree_entry *entry,
                       struct stat *ret, int *lower_fd, bool *found, cst_error **error);

#endif
