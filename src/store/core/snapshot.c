/* SPDX-License-Identifier: Apache-2.0 */
/* Layers, images and containers as they were at one moment. */
#include "store/core/hold.h"
#include "store/core/list.h"
#include "store/core/store.h"

DEFINE_CLEANUP(cst_layer_list *, cst_layer_list_free)
DEFINE_CLEANUP(cst_image_list *, cst_image_list_free)
DEFINE_CLEANUP(cst_container_list *, cst_container_list_free)

/* Loads each set by itself first, so that hardly anything is parsed while all locks are held. */
static int load_ahead(cst_store *store, struct hold_modes modes, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		_cleanup_hold_ struct hold held = {0};
		if (modes.of[i] != HOLD_NOT)
			r = hold_read(store, CST_KIND_LAYER + i, &held, error);
	}
	return r;
}

int cst_store_snapshot(cst_store *store, cst_layer_list **layers, cst_image_list **images,
                       cst_container_list **containers, cst_error **error)
{
	_cleanup_(cst_layer_list_freep) cst_layer_list *layer_list = NULL;
	_cleanup_(cst_image_list_freep) cst_image_list *image_list = NULL;
	_cleanup_(cst_container_list_freep) cst_container_list *container_list = NULL;
	_cleanup_hold_ struct hold held = {0};
	const struct hold_modes modes = {
	        .layers = layers ? HOLD_READ_LOCKED : HOLD_NOT,
	        .images = images ? HOLD_READ_LOCKED : HOLD_NOT,
	        .containers = containers ? HOLD_READ_LOCKED : HOLD_NOT,
	};
	int r = load_ahead(store, modes, error);
	if (r == 0)
		r = hold_sets(store, modes, &held, error);
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
