/* SPDX-License-Identifier: Apache-2.0 */
/* What a store was opened with. */
#include "store/core/store.h"

int cst_store_driver_options(const cst_store *store, cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv copy = {0};
	if (!strv_copy(&copy, &store->driver_options))
		return error_oom(error);
	return strings_give(&copy, ret, error);
}

size_t cst_store_uid_map(const cst_store *store, const cst_idmap **map)
{
	*map = store->maps.uids.ranges;
	return store->maps.uids.len;
}

size_t cst_store_gid_map(const cst_store *store, const cst_idmap **map)
{
	*map = store->maps.gids.ranges;
	return store->maps.gids.len;
}
