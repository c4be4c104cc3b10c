/* SPDX-License-Identifier: Apache-2.0 */
/* What is different about the table of images. */
#include "records/record_set.h"

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
