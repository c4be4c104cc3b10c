/* SPDX-License-Identifier: Apache-2.0 */
/* Layers, images and containers as they were at one moment. */
#include "store/core/store.h"

DEFINE_CLEANUP(cst_layer_list *, cst_layer_list_free)
DEFINE_CLEANUP(cst_image_list *, cst_image_list_free)
DEFINE_CLEANUP(cst_container_list *, cst_container_list_free)

/* Loads what is stale, each set by itself, so that next to nothing is parsed while all locks are
 * held. */
static int load_ahead(cst_store *store, bool layers, bool images, bool containers,
                      cst_error **error)
{
	cst_store *held = NULL;
	int r = layers ? layers_read(store, &held, error) : 0;
	layers_read_done(&held);
	if (r == 0 && images)
		r = images_read(store, &held, error);
	images_read_done(&held);
	if (r == 0 && containers)
		r = containers_read(store, &held, error);
	containers_read_done(&held);
	return r;
}

int cst_store_snapshot(cst_store *store, cst_layer_list **layers, cst_image_list **images,
                       cst_container_list **containers, cst_error **error)
{
	_cleanup_(cst_layer_list_freep) cst_layer_list *layer_list = NULL;
	_cleanup_(cst_image_list_freep) cst_image_list *image_list = NULL;
	_cleanup_(cst_container_list_freep) cst_container_list *container_list = NULL;
	_cleanup_layers_read_locked_ cst_store *held_layers = NULL;
	_cleanup_images_read_locked_ cst_store *held_images = NULL;
	_cleanup_containers_read_locked_ cst_store *held_containers = NULL;
	int r = load_ahead(store, layers, images, containers, error);
	if (r == 0 && layers)
		r = layers_read_locked(store, &held_layers, error);
	if (r == 0 && images)
		r = images_read_locked(store, &held_images, error);
	if (r == 0 && containers)
		r = containers_read_locked(store, &held_containers, error);
	if (r == 0 && layers)
		r = layers_list(store, &layer_list, error);
	if (r == 0 && images)
		r = images_list(store, &image_list, error);
	if (r == 0 && containers)
		r = containers_list(store, &container_list, error);
	if (r < 0)
		return r;
	if (layers)
		*layers = steal_ptr(&layer_list);
	if (images)
		*images = steal_ptr(&image_list);
	if (containers)
		*containers = steal_ptr(&container_list);
	return 0;
}
