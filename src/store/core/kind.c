/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds, and access to the members of a record by kind. */
#include "store/core/kind.h"
#include "base/error.h"
#include "base/str.h"

static const struct kind kinds[KINDS] = {
        {
                .id = CST_KIND_LAYER,
                .name = "layer",
                .files = "layers",
                .journal = "layers.intent",
                .unknown = CST_ELAYER_UNKNOWN,
                .not_one = CST_ENOT_A_LAYER,
                .no_item_words = "locating item named \"%s\" for layer with ID \"%s\"",
                .in_driver = true,
                .size = sizeof(cst_layer),
                .names = offsetof(cst_layer, names),
                .metadata = offsetof(cst_layer, metadata),
                .data_names = offsetof(cst_layer, data_names),
        },
        {
                .id = CST_KIND_IMAGE,
                .name = "image",
                .files = "images",
                .journal = "images.intent",
                .unknown = CST_EIMAGE_UNKNOWN,
                .not_one = CST_ENOT_AN_IMAGE,
                .unknown_words = "locating image with ID \"%s\"",
                .no_item_words = "locating item named \"%s\" for image with ID \"%s\" "
                                 "(consider removing the image to resolve the issue)",
                .has_private_directories = true,
                .hides = true,
                .first_manifest_names_it = true,
                .size = sizeof(cst_image),
                .names = offsetof(cst_image, names),
                .metadata = offsetof(cst_image, metadata),
                .names_history = offsetof(cst_image, names_history),
                .data = offsetof(cst_image, data),
        },
        {
                .id = CST_KIND_CONTAINER,
                .name = "container",
                .files = "containers",
                .journal = "containers.intent",
                .unknown = CST_ECONTAINER_UNKNOWN,
                .not_one = CST_ENOT_A_CONTAINER,
                .has_private_directories = true,
                .size = sizeof(cst_container),
                .names = offsetof(cst_container, names),
                .metadata = offsetof(cst_container, metadata),
                .data = offsetof(cst_container, data),
        },
};

const struct kind *kind_of(enum cst_kind id)
{
	return id >= CST_KIND_LAYER && id < CST_KIND_LAYER + KINDS ? &kinds[id - CST_KIND_LAYER]
	                                                           : NULL;
}

const struct kind *kind_named(const char *name)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (streq(kinds[i].name, name))
			return &kinds[i];
	}
	return NULL;
}

int kind_check(enum cst_kind id, cst_error **error)
{
	return kind_of(id) ? 0 : error_set(error, CST_EINVAL, "unknown kind of item: %d", (int)id);
}

int kind_unknown(enum cst_kind id, const char *item, cst_error **error)
{
	const struct kind *kind = kind_of(id);
	int r = error_about(error, kind->unknown, item);
	return kind->unknown_words ? error_go_prefix(error, r, kind->unknown_words, item) : r;
}

const char *record_id(const void *record)
{
	return *(const char *const *)record; /* every record begins with it */
}

void *record_member(void *record, size_t offset)
{
	return offset ? (char *)record + offset : NULL;
}

const void *record_const_member(const void *record, size_t offset)
{
	return offset ? (const char *)record + offset : NULL;
}

struct data_items record_data(const struct kind *kind, const void *record)
{
	const struct data_items *items = record_const_member(record, kind->data);
	return items ? *items : (struct data_items){0};
}

struct strings record_data_names(const struct kind *kind, const void *record)
{
	const struct strings *names = record_const_member(record, kind->data_names);
	struct data_items items = record_data(kind, record);
	return names ? *names : (struct strings){.items = items.names, .len = items.len};
}
