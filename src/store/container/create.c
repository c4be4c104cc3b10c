/* SPDX-License-Identifier: Apache-2.0 */
/* Creates a container and its layer, in one change: neither is ever there without the other. */
#include "store/layer/create.h"
#include "base/id.h"
#include "config/selinux.h"
#include "store/change/change.h"
#include "store/container/auto_userns.h"
#include "store/container/level.h"
#include "store/core/lookup.h"
#include "store/core/names.h"
#include "store/core/store.h"
#include "store/item/data_stage.h"
#include "store/layer/mapped.h"

struct new_container {
	struct arena arena;
	struct strv names;
	struct staged_item staged;
	struct idmaps maps;
	cst_container record;
	const char *parent;   /* layer ID or NULL */
	bool level_is_chosen; /* of its labels, at random: no other container may have it */
	bool again;
};

static void new_container_free(struct new_container *container)
{
	tempdir_free(container->staged.stage);
	strv_free(&container->names);
	idmaps_free(&container->maps);
	arena_clear(&container->arena);
}

/* ---- plan ---- */

/* A flag whose value is a string, or with `list` a list of strings. */
static void put_flag(struct arena *arena, struct raw_members *flags, const char *key,
                     const char *const *items, size_t n, bool list)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	struct json_writer w;
	json_writer_init(&w, &text, JSON_STORE);
	if (list)
		json_put_strings(&w, items, n);
	else
		json_put_string(&w, *items);
	if (text.failed || !flags_set(arena, flags, key, strbuf_str(&text)))
		arena->failed = true;
}

static void put_labels(struct new_container *container)
{
	cst_container *record = &container->record;
	put_flag(&container->arena, &record->flags, "MountLabel", &record->mount_label, 1, false);
	put_flag(&container->arena, &record->flags, "ProcessLabel", &record->process_label, 1,
	         false);
}

/* MountLabel and ProcessLabel are always set (docs/format/store.md, "Container"). */
static int plan_flags(const cst_container_options *options, bool is_volatile,
                      struct new_container *container, cst_error **error)
{
	struct raw_members *flags = &container->record.flags;
	struct arena *arena = &container->arena;
	int r = flags_set_all(arena, flags, options->flags, options->n_flags, error);
	if (r < 0)
		return r;
	container->record.mount_label =
	        str_or(options->mount_label, flags_get_string(arena, flags, "MountLabel"));
	container->record.process_label =
	        str_or(options->process_label, flags_get_string(arena, flags, "ProcessLabel"));
	if (isempty(container->record.mount_label) != isempty(container->record.process_label))
		return error_set(error, CST_EINVAL,
		                 "ProcessLabel and Mountlabel must either not be specified or both "
		                 "specified");
	put_labels(container);
	if (options->n_mount_options)
		put_flag(arena, flags, "MountOpts", options->mount_options,
		         options->n_mount_options, true);
	if (is_volatile && !flags_set(arena, flags, "Volatile", "true"))
		arena->failed = true;
	return arena->failed ? error_oom(error) : 0;
}

static int plan_image(cst_store *store, const char *id, struct new_container *container,
                      cst_error **error)
{
	container->record.image = "";
	if (isempty(id))
		return 0;
	_cleanup_hold_ struct hold images = {0};
	int r = item_hold(store, CST_KIND_IMAGE, id, &images, error);
	if (r < 0)
		return r;
	container->record.image = arena_strdup(&container->arena, record_id(images.item));
	return container->arena.failed ? error_oom(error) : 0;
}

/* The maps that the caller gives. */
static int given_maps(const cst_container_options *options, struct idmaps *maps, cst_error **error)
{
	size_t n_uids = options->host_uid_map ? 0 : options->n_uid_map,
	       n_gids = options->host_gid_map ? 0 : options->n_gid_map;
	if (options->auto_userns &&
	    (options->host_uid_map || options->host_gid_map || n_uids || n_gids))
		return error_set(error, CST_EINVAL,
		                 "a container with an automatic user namespace takes no other "
		                 "ID maps");
	return idmap_copy(&maps->uids, options->uid_map, n_uids) &&
	                       idmap_copy(&maps->gids, options->gid_map, n_gids)
	               ? 0
	               : error_oom(error);
}

static int use_maps(struct new_container *container, cst_error **error)
{
	cst_container *record = &container->record;
	record->uid_map = (struct idranges){.items = container->maps.uids.ranges,
	                                    .len = container->maps.uids.len};
	record->gid_map = (struct idranges){.items = container->maps.gids.ranges,
	                                    .len = container->maps.gids.len};
	return idmap_check_overlap(&container->maps, error);
}

static int plan_container(cst_store *store, const cst_container_options *options,
                          struct new_container *container, cst_error **error)
{
	cst_container *record = &container->record;
	bool is_volatile = options->is_volatile || store->transient;
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : plan_image(store, options->image, container, error);
	if (r == 0)
		r = id_for_new("container", options->id, &container->arena, &record->id, error);
	if (r == 0)
		r = names_unique(options->names, options->n_names, &container->names, error);
	if (r == 0)
		r = given_maps(options, &container->maps, error);
	if (r == 0)
		r = use_maps(container, error);
	if (r < 0)
		return r;
	record->names = strings_of(&container->names);
	record->metadata = strempty(options->metadata);
	record->created = timestamp_now();
	record->file = is_volatile ? CONTAINER_VOLATILE : CONTAINER_STABLE;
	r = plan_flags(options, is_volatile, container, error);
	if (r == 0)
		r = new_data_stage(store, "container", options->data, options->n_data,
		                   &container->staged.stage, &container->arena,
		                   &container->staged.data, error);
	record->data = (struct data_items){.items = container->staged.data.items,
	                                   .len = container->staged.data.len};
	return r;
}

/* ---- labels ---- */

static bool level_is_taken(const char *level, void *userdata)
{
	return container_level_is_taken(userdata, level);
}

/* Makes the labels, if the caller gave none. The containers are held, and with SELinux the layers. */
static int make_labels(cst_store *store, const cst_container_options *options,
                       struct new_container *container, cst_error **error)
{
	_cleanup_labels_ struct selinux_labels labels = {0};
	cst_container *record = &container->record;
	if (*record->process_label)
		return 0;
	int r = selinux_container_labels(options->label_options, options->n_label_options,
	                                 level_is_taken, store, &labels, error);
	if (r < 0)
		return r;
	container->level_is_chosen = labels.level_is_chosen;
	record->mount_label = arena_strdup(&container->arena, labels.mount);
	record->process_label = arena_strdup(&container->arena, labels.process);
	if (!container->arena.failed)
		put_labels(container);
	return container->arena.failed ? error_oom(error) : 0;
}

/* ---- commit ---- */

static int check_new_container(cst_store *store, const struct new_container *container,
                               cst_error **error)
{
	const struct record_set *table = store->sets.containers.table;
	const cst_container *record = &container->record;
	if (container_table_get(table, record->id))
		return error_about(error, CST_EDUPLICATE_ID, record->id);
	for (size_t i = 0; i < record->names.len; i++) {
		const cst_container *other = container_table_by_name(table, record->names.items[i]);
		if (other)
			return error_about_go(error, CST_EDUPLICATE_NAME, record->names.items[i],
			                      "the container name \"%s\" is already in use by %s. "
			                      "You have to remove that "
			                      "container to be able to reuse that name",
			                      record->names.items[i], other->id);
	}
	return 0;
}

/* Another container or layer may have got the level at the same moment. Its layer may have the label on every file, so this one begins anew. */
static int check_level(cst_store *store, struct new_container *container, cst_error **error)
{
	const char *level = selinux_level(container->record.mount_label);
	container->again = container->level_is_chosen && container_level_is_taken(store, level);
	return container->again
	               ? error_set(error, CST_EBUSY,
	                           "another container or layer got the SELinux level %s, too",
	                           level)
	               : 0;
}

/* Another process may have deleted the image, and made it again with another layer. */
static int check_image(cst_store *store, const struct new_container *container,
                       struct new_layer *layer, cst_error **error)
{
	if (!*container->record.image)
		return 0;
	const cst_image *image = image_find(store, container->record.image, NULL);
	layer->parent_gone = image && !image_has_top_layer(image, layer->record.parent);
	return image && !layer->parent_gone
	               ? 0
	               : error_about_go(error, CST_EIMAGE_UNKNOWN, container->record.image,
	                                "locating image with ID \"%s\"", container->record.image);
}

/* Adds the layer first, then the record that owns it. One announcement is about both. */
static int create_container(cst_store *store, struct new_container *container,
                            struct new_layer *layer, cst_container **ret, cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	int r = new_layer_prepare(layer, error);
	if (r == 0)
		r = change_hold(&change, store, hold_three(HOLD_WRITE, HOLD_READ, HOLD_WRITE),
		                error);
	if (r == 0)
		r = check_image(store, container, layer, error);
	if (r == 0)
		r = check_new_container(store, container, error);
	if (r == 0)
		r = check_level(store, container, error);
	if (r == 0)
		r = new_layer_check(store, layer, error);
	if (r < 0)
		return r;
	const char *id = container->record.id;
	container->staged.record = &container->record;
	new_layer_add(&change, layer, CST_KIND_CONTAINER, id);
	change_add(&change, &(struct intent){.kind = CST_KIND_CONTAINER, .id = id},
	           staged_item_place, NULL, &container->staged);
	r = change_commit(&change, error);
	return r < 0 ? r
	             : container_give(container_table_get(store->sets.containers.table, id), ret,
	                              error);
}

/* Reports early what would fail later, before anything is staged, and makes the labels. */
static int precheck(cst_store *store, const cst_container_options *options,
                    struct new_container *container, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	enum hold_mode layers = selinux_is_enabled() ? HOLD_READ : HOLD_NOT;
	int r = hold_sets(store, hold_three(layers, HOLD_NOT, HOLD_READ), &held, error);
	if (r == 0)
		r = check_new_container(store, container, error);
	return r == 0 ? make_labels(store, options, container, error) : r;
}

/* A process that looks for ids which no container uses holds this lock until the ids that it chose
 * are recorded. The threads of one handle take turns too. */
static int lock_ids(cst_store *store, const cst_container_options *options,
                    struct new_container *container, struct lockfile **held, cst_error **error)
{
	struct idmaps *maps = &container->maps;
	if (!options->auto_userns && !maps->uids.len && !maps->gids.len)
		return 0;
	int r = additional_refresh(store, error);
	if (r == 0)
		r = lockfile_hold(store->userns_lock, LOCKFILE_WRITE, held, error);
	if (r < 0 || !options->auto_userns)
		return r;
	r = auto_userns_maps(store, options->auto_userns, container->record.image, maps, error);
	return r == 0 ? use_maps(container, error) : r;
}

static int create_once(cst_store *store, const cst_container_options *options, bool *again,
                       cst_container **ret, cst_error **error)
{
	_cleanup_(new_container_free) struct new_container container = {0};
	_cleanup_unlock_ struct lockfile *ids = NULL;
	_cleanup_new_layer_ struct new_layer layer = {0};
	int r = plan_container(store, options, &container, error);
	if (r == 0)
		r = precheck(store, options, &container, error);
	if (r == 0)
		r = lock_ids(store, options, &container, &ids, error);
	if (r < 0)
		return r;
	if (*container.record.image)
		r = mapped_layer_for(store, container.record.image, &container.maps,
		                     &container.arena, &container.parent, error);
	if (r < 0)
		return r;
	cst_layer_options layer_options = CST_LAYER_OPTIONS_INIT;
	layer_options.id = options->layer;
	layer_options.parent = container.parent;
	layer_options.mount_label = container.record.mount_label;
	layer_options.writable = true;
	layer_options.is_volatile = options->is_volatile || store->transient;
	layer_options.host_uid_map = options->host_uid_map;
	layer_options.host_gid_map = options->host_gid_map;
	layer_options.uid_map = container.maps.uids.ranges;
	layer_options.n_uid_map = container.maps.uids.len;
	layer_options.gid_map = container.maps.gids.ranges;
	layer_options.n_gid_map = container.maps.gids.len;
	r = new_layer_plan(store, &layer_options, &layer, error);
	if (r < 0) {
		*again = r == CST_ELAYER_UNKNOWN && container.parent;
		return r;
	}
	container.record.layer = layer.record.id;
	layer.storage_options = (struct strings){.items = options->storage_options,
	                                         .len = options->n_storage_options};
	/* Since 1.64 the layer's record has the maps even if the driver keeps the content
	 * unmapped. */
	if (!layer.record.uid_map.len && !layer.record.gid_map.len) {
		layer.record.uid_map = container.record.uid_map;
		layer.record.gid_map = container.record.gid_map;
	}
	r = new_layer_fill(store, &layer_options, NULL, &layer, error);
	if (r == 0)
		r = create_container(store, &container, &layer, ret, error);
	*again = layer.parent_gone || container.again;
	return r;
}

/* While this process staged the layer, another one may have deleted the image and given its name to
 * another image. Then this process tries again with that one; so it does if another one took the level of the labels. */
int cst_store_create_container(cst_store *store, const cst_container_options *given,
                               cst_container **ret, cst_error **error)
{
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_container_options", error);
	if (r < 0)
		return r;
	for (;;) {
		_cleanup_error_ cst_error *problem = NULL;
		bool again = false;
		r = create_once(store, &options, &again, ret, &problem);
		if (r == 0)
			return 0;
		if (!again || data_items_stream(options.data, options.n_data))
			return error_propagate(error, steal_ptr(&problem));
	}
}
