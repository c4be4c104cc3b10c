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
