/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of an image's top layer that belong to other ids, for containers with id maps on drivers
 * that do not map when they mount. A copy has the parent and the properties of its template and
 * stays with the image, for the next container with the same maps (docs/format/config.md, "Who gets
 * which map").
 */
#include "store/layer/mapped.h"
#include "store/layer/create.h"

struct choice {
	const cst_layer *layer; /* NULL: the image has none */
	bool copy;              /* it is the template of a copy to be made */
};

static bool same_ranges(const struct idranges *a, const struct idmap *b)
{
	const struct idmap map = {.ranges = (cst_idmap *)a->items, .len = a->len};
	return idmap_equal(&map, b);
}

/* The image's top layer and its copies: the first one that fits, else the first one there is. */
static int choose(cst_store *store, const char *id, const struct idmaps *maps, struct choice *ret,
                  cst_error **error)
{
	const struct driver_ops *ops = store->driver->ops;
	const cst_image *image = image_find(store, id, NULL);
	if (!image)
		return error_wrap_code(error, CST_EIMAGE_UNKNOWN, "locating image with ID \"%s\"",
		                       id);
	*ret = (struct choice){0};
	if (!*image->layer)
		return 0;
	for (size_t i = 0; i <= image->mapped_layers.len; i++) {
		struct layer_source source;
		const cst_layer *layer = layer_get(
		        store, i ? image->mapped_layers.items[i - 1] : image->layer, &source);
		if (!layer || (*layer->parent && !layer_get(store, layer->parent, NULL)))
			continue;
		if (same_ranges(&layer->uid_map, &maps->uids) &&
		    same_ranges(&layer->gid_map, &maps->gids)) {
			*ret = (struct choice){.layer = layer};
			return 0;
		}
		if (!ret->layer)
			*ret = (struct choice){.layer = layer, .copy = !source.foreign};
	}
	if (!ret->layer)
		return error_code(error, CST_ELAYER_UNKNOWN);
	/* A foreign image or layer is used as it is, and the container's own layer is re-owned. */
	ret->copy = ret->copy && (ops->capabilities & DRIVER_REOWNS_PARENT) && !store->read_only &&
	            image_table_get(store->images.table, image->id);
	bool shifting = false;
	int r = ret->copy ? ops->supports_shifting(store->driver, maps, &shifting, error) : 0;
	ret->copy = ret->copy && !shifting;
	return r;
}

/* ---- making one ---- */

static int stage_copy(cst_store *store, const cst_layer *template, const struct idmaps *maps,
                      struct new_layer *layer, cst_error **error)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	options.parent = template->parent;
	options.mount_label = template->mount_label;
	options.uid_map = maps->uids.ranges;
	options.n_uid_map = maps->uids.len;
	options.gid_map = maps->gids.ranges;
	options.n_gid_map = maps->gids.len;
	options.host_uid_map = !maps->uids.len; /* nothing is inherited */
	options.host_gid_map = !maps->gids.len;
	options.template_layer = template->id;
	int r = new_layer_plan(store, &options, layer, error);
	return r == 0 ? new_layer_fill(store, &options, NULL, layer, error) : r;
}

/* ---- commit ---- */

static int list_copy(cst_store *store, const char *id, const char *layer, cst_error **error)
{
	struct record_set *table = store->images.table;
	const cst_image *image = image_table_find(table, id);
	cst_image edited = *image;
	_cleanup_free_ const char **layers = new0(const char *, image->mapped_layers.len + 1);
	if (!layers)
		return error_oom(error);
	for (size_t i = 0; i < image->mapped_layers.len; i++)
		layers[i] = image->mapped_layers.items[i];
	layers[image->mapped_layers.len] = layer;
	edited.mapped_layers =
	        (struct strings){.items = layers, .len = image->mapped_layers.len + 1};
	return record_set_replace(table, &edited)
	               ? record_set_save(table, store->images.set.lock, error)
	               : error_oom(error);
}

/* The image first: a listed layer without record is nobody's loss, and recovery strikes it off the
 * list; a layer that no image lists would stay for good. */
static int commit_copy(cst_store *store, const char *image, struct new_layer *layer,
                       cst_error **error)
{
	_cleanup_trash_ struct trash trash = {0};
	_cleanup_intents_ struct intents intents = {0};
	new_layer_announce(layer, 0, NULL, &intents);
	int r = journal_begin(&store->layer_journal, &intents, error);
	if (r < 0)
		return r;
	r = list_copy(store, image, layer->record.id, error);
	if (r == 0)
		r = new_layer_commit(store, layer, &trash, error);
	if (r == 0)
		journal_end(&store->layer_journal);
	else
		journal_settle(store, &store->layer_journal, &intents,
		               SETTLE_LAYERS | SETTLE_IMAGES, &trash);
	return r;
}

/* Somebody else may have made the same one meanwhile: theirs is as good. */
static int commit_or_share(cst_store *store, const char *image, const struct idmaps *maps,
                           struct new_layer *layer, struct arena *arena, const char **ret,
                           cst_error **error)
{
	_cleanup_layers_write_ cst_store *layers = NULL;
	_cleanup_images_write_ cst_store *images = NULL;
	struct choice choice;
	int r = layers_write(store, &layers, error);
	if (r == 0)
		r = images_write(store, &images, error);
	if (r == 0)
		r = choose(store, image, maps, &choice, error);
	if (r < 0)
		return r;
	if (choice.layer && !choice.copy) {
		*ret = arena_strdup(arena, choice.layer->id);
		return *ret ? 0 : error_oom(error);
	}
	const char *id = arena_strdup(arena, layer->record.id);
	r = id ? new_layer_check(store, layer, error) : error_oom(error);
	if (r == 0)
		r = commit_copy(store, image, layer, error);
	if (r == 0)
		*ret = id;
	return r;
}

/* *template is set if a copy has to be made. The layers stay locked while the images are read: no
 * image then has a layer that is newer than those. */
static int look(cst_store *store, const char *image, const struct idmaps *maps, struct arena *arena,
                const char **ret, cst_layer **template, cst_error **error)
{
	_cleanup_layers_read_locked_ cst_store *layers = NULL;
	_cleanup_images_read_ cst_store *images = NULL;
	struct choice choice;
	int r = layers_read_locked(store, &layers, error);
	if (r == 0)
		r = images_read(store, &images, error);
	if (r == 0)
		r = choose(store, image, maps, &choice, error);
	if (r < 0)
		return r;
	if (choice.copy)
		*template = layer_dup(choice.layer);
	else
		*ret = choice.layer ? arena_strdup(arena, choice.layer->id) : NULL;
	return arena->failed || (choice.copy && !*template) ? error_oom(error) : 0;
}

static void free_layer(cst_layer **layer)
{
	cst_layer_free(*layer);
}

int mapped_layer_for(cst_store *store, const char *image, const struct idmaps *maps,
                     struct arena *arena, const char **ret, cst_error **error)
{
	_cleanup_(free_layer) cst_layer *template = NULL;
	_cleanup_new_layer_ struct new_layer layer = {0};
	int r = look(store, image, maps, arena, ret, &template, error);
	if (r < 0 || !template)
		return r;
	r = stage_copy(store, template, maps, &layer, error);
	if (r < 0)
		return error_prefix(error, r, "creating an ID-mapped copy of layer \"%s\"",
		                    template->id);
	return commit_or_share(store, image, maps, &layer, arena, ret, error);
}
