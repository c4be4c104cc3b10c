/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of an image's top layer that belong to other ids. Containers with id maps need them on
 * drivers that do not map ids when they mount. A copy has the parent and the properties of its
 * template. It stays with the image, for the next container with the same maps
 * (docs/format/config.md, "Who gets which map"). */
#include "store/layer/mapped.h"
#include "store/core/edit.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/create.h"

DEFINE_CLEANUP(cst_layer *, cst_layer_free)

struct choice {
	const cst_layer *layer; /* NULL: the image has none */
	bool copy;              /* it is the template of a copy to be made */
};

/* Looks at the image's top layer and its copies. Chooses the first that fits; if none does, the
 * first that exists. */
static int choose(cst_store *store, const char *id, const struct idmaps *maps, struct choice *ret,
                  cst_error **error)
{
	const struct driver_ops *ops = store->driver->ops;
	const cst_image *image = image_find(store, id, NULL);
	if (!image)
		return error_about_go(error, CST_EIMAGE_UNKNOWN, id,
		                      "locating image with ID \"%s\"", id);
	*ret = (struct choice){0};
	if (!*image->layer)
		return 0;
	for (size_t i = 0; i <= image->mapped_layers.len; i++) {
		struct source source;
		const cst_layer *layer = layer_get(
		        store, i ? image->mapped_layers.items[i - 1] : image->layer, &source);
		if (!layer || (*layer->parent && !layer_get(store, layer->parent, NULL)))
			continue;
		const struct idmaps own = layer_maps(layer);
		if (idmaps_equal(&own, maps)) {
			*ret = (struct choice){.layer = layer};
			return 0;
		}
		if (!ret->layer)
			*ret = (struct choice){.layer = layer, .copy = !source.foreign};
	}
	if (!ret->layer)
		return error_about(error, CST_ELAYER_UNKNOWN, image->layer);
	/* An image or layer of an additional store is used as it is. Then the container's own layer
	 * gets the other owners. */
	ret->copy = ret->copy && (ops->capabilities & DRIVER_REOWNS_PARENT) && !store->read_only &&
	            image_table_get(store->sets.images.table, image->id);
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

struct listing {
	const char *image, *layer;
};

static int list_copy(struct change *change, const struct intent *intent, void *arg,
                     cst_error **error)
{
	const struct listing *listing = arg;
	return image_list_mapped(&change->store->sets.images, listing->image, listing->layer,
	                         error);
}

/* Another process may have made an equal copy meanwhile; use that one. */
static int commit_or_share(cst_store *store, const char *image, const struct idmaps *maps,
                           struct new_layer *layer, struct arena *arena, const char **ret,
                           cst_error **error)
{
	/* The image is saved first. If the layer then gets no record, recovery removes it from the
	 * list. The other way round, a layer that no image lists would stay for ever. */
	_cleanup_change_ struct change change = {.owners_first = true};
	struct choice choice;
	int r = new_layer_prepare(layer, error);
	if (r == 0)
		r = change_hold(&change, store, hold_three(HOLD_WRITE, HOLD_WRITE, HOLD_NOT),
		                error);
	if (r == 0)
		r = choose(store, image, maps, &choice, error);
	if (r < 0)
		return r;
	bool share = choice.layer && !choice.copy;
	const char *id = arena_strdup(arena, share ? choice.layer->id : layer->record.id);
	r = id ? 0 : error_oom(error);
	if (r == 0 && !share)
		r = new_layer_check(store, layer, error);
	if (r == 0 && !share) {
		new_layer_add(&change, layer, 0, NULL);
		struct listing listing = {.image = image, .layer = id};
		change_add(&change, NULL, list_copy, NULL, &listing);
		r = change_commit(&change, error);
	}
	if (r == 0)
		*ret = id;
	return r;
}

/* Sets *template if a copy has to be made. The layers stay locked while the images are read, so
 * that no image has a layer that is newer than those. */
static int look(cst_store *store, const char *image, const struct idmaps *maps, struct arena *arena,
                const char **ret, cst_layer **template, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	struct choice choice;
	int r = hold_sets(store, hold_three(HOLD_READ_LOCKED, HOLD_READ, HOLD_NOT), &held, error);
	if (r == 0)
		r = choose(store, image, maps, &choice, error);
	if (r < 0)
		return r;
	if (choice.copy)
		return layer_give(choice.layer, template, error);
	*ret = choice.layer ? arena_strdup(arena, choice.layer->id) : NULL;
	return arena->failed ? error_oom(error) : 0;
}

int mapped_layer_for(cst_store *store, const char *image, const struct idmaps *maps,
                     struct arena *arena, const char **ret, cst_error **error)
{
	_cleanup_(cst_layer_freep) cst_layer *template = NULL;
	_cleanup_new_layer_ struct new_layer layer = {0};
	/* The driver may have to try it out with a mount, and nobody shall wait for that. It remembers. */
	bool shifting, mapped = maps->uids.len || maps->gids.len;
	int r = mapped ? store->driver->ops->supports_shifting(store->driver, maps, &shifting,
	                                                       error)
	               : 0;
	if (r == 0)
		r = look(store, image, maps, arena, ret, &template, error);
	if (r < 0 || !template)
		return r;
	r = stage_copy(store, template, maps, &layer, error);
	if (r < 0)
		return error_prefix(error, r, "creating an ID-mapped copy of layer \"%s\"",
		                    template->id);
	return commit_or_share(store, image, maps, &layer, arena, ret, error);
}
