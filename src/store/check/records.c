/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the records say of one another, as they are after everything was looked at; which findings are part of which items;
 * what the driver has that no record knows.
 */
#include "store/check/age.h"
#include "store/check/check.h"
#include "store/check/garbage.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include <time.h>

static struct subject layer_subject(const char *id)
{
	return (struct subject){.kind = CST_KIND_LAYER, .id = id};
}

static void check_parents(struct check *check)
{
	for (size_t i = 0; i < check->now.n_items; i++) {
		struct checked *item = &check->now.items[i];
		const cst_layer *layer = item->record;
		if (item->about.kind != CST_KIND_LAYER || !*layer->parent ||
		    inventory_get(&check->now, CST_KIND_LAYER, layer->parent))
			continue;
		struct subject parent = layer_subject(layer->parent);
		findings_add(&item->found, CST_FINDING_PARENT_MISSING, &item->about, &parent,
		             str_printf("its parent %s is in no store", layer->parent),
		             strdup("layer is missing"));
	}
}

/* From a top layer down to its base. Findings of each are the image's, too. */
static void walk_layers(struct check *check, struct checked *image, const char *top)
{
	size_t left = check->now.n_items; /* a circle of parents ends the walk */
	for (const char *id = top; *id && left-- > 0;) {
		struct checked *layer = inventory_get(&check->now, CST_KIND_LAYER, id);
		if (!layer) {
			findings_add(&image->found, CST_FINDING_LAYER_MISSING, &image->about, NULL,
			             str_printf("its layer %s is in no store", id),
			             str_printf("layer %s: image layer is missing", id));
			return;
		}
		layer->referenced = true;
		findings_copy(&image->found, &layer->found, &image->about);
		id = ((const cst_layer *)layer->record)->parent;
	}
}

static void check_image(struct check *check, struct checked *item)
{
	const cst_image *image = item->record;
	walk_layers(check, item, image->layer);
	for (size_t i = 0; i < image->mapped_layers.len; i++) {
		const char *top = image->mapped_layers.items[i];
		bool seen = streq(top, image->layer);
		for (size_t k = 0; k < i && !seen; k++)
			seen = streq(top, image->mapped_layers.items[k]);
		if (!seen)
			walk_layers(check, item, top);
	}
}

static void check_container(struct check *check, struct checked *item)
{
	const cst_container *container = item->record;
	struct checked *layer = inventory_get(&check->now, CST_KIND_LAYER, container->layer);
	struct checked *image = inventory_get(&check->now, CST_KIND_IMAGE, container->image);
	if (layer)
		layer->referenced = true;
	else if (!check_wants(check, CST_CHECK_MOUNTS))
		findings_add(&item->found, CST_FINDING_LAYER_MISSING, &item->about, NULL,
		             str_printf("its layer %s is in no store", container->layer),
		             strdup(""));
	if (*container->image && !image) {
		struct subject missing = {.kind = CST_KIND_IMAGE, .id = container->image};
		findings_add(&item->found, CST_FINDING_IMAGE_MISSING, &item->about, &missing,
		             str_printf("its image %s is in no store", container->image),
		             strdup("image missing"));
	}
	if (image)
		findings_copy(&item->found, &image->found, &item->about);
}

/* The Go command counts a container's own layer only, ours what it is built on, too. */
static void reference_ancestors(struct check *check)
{
	for (size_t i = 0; i < check->now.n_items; i++) {
		const struct checked *item = &check->now.items[i];
		size_t left = check->now.n_items;
		for (; item && item->about.kind == CST_KIND_LAYER && item->referenced &&
		       left-- > 0;) {
			struct checked *parent =
			        inventory_get(&check->now, CST_KIND_LAYER,
			                      ((const cst_layer *)item->record)->parent);
			if (parent && parent->referenced)
				break;
			if (parent)
				parent->referenced = true;
			item = parent;
		}
	}
}

static void check_references(struct check *check)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < check->now.n_items; i++) {
		struct checked *item = &check->now.items[i];
		const cst_layer *layer = item->record;
		if (item->about.kind != CST_KIND_LAYER || item->referenced ||
		    item->about.read_only ||
		    !age_exceeds(&layer->created, &now, check->options.unreferenced_age))
			continue;
		findings_add(&item->found, CST_FINDING_UNREFERENCED, &item->about, NULL,
		             strdup("no image and no container is built on it"),
		             strdup("layer not referenced by any images or containers"));
	}
}

/* What a container wrote stays, whatever became of the record. */
static bool is_layer_of_container(const struct check *check, const char *id)
{
	for (size_t i = 0; i < check->now.n_items; i++) {
		const struct checked *item = &check->now.items[i];
		if (item->about.kind == CST_KIND_CONTAINER &&
		    streq(((const cst_container *)item->record)->layer, id))
			return true;
	}
	return false;
}

/* The lock keeps layers from coming and going between the two lists. */
static int check_driver(struct check *check, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_strv_ struct strv ids = {0};
	cst_store *store = check->store;
	_cleanup_free_ char *unseen = NULL;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r == 0 &&
	    !store->as_upstream) /* unreadable: others will tell, whose records they are */
		(void)unseen_records(store, CST_KIND_LAYER, &unseen, NULL);
	if (r == 0)
		r = store->driver->ops->list(store->driver, &ids, error);
	if (r < 0)
		return r;
	strv_foreach (id, &ids) {
		bool known = store->as_upstream
		                     ? record_set_get(store->sets.layers.table, id) != NULL
		                     : record_set_knows(store->sets.layers.table, id);
		if (known || is_layer_of_container(check, id) || strstr(strempty(unseen), id))
			continue;
		struct subject about = layer_subject(id);
		findings_add(check->findings, CST_FINDING_NO_RECORD, &about, NULL,
		             strdup("the storage driver has it, but no record knows it"),
		             strdup("layer in lower level storage driver not accounted for"));
	}
	return 0;
}

static int check_unusable(struct check *check, cst_error **error)
{
	int r = 0;
	for (enum cst_kind kind = CST_KIND_LAYER; r == 0 && kind <= CST_KIND_CONTAINER; kind++) {
		_cleanup_hold_ struct hold hold = {0};
		struct subject about = {.kind = kind};
		const char *why;
		r = hold_read(check->store, kind, &hold, error);
		for (size_t i = 0; r == 0 && record_set_unusable(set_of(check->store, kind)->table,
		                                                 i, &about.id, &why);
		     i++)
			findings_add(
			        check->findings, CST_FINDING_RECORD, &about, NULL,
			        str_printf("its record cannot be used, and is kept as it is: %s",
			                   why),
			        strdup(""));
	}
	return r;
}

int check_records(struct check *check, cst_error **error)
{
	check_parents(check);
	for (size_t i = 0; i < check->now.n_items;
	     i++) { /* containers have what images have, which come first */
		struct checked *item = &check->now.items[i];
		if (item->about.kind == CST_KIND_IMAGE)
			check_image(check, item);
		else if (item->about.kind == CST_KIND_CONTAINER)
			check_container(check, item);
	}
	if (!check_wants(check, CST_CHECK_MOUNTS))
		reference_ancestors(check);
	check_references(check);
	for (size_t i = 0; i < check->now.n_items; i++)
		findings_copy(check->findings, &check->now.items[i].found, NULL);
	int r = check_driver(check, error);
	if (r == 0 && !check_wants(check, CST_CHECK_MOUNTS))
		r = check_unusable(check, error);
	return r == 0 && check->findings->failed ? error_oom(error) : r;
}
