/* SPDX-License-Identifier: Apache-2.0 */
/* An image of an additional store that is about to be changed: its record and data come into this
 * store first. */
#include "store/image.h"

DEFINE_CLEANUP(cst_image *, cst_image_free)

struct copied_items {
	cst_data_item *items;
	size_t len;
};

static void copied_items_free(struct copied_items *copied)
{
	for (size_t i = 0; i < copied->len; i++)
		free((void *)copied->items[i].data);
	free(copied->items);
}

static int find_foreign(cst_store *store, const char *id, cst_image **ret, cst_error **error)
{
	_cleanup_images_read_ cst_store *images = NULL;
	struct image_source source;
	int r = images_read(store, &images, error);
	if (r < 0)
		return r;
	const cst_image *image = image_find(store, id, &source);
	if (!image || !source.foreign)
		return 1;
	*ret = image_dup(image);
	return *ret ? 0 : error_oom(error);
}

static int read_items(cst_store *store, const cst_image *image, struct copied_items *ret,
                      cst_error **error)
{
	ret->items = new0(cst_data_item, image->data.len + 1);
	if (!ret->items)
		return error_oom(error);
	for (size_t i = 0; i < image->data.len; i++) {
		const struct data_item *item = &image->data.items[i];
		void *data = NULL;
		size_t size = 0;
		int r = cst_data_get(store, CST_KIND_IMAGE, image->id, item->name, &data, &size,
		                     error);
		if (r < 0)
			return r;
		ret->items[ret->len++] =
		        (cst_data_item){.key = item->name,
		                        .data = data,
		                        .data_size = size,
		                        .digest = isempty(item->digest) ? NULL : item->digest};
	}
	return 0;
}

int image_copy_up(cst_store *store, const char *id, cst_error **error)
{
	_cleanup_(cst_image_freep) cst_image *image = NULL;
	_cleanup_(copied_items_free) struct copied_items copied = {0};
	_cleanup_error_ cst_error *problem = NULL;
	int r = find_foreign(store, id, &image, error);
	if (r != 0)
		return r;
	r = read_items(store, image, &copied, error);
	if (r < 0)
		return r;
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	options.id = image->id;
	options.layer = image->layer;
	options.names = image->names.items;
	options.n_names = image->names.len;
	options.metadata = image->metadata;
	options.digest = image->digest;
	options.has_created = true;
	options.created = image->created.sec;
	options.created_nanoseconds = image->created.nsec;
	options.data = copied.items;
	options.n_data = copied.len;
	r = cst_image_create(store, &options, NULL, &problem);
	if (r < 0 && r != CST_EDUPLICATE_ID) /* which is another process being faster */
		return error_propagate(error, steal_ptr(&problem));
	return COPIED_UP;
}
