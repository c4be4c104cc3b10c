/* SPDX-License-Identifier: Apache-2.0 */
/* What is different about the table of images. */
#include "records/record_base.h"

static void read_image(struct record_reader *r, void *record)
{
	image_read(r, record);
}

static bool copy_image(struct arena *arena, const void *from, void *to)
{
	return image_copy(arena, from, to);
}

static void write_image(struct json_writer *w, const void *record)
{
	image_write(w, record);
}

static bool settle_image(struct record_set *set, struct arena *arena, void *record, const void *old,
                         unsigned file)
{
	cst_image *image = record;
	image->read_only = set->read_only;
	return image_index_digests(arena, image, NULL);
}

static bool visit_all(const struct strings *texts, enum record_key key,
                      const struct key_visitor *visitor)
{
	bool goes_on = true;
	for (size_t i = 0; goes_on && i < texts->len; i++)
		goes_on = visitor->visit(visitor->userdata, key, texts->items[i]);
	return goes_on;
}

static bool image_keys(const void *record, const struct key_visitor *visitor)
{
	const cst_image *image = record;
	return (!*image->layer || visitor->visit(visitor->userdata, KEY_LAYER, image->layer)) &&
	       visit_all(&image->mapped_layers, KEY_MAPPED, visitor) &&
	       visit_all(&image->digests, KEY_DIGEST, visitor);
}

static const struct record_kind image_kind = {
        .what = "image",
        .size = sizeof(cst_image),
        .names = offsetof(cst_image, names),
        .last_wins = true,
        .duplicate_names = CST_EDUPLICATE_IMAGE_NAMES,
        .read = read_image,
        .copy = copy_image,
        .write = write_image,
        .settle = settle_image,
        .keys = image_keys,
};

static bool uses_layer(const cst_image *image, enum image_use use, const char *layer)
{
	if (use == IMAGE_TOP_LAYER)
		return streq(image->layer, layer);
	for (size_t i = 0; i < image->mapped_layers.len; i++) {
		if (streq(image->mapped_layers.items[i], layer))
			return true;
	}
	return false;
}

const cst_image *image_table_by_layer(const struct record_set *images, enum image_use use,
                                      const char *layer, const cst_image *previous)
{
	const enum record_key key = use == IMAGE_TOP_LAYER ? KEY_LAYER : KEY_MAPPED;
	struct slot *slot, *before = previous ? record_set_slot(images, previous->id) : NULL;
	if (isempty(layer) || (previous && !before))
		return NULL;
	if (record_base_find(images, key, layer, before, &slot))
		return slot ? slot->record : NULL;
	bool passed = !previous;
	for (size_t i = 0; i < record_set_size(images); i++) {
		const cst_image *image = image_table_at(images, i);
		if (passed && uses_layer(image, use, layer))
			return image;
		passed |= previous && streq(image->id, previous->id);
	}
	return NULL;
}

int image_table_new(const char *dir, bool read_only, struct record_set **ret, cst_error **error)
{
	struct record_set *set = record_set_new(&image_kind, sizeof(*set), read_only);
	if (!set)
		return error_oom(error);
	int r = record_set_add_file(set, dir, "images.json", false, error);
	if (r < 0)
		record_set_free(set);
	else
		*ret = set;
	return r;
}
