/* SPDX-License-Identifier: Apache-2.0 */
/* An image in images.json (docs/format/store.md, "Image"). */
#include "base/digest.h"
#include "records/record_fields.h"

struct image_fields {
	cst_image image;
	struct data_fields data;
};

#define FIELD(name, read, field) MEMBER(name, read, struct image_fields, field)

static const struct member members[] = {
        FIELD("id", read_text, image.id),
        FIELD("digest", read_text, image.digest),
        FIELD("names", read_strings, image.names),
        FIELD("names-history", read_strings, image.names_history),
        FIELD("layer", read_text, image.layer),
        FIELD("mapped-layers", read_strings, image.mapped_layers),
        FIELD("metadata", read_text, image.metadata),
        FIELD("big-data-names", read_strings, data.names),
        FIELD("big-data-sizes", read_sizes, data.sizes),
        FIELD("big-data-digests", read_digests, data.digests),
        FIELD("created", read_time, image.created),
        FIELD("flags", read_flags, image.flags),
};

void image_read(struct record_reader *r, cst_image *ret)
{
	struct image_fields fields = {.image = {.id = "",
	                                        .digest = "",
	                                        .layer = "",
	                                        .metadata = "",
	                                        .created = TIMESTAMP_ZERO}};
	record_read(r, members, ARRAY_SIZE(members), &fields, &fields.image.unknown);
	const char *invalid = NULL;
	if (json_ok(r->json) && data_items_build(r->arena, &fields.data, &fields.image.data) &&
	    image_index_digests(r->arena, &fields.image, &invalid) && invalid)
		r->bad = "invalid checksum digest format";
	*ret = fields.image;
}

/* The digests of all items whose key starts with "manifest" find the image. */
static bool is_manifest(const struct data_item *item)
{
	return has_prefix(item->name, "manifest") && !isempty(item->digest);
}

/* An image without a digest has that of `manifest`, else of the smallest such key. */
static const char *default_digest(const struct data_items *items)
{
	const struct data_item *best = NULL;
	for (size_t i = 0; i < items->len; i++) {
		const struct data_item *item = &items->items[i];
		if (is_manifest(item) && (!best || strcmp(item->name, best->name) < 0))
			best = item;
	}
	return best ? best->digest : "";
}

static bool contains(const char **items, size_t n, const char *digest)
{
	for (size_t i = 0; i < n; i++) {
		if (streq(items[i], digest))
			return true;
	}
	return false;
}

bool image_index_digests(struct arena *arena, cst_image *image, const char **invalid)
{
	const char **digests = arena_alloc(arena, (image->data.len + 1) * sizeof(*digests));
	if (!digests)
		return false;
	if (isempty(image->digest))
		image->digest = default_digest(&image->data);
	size_t n = 0;
	if (!isempty(image->digest))
		digests[n++] = image->digest;
	for (size_t i = 0; i < image->data.len; i++) {
		const struct data_item *item = &image->data.items[i];
		if (is_manifest(item) && !contains(digests, n, item->digest))
			digests[n++] = item->digest;
	}
	for (size_t i = 0; i < n && invalid; i++) {
		if (digest_validate(digests[i], NULL) < 0)
			*invalid = digests[i];
	}
	image->digests = (struct strings){.items = digests, .len = n};
	return true;
}

void image_write(struct json_writer *w, const cst_image *image)
{
	json_object_open(w);
	put_text(w, "id", image->id);
	put_text_optional(w, "digest", image->digest);
	put_strings_optional(w, "names", &image->names);
	put_strings_optional(w, "names-history", &image->names_history);
	put_text_optional(w, "layer", image->layer);
	put_strings_optional(w, "mapped-layers", &image->mapped_layers);
	put_text_optional(w, "metadata", image->metadata);
	put_data_optional(w, &image->data);
	put_time(w, "created", &image->created);
	put_flags_optional(w, &image->flags);
	put_unknown(w, &image->unknown);
	json_object_close(w);
}
