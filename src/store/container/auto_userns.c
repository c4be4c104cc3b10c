/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic user namespaces (docs/format/config.md, "Automatic user namespaces"): how many ids a container needs, and which
 * ones are free. What the image says about that is read while no set is held.
 */
#include "store/container/auto_userns.h"
#include "idmap/intervals.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define MIN_SIZE     1024
#define MAX_SIZE     65536
#define ROOTS_USER   "containers"
#define PASSWD_LIMIT (16 * 1024 * 1024)

/* ---- how many ids ---- */

struct need {
	uint64_t ids;
	struct strbuf why; /* what needs the last of them */
};

static void need_done(struct need *need)
{
	strbuf_free(&need->why);
}

static void raise_need(struct need *need, uint32_t id, const char *what, const char *where)
{
	if (id < need->ids)
		return;
	need->ids = (uint64_t)id + 1;
	strbuf_reset(&need->why);
	strbuf_addf(&need->why, "%s %s has the ID %" PRIu32, what, where, id);
}

static void need_owners(struct need *need, const cst_layer *layer, const struct uint32s *ids)
{
	for (size_t i = 0; i < ids->len; i++)
		raise_need(need, ids->items[i], "a file of layer", layer->id);
}

/* Looks at the owners that are recorded of the image's layers, and opens a view of all their files. *view is NULL if there is none. */
static int look_at_layers(cst_store *store, const char *id, struct need *need,
                          struct driver_view **view, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_sets(store, hold_three(HOLD_READ_LOCKED, HOLD_READ, HOLD_NOT), &held, error);
	if (r < 0)
		return r;
	const cst_image *image = image_find(store, id, NULL);
	if (!image)
		return error_about_go(error, CST_EIMAGE_UNKNOWN, id,
		                      "locating image with ID \"%s\"", id);
	for (const char *at = image->layer; *at;) {
		const cst_layer *layer = layer_get(store, at, NULL);
		if (!layer)
			return error_about(error, CST_ELAYER_UNKNOWN, at);
		need_owners(need, layer, &layer->uids);
		need_owners(need, layer, &layer->gids);
		at = layer->parent;
	}
	return *image->layer ? store->driver->ops->view_open(store->driver, image->layer, NULL,
	                                                     NULL, view, error)
	                     : 0;
}

/* Opens a file of an image as a process with this root directory would. What is no regular file is as good as none. */
static int open_in_image(int root_fd, const char *path, int *ret_fd, cst_error **error)
{
	struct stat st;
	_cleanup_close_ int at = fs_open_in_root(root_fd, path, O_PATH);
	bool absent = at < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
	if (absent)
		return 0;
	if (at < 0 || fstat(at, &st) < 0)
		return error_sys(error, errno, "open %s of the image", path);
	if (!S_ISREG(st.st_mode))
		return 0;
	*ret_fd = fs_open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK);
	return *ret_fd < 0 ? error_sys(error, errno, "open %s of the image", path) : 0;
}

/* Reads the passwd file, or the group file, of the image or the one given in its place. root_fd -1: there is no image. */
static int look_at_file(int root_fd, const char *given, bool group, struct need *need,
                        cst_error **error)
{
	const char *path = group ? "etc/group" : "etc/passwd";
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t len;
	uint32_t id;
	int r = 0;
	if (!isempty(given)) {
		path = given;
		fd = open(given, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			r = error_sys(error, errno, "open %s", path);
	} else if (root_fd >= 0) {
		r = open_in_image(root_fd, path, &fd, error);
	}
	if (r < 0 || fd < 0)
		return r;
	r = fs_must_be_regular(fd, path, error);
	if (r == 0)
		r = fs_read_fd(fd, path, PASSWD_LIMIT, &text, &len, error);
	if (r == 0 && passwd_largest_id(text, len, group, &id))
		raise_need(need, id, isempty(given) ? "its" : "the file", path);
	return r;
}

static int look_at_image(cst_store *store, const cst_auto_userns_options *given, const char *image,
                         struct need *need, cst_error **error)
{
	const struct driver_ops *ops = store->driver->ops;
	struct driver_view *view = NULL;
	int root_fd = -1;
	int r = look_at_layers(store, image, need, &view, error);
	if (r == 0 && view)
		r = ops->view_tree(view, &root_fd, error);
	if (r == 0)
		r = look_at_file(root_fd, given->passwd_file, false, need, error);
	if (r == 0)
		r = look_at_file(root_fd, given->group_file, true, need, error);
	if (view)
		ops->view_close(view);
	return r;
}

/* Finds the size that was not asked for. */
static int find_size(cst_store *store, const cst_auto_userns_options *given, const char *image,
                     uint32_t *ret, cst_error **error)
{
	uint32_t min = store->auto_userns_min ? store->auto_userns_min : MIN_SIZE,
	         max = store->auto_userns_max ? store->auto_userns_max : MAX_SIZE;
	_cleanup_(need_done) struct need need = {.ids = MAX(min, given->initial_ids)};
	int r = *image ? look_at_image(store, given, image, &need, error) : 0;
	if (r < 0)
		return r;
	if (need.why.failed)
		return error_oom(error);
	if (need.ids > max) {
		error_set(error, CST_EINVAL,
		          "the container needs a user namespace of %" PRIu64 " IDs%s%s%s; "
		          "auto-userns-max-size allows %" PRIu32,
		          need.ids, need.why.len ? " (" : "", strbuf_str(&need.why),
		          need.why.len ? ")" : "", max);
		return error_go_words(error, CST_EINVAL, NULL,
		                      "the container needs a user namespace with size %" PRIu64
		                      " that is bigger than the maximum value allowed with "
		                      "userns=auto %" PRIu32,
		                      need.ids, max);
	}
	*ret = (uint32_t)need.ids;
	return 0;
}

/* ---- which ids ---- */

struct pool_of_ids {
	struct intervals ids;
	struct strbuf shown; /* for messages: whose they are */
};

static void pool_of_ids_free(struct pool_of_ids *pool)
{
	intervals_free(&pool->ids);
	strbuf_free(&pool->shown);
}

/* On the machine itself these are subordinate ids of one user. In a user namespace they are all that it has but 0, which is the
 * user who made it. */
static int find_available(cst_store *store, bool group, struct pool_of_ids *ret, cst_error **error)
{
	const char *user = store->auto_userns_user ? store->auto_userns_user : ROOTS_USER;
	_cleanup_(idmap_free) struct idmap subids = {0};
	_cleanup_intervals_ struct intervals own = {0}, root = {0};
	bool initial = false;
	int r = intervals_of_process(group, &own, &initial, error);
	if (r < 0)
		return r;
	if (!initial) {
		strbuf_adds(&ret->shown, "this user namespace");
		if (!intervals_add(&root, 0, 1) || !intervals_subtract(&own, &root, &ret->ids))
			return error_oom(error);
		return 0;
	}
	if (geteuid() != 0)
		return error_set(error, CST_ENO_AVAILABLE_IDS,
		                 "a user other than root chooses IDs in a user namespace only, "
		                 "such as that of cstorage unshare");
	r = idmap_add_subids(user, group, &subids, error);
	if (r < 0)
		return error_prefix(error, r, "choosing IDs for a user namespace");
	for (size_t i = 0; i < subids.len; i++)
		if (!intervals_add(&ret->ids, subids.ranges[i].host_id, subids.ranges[i].size))
			return error_oom(error);
	intervals_join(&ret->ids);
	strbuf_addf(&ret->shown, "user \"%s\" in %s", user, group ? "/etc/subgid" : "/etc/subuid");
	return 0;
}

static bool add_used(const struct idranges *map, struct intervals *used)
{
	for (size_t i = 0; i < map->len; i++)
		if (!intervals_add(used, map->items[i].host_id, map->items[i].size))
			return false;
	return true;
}

/* The host ids of all containers, also of those whose records are damaged. */
static int find_used(cst_store *store, struct intervals *uids, struct intervals *gids,
                     cst_error **error)
{
	_cleanup_hold_ struct hold containers = {0};
	_cleanup_arena_ struct arena arena = {0};
	const struct record_set *table = store->sets.containers.table;
	const char *id, *why;
	int r = hold_read(store, CST_KIND_CONTAINER, &containers, error);
	if (r < 0)
		return r;
	bool ok = true;
	for (size_t i = 0; ok && i < record_set_size(table); i++) {
		const cst_container *container = record_set_at(table, i);
		ok = !container ||
		     (add_used(&container->uid_map, uids) && add_used(&container->gid_map, gids));
	}
	for (size_t i = 0; ok && record_set_unusable(table, i, &id, &why); i++) {
		cst_container container = {0};
		if (record_set_read_unusable(table, i, &arena, &container))
			ok = add_used(&container.uid_map, uids) &&
			     add_used(&container.gid_map, gids);
	}
	intervals_join(uids);
	intervals_join(gids);
	return ok && !arena.failed ? record_set_problem(table, error) : error_oom(error);
}

static int too_few(const struct pool_of_ids *pool, const struct id_shortage *shortage, bool group,
                   cst_error **error)
{
	uint64_t all = intervals_count(&pool->ids);
	error_set(error, CST_ENO_AVAILABLE_IDS,
	          "the container needs %" PRIu64 " free %s, but of the %" PRIu64
	          " of %s only %" PRIu64 " are free",
	          shortage->needed, group ? "GIDs" : "UIDs", all, strbuf_str(&pool->shown),
	          shortage->free);
	return error_go_words(error, CST_ENO_AVAILABLE_IDS, NULL, "%s",
	                      cst_strerror(CST_ENO_AVAILABLE_IDS));
}

static int choose(cst_store *store, bool group, struct id_request *request, struct idmap *ret,
                  cst_error **error)
{
	_cleanup_(pool_of_ids_free) struct pool_of_ids pool = {0};
	struct id_shortage shortage;
	int r = find_available(store, group, &pool, error);
	if (r < 0)
		return r;
	request->available = &pool.ids;
	r = id_request_map(request, ret, &shortage);
	if (r == CST_ENO_AVAILABLE_IDS)
		return too_few(&pool, &shortage, group, error);
	return r < 0 ? error_oom(error) : 0;
}

int auto_userns_maps(cst_store *store, const cst_auto_userns_options *given, const char *image,
                     struct idmaps *ret, cst_error **error)
{
	_cleanup_intervals_ struct intervals used_uids = {0}, used_gids = {0};
	cst_auto_userns_options options = CST_AUTO_USERNS_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_auto_userns_options", error);
	uint32_t size = options.ids;
	if (r == 0 && !size)
		r = find_size(store, &options, image, &size, error);
	if (r == 0)
		r = find_used(store, &used_uids, &used_gids, error);
	struct idmap uids = {.ranges = (cst_idmap *)options.uid_map, .len = options.n_uid_map},
	             gids = {.ranges = (cst_idmap *)options.gid_map, .len = options.n_gid_map};
	struct id_request request = {.size = size, .used = &used_uids, .additional = &uids};
	if (r == 0)
		r = choose(store, false, &request, &ret->uids, error);
	request.used = &used_gids;
	request.additional = &gids;
	return r == 0 ? choose(store, true, &request, &ret->gids, error) : r;
}
