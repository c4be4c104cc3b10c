/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions for id maps (<cstorage/ids.h>). */
#include "idmap/idmap.h"
#include <cstorage/store.h>

static int hand_over(int result, struct idmap *made, cst_idmap **map, size_t *n)
{
	if (result < 0) {
		idmap_free(made);
		return result;
	}
	*map = made->ranges;
	*n = made->len;
	return 0;
}

CST_PUBLIC int cst_idmap_parse(const char *text, bool group, cst_idmap **map, size_t *n,
                               cst_error **error)
{
	struct idmap made = {0};
	return hand_over(idmap_parse(text, group ? "gid" : "uid", &made, error), &made, map, n);
}

CST_PUBLIC int cst_idmap_subids(const char *owner, bool group, cst_idmap **map, size_t *n,
                                cst_error **error)
{
	struct idmap made = {0};
	return hand_over(idmap_add_subids(owner, group, &made, error), &made, map, n);
}
