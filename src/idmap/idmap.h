/* SPDX-License-Identifier: Apache-2.0 */
/* Id maps and sets (docs/format/config.md, "ID mapping"). An empty map is the identity. */
#ifndef CST_IDMAP_IDMAP_H
#define CST_IDMAP_IDMAP_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include <cstorage/types.h>

struct idmap { /* one kind, uids or gids */
	cst_idmap *ranges;
	size_t len;
};
struct idmaps {
	struct idmap uids, gids;
};

bool idmap_copy(struct idmap *to, const cst_idmap *from, size_t n); /* `to` must be empty; false: out of memory */
bool idmaps_copy(struct idmaps *to, const struct idmaps *from); /* the same of both; NULL: empty ones */
bool idmap_equal(const struct idmap *a, const struct idmap *b);
bool idmaps_equal(const struct idmaps *a, const struct idmaps *b); /* NULL: empty ones */
int idmap_append(struct idmap *map, const struct idmap *more, cst_error **error);
void idmap_free(struct idmap *map);
void idmaps_free(struct idmaps *maps);

/* Looks in the ranges in list order. False: the id is not mapped. */
bool idmap_to_host(const struct idmap *map, uint32_t id, uint32_t *ret);
bool idmap_to_container(const struct idmap *map, uint32_t id, uint32_t *ret);
/* The same for both, with Go's messages: "container ID 5 cannot be mapped to a host ID".
 * CST_EINVAL. */
int idmaps_to_host(const struct idmaps *maps, uint32_t uid, uint32_t gid, uint32_t *ret_uid, uint32_t *ret_gid,
		   cst_error **error);
/* The host ids of container root. A single range of size 1 gives its host id whatever its container
 * id is; an empty map gives 0. */
int idmaps_root(const struct idmaps *maps, uint32_t *ret_uid, uint32_t *ret_gid, cst_error **error);

/* Parses "C:H:S[:C:H:S...]" and appends it to map. `what` is "uid" or "gid", for the message. */
int idmap_parse(const char *text, const char *what, struct idmap *map, cst_error **error);
/* Appends the ranges of a user or group in /etc/subuid, /etc/subgid, container ids from 0 on. */
int idmap_add_subids(const char *user, bool group, struct idmap *map, cst_error **error);
/* CST_EINVALID_MAPPINGS if ranges of the map overlap on either side. */
int idmap_check_overlap(const struct idmaps *maps, cst_error **error);

/* A set of 32-bit ids seen in an archive. Zero-initialised is empty. Its size is bounded; of too
 * many ids the largest are kept. */
struct idset {
	uint32_t *sorted;
	size_t len, capacity;
};
bool idset_add(struct idset *set, uint32_t id);
void idset_free(struct idset *set);

#endif
