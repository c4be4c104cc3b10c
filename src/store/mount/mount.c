/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts and unmounts layers. mountpoints.json has the mount counts, which all processes share. */
#include "store/core/driver.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/mapped.h"
#include <errno.h>

/* What to mount. In the end it is always a layer. */
struct target {
	struct arena arena;
	const char *layer;
	const struct idmaps *maps;
	struct idmaps own_maps;
	struct strings options;
	const char *label;
	bool is_volatile;
	/* A layer of an additional store: mounted only as part of an image, only for reading,
	 * and not counted. */
	bool foreign;
};

static void target_free(struct target *target)
{
	idmaps_free(&target->own_maps);
	arena_clear(&target->arena);
}

static int target_from_container(cst_store *store, const cst_container *container,
                                 struct target *target, cst_error **error)
{
	target->layer = arena_strdup(&target->arena, container->layer);
	target->is_volatile =
	        !store->disable_volatile && flags_get_bool(&container->flags, "Volatile");
	if (!target->layer ||
	    !idmap_copy(&target->own_maps.uids, container->uid_map.items, container->uid_map.len) ||
	    !idmap_copy(&target->own_maps.gids, container->gid_map.items, container->gid_map.len))
		return error_oom(error);
	if (target->own_maps.uids.len || target->own_maps.gids.len)
		target->maps = &target->own_maps;
	target->options = flags_get_strings(&target->arena, &container->flags, "MountOpts");
	return target->arena.failed ? error_oom(error) : 0;
}

/* Looks for a container first, then for a layer, as every implementation does. */
static int find_target(cst_store *store, const char *id, struct target *target, cst_error **error)
{
	{
		_cleanup_hold_ struct hold containers = {0};
		int r = hold_read(store, CST_KIND_CONTAINER, &containers, error);
		if (r < 0)
			return r;
		const cst_container *container =
		        container_table_find(store->sets.containers.table, id);
		if (container)
			return target_from_container(store, container, target, error);
	}
	_cleanup_hold_ struct hold layers = {0};
	struct source source;
	int r = hold_read(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_find(store, id, &source);
	if (!layer) {
		error_set(error, CST_ELAYER_UNKNOWN, "there is no layer or container \"%s\"", id);
		return error_go_words(error, CST_ELAYER_UNKNOWN, id, "%s",
		                      cst_strerror(CST_ELAYER_UNKNOWN));
	}
	target->foreign = source.foreign;
	target->layer = arena_strdup(&target->arena, layer->id);
	return target->layer ? 0 : error_oom(error);
}

/* Takes the lock of the mount points for writing, and reads the counts again. */
static int mounts_write(cst_store *store, struct lockfile **held, cst_error **error)
{
	int r = lockfile_hold(store->mounts_lock, LOCKFILE_WRITE, held, error);
	return r == 0 ? layer_table_load_mounts(store->sets.layers.table, *held, error) : r;
}

static int save_count(cst_store *store, const char *layer, const char *path, int count,
                      struct lockfile *mounts, cst_error **error)
{
	if (!layer_table_set_mount(store->sets.layers.table, layer, path, count))
		return error_oom(error);
	return layer_table_save_mounts(store->sets.layers.table, mounts, error);
}

/* `layer`: what it is in the end, unless that is in an additional store. Its record has the label, the container's flags a copy. */
static struct driver_mount_options driver_options_of(const struct target *target,
                                                     const cst_layer *layer)
{
	const char *label = str_or(target->label, layer ? layer->mount_label : NULL);
	return (struct driver_mount_options){
	        .label = isempty(label) ? NULL : label,
	        .maps = target->maps,
	        .options = target->options.items,
	        .n_options = target->options.len,
	        .is_volatile = target->is_volatile,
	};
}

/* Another process may have unmounted the layer without counting (umount -l, another mount
 * namespace), or the count may be another store's. Then the layer is mounted again, and its count
 * starts at one. */
static int mount_layer(cst_store *store, const struct target *target, char **ret_path,
                       cst_error **error)
{
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	const struct driver_ops *ops = store->driver->ops;
	int r = mounts_write(store, &mounts, error);
	if (r < 0)
		return r;
	/* A layer of an additional store has no mount count; the kernel's mount table says
	 * whether it is mounted. */
	struct driver_mount_options options = driver_options_of(target, NULL);
	if (target->foreign)
		return ops->get(store->driver, target->layer, &options, ret_path, error);
	const cst_layer *layer = layer_table_get(store->sets.layers.table, target->layer);
	if (!layer)
		return error_about(error, CST_ELAYER_UNKNOWN, target->layer);
	bool mounted = false;
	if (layer->mount_count > 0)
		r = driver_is_mounted(store->driver, layer->id, layer->mount_point, &mounted,
		                      error);
	if (r < 0)
		return r;
	int count = mounted ? layer->mount_count + 1 : 1;
	_cleanup_free_ char *path = mounted ? strdup(layer->mount_point) : NULL;
	if (mounted && !path)
		return error_oom(error);
	options = driver_options_of(target, layer);
	if (!mounted)
		r = ops->get(store->driver, layer->id, &options, &path, error);
	if (r < 0)
		return r;
	r = save_count(store, layer->id, path, count, mounts, error);
	if (r < 0) {
		if (!mounted)
			(void)ops->put(store->driver, target->layer, NULL);
		return r;
	}
	*ret_path = steal_ptr(&path);
	return 0;
}

static int mount_target(cst_store *store, const struct target *target, char **path,
                        cst_error **error)
{
	_cleanup_unlock_ struct lockfile *graph = NULL;
	_cleanup_hold_ struct hold layers = {0};
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : layers_need(store, error);
	if (r == 0)
		r = additional_refresh(store, error);
	if (r == 0)
		r = lockfile_hold(store->graph_lock, LOCKFILE_WRITE, &graph, error);
	if (r == 0)
		r = store_refresh_driver(store, error);
	if (r == 0)
		r = hold_write(store, CST_KIND_LAYER, &layers, error);
	return r == 0 ? mount_layer(store, target, path, error) : r;
}

static void apply_options(struct target *target, const cst_mount_options *options)
{
	if (!isempty(options->label))
		target->label = options->label;
	if (options->n_options)
		target->options =
		        (struct strings){.items = options->options, .len = options->n_options};
}

static int in_additional_store(const struct target *target, cst_error **error)
{
	const int code = CST_ESTORE_READ_ONLY;
	error_set(error, code, "the layer \"%s\" is in an additional store, which is only read",
	          target->layer);
	return error_go_words(error, code, target->layer,
	                      "mounting read/only store images is not allowed: %s",
	                      cst_strerror(code));
}

int cst_store_mount(cst_store *store, const char *id, const cst_mount_options *given, char **path,
                    cst_error **error)
{
	cst_mount_options options = CST_MOUNT_OPTIONS_INIT;
	_cleanup_(target_free) struct target target = {0};
	int r = options_take(&options, sizeof(options), given, "cst_mount_options", error);
	if (r == 0)
		r = find_target(store, id, &target, error);
	if (r == 0 && target.foreign)
		r = in_additional_store(&target, error);
	if (r < 0)
		return r;
	apply_options(&target, &options);
	return mount_target(store, &target, path, error);
}

/* Finds the image's top layer as it is without maps: if the layer itself is mapped, a copy that
 * belongs to root. */
static int find_image_layer(cst_store *store, const char *id, struct target *target,
                            cst_error **error)
{
	static const struct idmaps unmapped;
	int r = mapped_layer_for(store, id, &unmapped, &target->arena, &target->layer, error);
	if (r < 0)
		return r;
	_cleanup_hold_ struct hold layers = {0};
	struct source source;
	r = hold_read(store, CST_KIND_LAYER, &layers, error);
	if (r == 0 && (!target->layer || !layer_get(store, target->layer, &source)))
		r = error_about(error, CST_ELAYER_UNKNOWN, target->layer ? target->layer : id);
	target->foreign = r == 0 && source.foreign;
	return r;
}

int cst_store_mount_image(cst_store *store, const char *id, const cst_mount_options *given,
                          char **path, cst_error **error)
{
	cst_mount_options options = CST_MOUNT_OPTIONS_INIT;
	_cleanup_(target_free) struct target target = {0};
	int r = options_take(&options, sizeof(options), given, "cst_mount_options", error);
	if (r == 0)
		r = find_image_layer(store, id, &target, error);
	if (r < 0)
		return r;
	apply_options(&target, &options);
	const char **all = arena_alloc(&target.arena, (target.options.len + 1) * sizeof(char *));
	if (!all)
		return error_oom(error);
	for (size_t i = 0; i < target.options.len; i++) {
		if (streq(target.options.items[i], "rw"))
			return error_set(error, CST_EINVAL, " \"rw\" option not supported");
		all[i] = target.options.items[i];
	}
	all[target.options.len] = "ro";
	target.options = (struct strings){.items = all, .len = target.options.len + 1};
	return mount_target(store, &target, path, error);
}

/* ---- unmount ---- */

static int unmount_layer(cst_store *store, const char *id, bool force, bool *still,
                         cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	int r = hold_write(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = mounts_write(store, &mounts, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_table_get(store->sets.layers.table, id);
	if (!layer)
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	if (layer->mount_count > 1 && !force) {
		if (still)
			*still = true;
		_cleanup_free_ char *path = strdup(layer->mount_point);
		return path ? save_count(store, id, path, layer->mount_count - 1, mounts, error)
		            : error_oom(error);
	}
	r = store->driver->ops->put(store->driver, id, error);
	if (r < 0)
		return r;
	if (still)
		*still = false;
	return save_count(store, id, "", 0, mounts, error);
}

int cst_store_unmount(cst_store *store, const char *id, bool force, bool *still_mounted,
                      cst_error **error)
{
	_cleanup_(target_free) struct target target = {0};
	int r = find_target(store, id, &target, error);
	return r == 0 ? unmount_layer(store, target.layer, force, still_mounted, error) : r;
}

int cst_store_unmount_image(cst_store *store, const char *id, bool force, bool *still_mounted,
                            cst_error **error)
{
	_cleanup_(target_free) struct target target = {0};
	int r = find_image_layer(store, id, &target, error);
	if (r == 0 && target.foreign) {
		if (still_mounted)
			*still_mounted = false;
		return store->driver->ops->put(store->driver, target.layer, error);
	}
	return r == 0 ? unmount_layer(store, target.layer, force, still_mounted, error) : r;
}

int cst_store_mounted(cst_store *store, const char *id, int *count, cst_error **error)
{
	_cleanup_(target_free) struct target target = {0};
	_cleanup_hold_ struct hold layers = {0};
	int r = find_target(store, id, &target, error);
	if (r == 0)
		r = hold_read(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_table_get(store->sets.layers.table, target.layer);
	if (!layer)
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	*count = layer->mount_count;
	return 0;
}

/* The layers stay locked until the descriptor is open, because every process that mounts or
 * unmounts takes them for writing. */
int cst_store_mount_fd(cst_store *store, const char *id, int *fd, cst_error **error)
{
	_cleanup_(target_free) struct target target = {0};
	_cleanup_hold_ struct hold layers = {0};
	int r = find_target(store, id, &target, error);
	if (r == 0)
		r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_get(store, target.layer, NULL);
	if (!layer)
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	int opened = -1;
	if (target.foreign || layer->mount_count > 0)
		r = store->driver->ops->mount_open(store->driver, layer->id,
		                                   target.foreign ? NULL : layer->mount_point,
		                                   &opened, error);
	if (r == 0 && opened < 0)
		r = error_about(error, CST_ELAYER_NOT_MOUNTED, id);
	if (r == 0)
		*fd = opened;
	return r;
}
