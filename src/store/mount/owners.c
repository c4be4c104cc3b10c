/* SPDX-License-Identifier: Apache-2.0 */
/* The owners of the directories above a mount point that the layer's id maps do not cover. A
 * runtime must let its processes through those (docs/format/store.md, "Mount"). */
#include "store/core/store.h"
#include <errno.h>

DEFINE_CLEANUP(cst_layer *, cst_layer_free)
DEFINE_CLEANUP(cst_container *, cst_container_free)

static bool map_covers(const struct idranges *map, uint32_t host_id)
{
	for (size_t i = 0; i < map->len; i++) {
		if (host_id >= map->items[i].host_id &&
		    host_id - map->items[i].host_id < map->items[i].size)
			return true;
	}
	return false;
}

static bool note_owner(const cst_layer *layer, const struct stat *st, struct idset *uids,
                       struct idset *gids)
{
	return (map_covers(&layer->uid_map, st->st_uid) || idset_add(uids, st->st_uid)) &&
	       (map_covers(&layer->gid_map, st->st_gid) || idset_add(gids, st->st_gid));
}

/* Walks from the mount point's parent up to below the root. A symlink counts, and so does what it
 * leads to. */
static int walk_up(const cst_layer *layer, struct idset *uids, struct idset *gids,
                   cst_error **error)
{
	_cleanup_free_ char *path = strdup(layer->mount_point);
	if (!path)
		return error_oom(error);
	for (char *slash; (slash = strrchr(path, '/')) && slash != path;) {
		struct stat st;
		*slash = '\0';
		if (lstat(path, &st) < 0)
			return error_sys(error, errno, "lstat %s", path);
		if (!note_owner(layer, &st, uids, gids))
			return error_oom(error);
		if (stat(path, &st) < 0)
			return error_sys(error, errno, "stat %s", path);
		if (!note_owner(layer, &st, uids, gids))
			return error_oom(error);
	}
	return 0;
}

int cst_store_layer_parent_owners(cst_store *store, const char *id, uint32_t **uids, size_t *n_uids,
                                  uint32_t **gids, size_t *n_gids, cst_error **error)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_(idset_free) struct idset uid_set = {0}, gid_set = {0};
	int r = cst_store_layer(store, id, &layer, error);
	if (r < 0)
		return r;
	if (layer->uid_map.len || layer->gid_map.len) {
		if (!*layer->mount_point)
			return error_about(error, CST_ELAYER_NOT_MOUNTED, id);
		r = walk_up(layer, &uid_set, &gid_set, error);
		if (r < 0)
			return r;
	}
	*n_uids = uid_set.len;
	*n_gids = gid_set.len;
	*uids = steal_ptr(&uid_set.sorted);
	*gids = steal_ptr(&gid_set.sorted);
	return 0;
}

int cst_store_container_parent_owners(cst_store *store, const char *id, uint32_t **uids,
                                      size_t *n_uids, uint32_t **gids, size_t *n_gids,
                                      cst_error **error)
{
	_cleanup_(cst_container_freep) cst_container *container = NULL;
	int r = cst_store_container(store, id, &container, error);
	return r < 0 ? r
	             : cst_store_layer_parent_owners(store, container->layer, uids, n_uids, gids,
	                                             n_gids, error);
}
