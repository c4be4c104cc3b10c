/* SPDX-License-Identifier: Apache-2.0 */
/* Copies an image of an additional store into this one, record and data items, before it is
 * changed. */
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/image/image.h"

DEFINE_CLEANUP(cst_image *, cst_image_free)

void image_base_free(struct image_base *base)
{
	for (size_t i = 0; i < base->n_items; i++)
		free((void *)base->items[i].data);
	free(base->items);
	cst_image_free(base->image);
	*base = (struct image_base){0};
}

static int find_foreign(cst_store *store, const char *id, cst_image **ret, cst_error **error)
{
	_cleanup_hold_ struct hold images = {0};
	struct source source;
	int r = hold_read(store, CST_KIND_IMAGE, &images, error);
	if (r < 0)
		return r;
	const cst_image *image = image_find(store, id, &source);
	if (!image || !source.foreign)
		return 1;
	return image_give(image, ret, error);
}

static int read_items(cst_store *store, struct image_base *base, cst_error **error)
{
	const cst_image *image = base->image;
	base->items = new0(cst_data_item, image->data.len + 1);
	if (!base->items)
		return error_oom(error);
	for (size_t i = 0; i < image->data.len; i++) {
		const struct data_item *item = &image->data.items[i];
		void *data = NULL;
		size_t size = 0;
		int r = cst_store_data(store, CST_KIND_IMAGE, image->id, item->name, &data, &size,
		                       error);
		if (r < 0)
			return r;
		base->items[base->n_items++] =
		        (cst_data_item){.key = item->name,
		                        .data = data,
		                        .data_size = size,
		                        .digest = isempty(item->digest) ? NULL : item->digest};
	}
	return 0;
}

int image_base_read(cst_store *store, const char *id, struct image_base *ret, cst_error **error)
{
	_cleanup_(image_base_free) struct image_base base = {0};
	int r = store->n_additional ? find_foreign(store, id, &base.image, error) : 1;
	if (r == 1 || (r == 0 && !streq(base.image->id, id)))
		return 0;
	if (r == 0)
		r = read_items(store, &base, error);
	if (r < 0)
		return r;
	*ret = base;
	base = (struct image_base){0};
	return 0;
}

int image_copy_up(cst_store *store, const char *id, record_edit edit, void *arg, cst_error **error)
{
	_cleanup_(cst_image_freep) cst_image *image = NULL;
	int r = find_foreign(store, id, &image, error);
	if (r != 0)
		return r;
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	options.id = image->id;
	options.layer = image->layer;
	options.names = image->names.items;
	options.n_names = image->names.len;
	return image_create(store, &options, edit, arg, NULL, error);
}
