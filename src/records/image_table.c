/* SPDX-License-Identifier: Apache-2.0 */
#include "records/record_set.h"
#include "records/table.h"

struct image_table {
	struct record_set set;
};

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

int image_table_new(const char *dir, bool read_only, struct image_table **ret, cst_error **error)
{
	struct image_table *t = new0(struct image_table, 1);
	if (!t)
		return error_oom(error);
	int r = record_set_init(&t->set, &image_kind, read_only, error);
	if (r < 0) {
		free(t);
		return r;
	}
	r = record_set_add_file(&t->set, dir, "images.json", false, error);
	if (r < 0) {
		image_table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void image_table_free(struct image_table *t)
{
	if (!t)
		return;
	record_set_free(&t->set);
	free(t);
}

int image_table_stale(struct image_table *t, const struct lock_token *token, bool *ret,
                      cst_error **error)
{
	return record_set_stale(&t->set, token, ret, error);
}

int image_table_open(struct image_table *t, const struct lock_token *token, cst_error **error)
{
	return record_set_open(&t->set, token, error);
}

int image_table_parse(struct image_table *t, bool *repair, cst_error **error)
{
	return record_set_parse(&t->set, repair, error);
}

void image_table_mark_stale(struct image_table *t)
{
	t->set.stale = true;
}

size_t image_table_size(const struct image_table *t)
{
	return record_set_size(&t->set);
}

const cst_image *image_table_at(const struct image_table *t, size_t i)
{
	return record_set_at(&t->set, i);
}

const cst_image *image_table_get(const struct image_table *t, const char *id)
{
	return record_set_get(&t->set, id);
}

const cst_image *image_table_by_name(const struct image_table *t, const char *name)
{
	return record_set_by_name(&t->set, name);
}

const cst_image *image_table_find(const struct image_table *t, const char *id)
{
	const cst_image *image = image_table_get(t, id);
	if (!image)
		image = image_table_by_name(t, id);
	return image ? image : record_set_by_prefix(&t->set, id);
}

static bool has_digest(const cst_image *image, const char *digest)
{
	for (size_t i = 0; i < image->digests.len; i++) {
		if (streq(image->digests.items[i], digest))
			return true;
	}
	return false;
}

const cst_image *image_table_next_by_digest(const struct image_table *t, const char *digest,
                                            size_t *cursor)
{
	const cst_image *image;
	while ((image = image_table_at(t, *cursor))) {
		(*cursor)++;
		if (has_digest(image, digest))
			return image;
	}
	return NULL;
}

bool image_table_add(struct image_table *t, const cst_image *image)
{
	return record_set_add(&t->set, image, 0);
}

bool image_table_replace(struct image_table *t, const cst_image *image)
{
	return record_set_replace(&t->set, image, true);
}

bool image_table_remove(struct image_table *t, const char *id)
{
	return record_set_remove(&t->set, id);
}

bool image_table_dirty(const struct image_table *t)
{
	return record_set_dirty(&t->set);
}

int image_table_save(struct image_table *t, struct lockfile *lock, cst_error **error)
{
	return record_set_save(&t->set, lock, error);
}
