/* SPDX-License-Identifier: Apache-2.0 */
/* Who owns the files of a tree that is given to the ids of another id map (docs/format/drivers.md, "Id-map walk"). */
#ifndef CST_ARCHIVE_TREE_OWNERS_H
#define CST_ARCHIVE_TREE_OWNERS_H

#include "idmap/idmap.h"
#include <sys/stat.h>

struct new_owners {
	bool same; /* everything keeps its owner */
	struct idmaps from, to; /* borrowed */
	uint32_t root_uid, root_gid; /* of the root directory */
};

/* From the host ids of `from` to those of `to`; NULL: ids are what they are. CST_EINVAL: `to` has no root. */
int new_owners_init(struct new_owners *owners, const struct idmaps *from, const struct idmaps *to, cst_error **error);

/* The host ids of `to` for the same container ids. An id that `to` has not becomes 65534, which stays that. Another one that `from` has
 * not fails with CST_EINVAL, but for root's, which stays container root. */
int new_owners_of(const struct new_owners *owners, const struct stat *st, const char *shown, uint32_t *uid, uint32_t *gid,
		  cst_error **error);

#endif
