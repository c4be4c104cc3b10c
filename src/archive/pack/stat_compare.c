/* SPDX-License-Identifier: Apache-2.0 */
/* Compares two files as the Go tools do (stat_compare.h). */
#include "archive/pack/stat_compare.h"
#include "archive/tree/xattrs.h"
#include <errno.h>

bool stat_same_mtime(const struct stat *a, const struct stat *b)
{
	const struct timespec *x = &a->st_mtim, *y = &b->st_mtim;
	return x->tv_sec == y->tv_sec &&
	       (x->tv_nsec == y->tv_nsec || x->tv_nsec == 0 || y->tv_nsec == 0);
}

/* An id that is not mapped stays what it is. */
static void map_owner(const struct stat *st, const struct idmaps *maps, uint32_t *uid,
                      uint32_t *gid)
{
	*uid = st->st_uid;
	*gid = st->st_gid;
	uint32_t mapped_uid, mapped_gid;
	if (!maps || !idmap_to_container(&maps->uids, st->st_uid, &mapped_uid) ||
	    !idmap_to_container(&maps->gids, st->st_gid, &mapped_gid))
		return;
	*uid = mapped_uid;
	*gid = mapped_gid;
}

bool stat_same_owner(const struct stat *a, const struct idmaps *a_maps, const struct stat *b,
                     const struct idmaps *b_maps)
{
	uint32_t a_uid, a_gid, b_uid, b_gid;
	map_owner(a, a_maps, &a_uid, &a_gid);
	map_owner(b, b_maps, &b_uid, &b_gid);
	return a_uid == b_uid && a_gid == b_gid;
}

static bool is_compared(const char *name)
{
	return streq(name, "security.capability") ||
	       (has_prefix(name, "user.") && !has_prefix(name, "user.overlay."));
}

int xattrs_same(int a_fd, int b_fd, const char *name, const char *shown, bool *ret,
                cst_error **error)
{
	_cleanup_xattrs_ struct xattrs a = {0}, b = {0};
	int r = xattrs_read(a_fd, name, is_compared, &a, shown, error);
	if (r < 0 || (r = xattrs_read(b_fd, name, is_compared, &b, shown, error)) < 0)
		return r;
	*ret = xattrs_equal(&a, &b);
	return 0;
}
