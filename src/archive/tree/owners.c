/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tree/owners.h"

#define OVERFLOW_ID 65534

/* An id that is the mapped root's already stays that. */
static uint32_t to_host(const struct idmap *map, uint32_t id, uint32_t root)
{
	uint32_t host;
	if (map->len && id == root)
		return root;
	return idmap_to_host(map, id, &host) ? host : OVERFLOW_ID;
}

/* One kind of id. What an earlier map had no place for stays without one. */
static bool translate(const struct idmap *from, const struct idmap *to, uint32_t root, uint32_t id,
                      uint32_t *ret)
{
	uint32_t container;
	bool known = idmap_to_container(from, id, &container);
	if (known)
		*ret = to_host(to, container, root);
	else
		*ret = OVERFLOW_ID;
	return known || id == OVERFLOW_ID;
}

int new_owners_of(const struct new_owners *owners, const struct stat *st, const char *shown,
                  uint32_t *uid, uint32_t *gid, cst_error **error)
{
	const struct idmaps *from = &owners->from, *to = &owners->to;
	*uid = st->st_uid;
	*gid = st->st_gid;
	if (owners->same)
		return 0;
	bool uid_known = translate(&from->uids, &to->uids, owners->root_uid, st->st_uid, uid);
	if (uid_known && translate(&from->gids, &to->gids, owners->root_gid, st->st_gid, gid))
		return 0;
	if (st->st_uid != 0 || st->st_gid != 0)
		return error_set(error, CST_EINVAL,
		                 "mapping host ID pair %u:%u for \"%s\" to container: host ID %u "
		                 "cannot be mapped to a container ID",
		                 st->st_uid, st->st_gid, shown,
		                 uid_known ? st->st_gid : st->st_uid);
	*uid = to_host(&to->uids, 0, owners->root_uid); /* made before layers had maps */
	*gid = to_host(&to->gids, 0, owners->root_gid);
	return 0;
}

int new_owners_init(struct new_owners *owners, const struct idmaps *from, const struct idmaps *to,
                    cst_error **error)
{
	static const struct idmaps identity = {0};
	*owners = (struct new_owners){.same = idmaps_equal(from, to),
	                              .from = from ? *from : identity,
	                              .to = to ? *to : identity};
	return owners->same ? 0
	                    : idmaps_root(&owners->to, &owners->root_uid, &owners->root_gid, error);
}
