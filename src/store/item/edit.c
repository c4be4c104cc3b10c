/* SPDX-License-Identifier: Apache-2.0 */
#include "store/item/edit.h"
#include "store/image/image.h"

/* Each returns 1 if there is no such item. */

static int edit_layer(cst_store *store, const char *id, const struct record_edit *edit, void *arg,
                      cst_error **error)
{
	struct record_set *table = NULL;
	_cleanup_layers_write_ cst_store *layers = NULL;
	int r = layers_write(store, &layers, error);
	if (r < 0)
		return r;
	table = store->layers.table;
	const cst_layer *layer = layer_table_find(table, id);
	if (!layer)
		return 1;
	cst_layer edited = *layer;
	r = edit->layer(&edited, arg, error);
	if (r < 0)
		return r;
	return record_set_replace(table, &edited) ? layers_save(store, error) : error_oom(error);
}

static int edit_image(cst_store *store, const char *id, const struct record_edit *edit, void *arg,
                      cst_error **error)
{
	struct record_set *table = store->images.table;
	_cleanup_images_write_ cst_store *images = NULL;
	int r = images_write(store, &images, error);
	if (r < 0)
		return r;
	const cst_image *image = image_table_find(table, id);
	if (!image)
		return 1;
	cst_image edited = *image;
	r = edit->image(&edited, arg, error);
	if (r < 0)
		return r;
	return record_set_replace(table, &edited)
	               ? record_set_save(table, store->images.set.lock, error)
	               : error_oom(error);
}

static int edit_container(cst_store *store, const char *id, const struct record_edit *edit,
                          void *arg, cst_error **error)
{
	struct record_set *table = store->containers.table;
	_cleanup_containers_write_ cst_store *containers = NULL;
	int r = containers_write(store, &containers, error);
	if (r < 0)
		return r;
	const cst_container *container = container_table_find(table, id);
	if (!container)
		return 1;
	cst_container edited = *container;
	r = edit->container(&edited, arg, error);
	if (r < 0)
		return r;
	return record_set_replace(table, &edited)
	               ? record_set_save(table, store->containers.set.lock, error)
	               : error_oom(error);
}

/* Another process that copied the image first left it to be edited like any other. */
static int copy_up(cst_store *store, const char *id, const struct record_edit *edit, void *arg,
                   cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = image_copy_up(store, id, edit, arg, &problem);
	if (r == CST_EDUPLICATE_ID)
		return edit_image(store, id, edit, arg, error);
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : r;
}

int edit_record(cst_store *store, const char *id, const struct record_edit *edit, void *arg,
                int unknown, cst_error **error)
{
	int r = edit->layer ? edit_layer(store, id, edit, arg, error) : 1;
	if (r == 1 && edit->image) {
		r = edit_image(store, id, edit, arg, error);
		if (r == 1 && store->n_additional && edit->copy_up)
			r = copy_up(store, id, edit, arg, error);
	}
	if (r == 1 && edit->container)
		r = edit_container(store, id, edit, arg, error);
	return r == 1 ? error_code(error, unknown) : r;
}
