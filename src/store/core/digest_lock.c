/* SPDX-License-Identifier: Apache-2.0 */
/* The locks by which processes agree who of them fetches a blob (docs/format/store.md, "Lock files
 * and order"). */
#include "base/digest.h"
#include "store/core/store.h"
#include <cstorage/lock.h>

char *digest_lock_path(const cst_store *store, const char *digest)
{
	return str_printf("%s/%s-locks/%s", store->run_root, store->driver->ops->name, digest);
}

int cst_store_digest_lock(cst_store *store, const char *digest, cst_lock **lock, cst_error **error)
{
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : digest_validate(digest, error);
	if (r == CST_EINVAL)
		return error_prefix(error, r, "locking the digest \"%s\"", digest);
	if (r < 0)
		return r;
	_cleanup_free_ char *path = digest_lock_path(store, digest);
	return path ? cst_lock_open(path, false, lock, error) : error_oom(error);
}
