/* SPDX-License-Identifier: Apache-2.0 */
/* Deep copies of records into an arena. */
#include "records/record.h"

static const char *copy_text(struct arena *arena, const char *text)
{
	return isempty(text) ? "" : arena_strdup(arena, text);
}

static const void *copy_array(struct arena *arena, const void *items, size_t n, size_t element)
{
	void *copy = n ? arena_alloc(arena, n * element) : NULL;
	if (copy)
		memcpy(copy, items, n * element);
	return copy;
}

static struct strings copy_strings(struct arena *arena, const struct strings *from)
{
	const char **items = from->len ? arena_alloc(arena, from->len * sizeof(*items)) : NULL;
	for (size_t i = 0; items && i < from->len; i++)
		items[i] = copy_text(arena, from->items[i]);
	return (struct strings){.items = items, .len = from->len};
}

static struct raw_members copy_members(struct arena *arena, const struct raw_members *from)
{
	struct raw_member *items =
	        from->len ? arena_alloc(arena, from->len * sizeof(*items)) : NULL;
	for (size_t i = 0; items && i < from->len; i++) {
		const struct raw_member *member = &from->items[i];
		items[i] =
		        (struct raw_member){.key = copy_text(arena, member->key),
		                            .json = arena_strndup(arena, member->json, member->len),
		                            .len = member->len};
	}
	return (struct raw_members){.items = items, .len = from->len};
}

static struct data_items copy_data(struct arena *arena, const struct data_items *from)
{
	struct data_item *items = from->len ? arena_alloc(arena, from->len * sizeof(*items)) : NULL;
	const char **names = from->len ? arena_alloc(arena, from->len * sizeof(*names)) : NULL;
	for (size_t i = 0; items && names && i < from->len; i++) {
		const struct data_item *item = &from->items[i];
		names[i] = copy_text(arena, item->name);
		items[i] = (struct data_item){.name = names[i],
		                              .size = item->size,
		                              .digest = copy_text(arena, item->digest)};
	}
	return (struct data_items){.items = items, .len = from->len, .names = names};
}

static struct uint32s copy_uint32s(struct arena *arena, const struct uint32s *from)
{
	return (struct uint32s){.items =
	                                copy_array(arena, from->items, from->len, sizeof(uint32_t)),
	                        .len = from->len};
}

static struct idranges copy_idranges(struct arena *arena, const struct idranges *from)
{
	return (struct idranges){
	        .items = copy_array(arena, from->items, from->len, sizeof(cst_idmap)),
	        .len = from->len};
}

bool layer_copy(struct arena *arena, const cst_layer *from, cst_layer *to)
{
	cst_layer copy = *from;
	copy.id = copy_text(arena, from->id);
	copy.names = copy_strings(arena, &from->names);
	copy.parent = copy_text(arena, from->parent);
	copy.metadata = copy_text(arena, from->metadata);
	copy.mount_label = copy_text(arena, from->mount_label);
	copy.compressed_digest = copy_text(arena, from->compressed_digest);
	copy.diff_digest = copy_text(arena, from->diff_digest);
	copy.toc_digest = copy_text(arena, from->toc_digest);
	copy.uids = copy_uint32s(arena, &from->uids);
	copy.gids = copy_uint32s(arena, &from->gids);
	copy.flags = copy_members(arena, &from->flags);
	copy.uid_map = copy_idranges(arena, &from->uid_map);
	copy.gid_map = copy_idranges(arena, &from->gid_map);
	copy.data_names = copy_strings(arena, &from->data_names);
	copy.unknown = copy_members(arena, &from->unknown);
	copy.mount_point = copy_text(arena, from->mount_point);
	copy.incomplete = flags_get_bool(&from->flags, "incomplete");
	if (arena->failed)
		return false;
	*to = copy;
	return true;
}

bool image_copy(struct arena *arena, const cst_image *from, cst_image *to)
{
	cst_image copy = *from;
	copy.id = copy_text(arena, from->id);
	copy.digest = copy_text(arena, from->digest);
	copy.names = copy_strings(arena, &from->names);
	copy.names_history = copy_strings(arena, &from->names_history);
	copy.layer = copy_text(arena, from->layer);
	copy.mapped_layers = copy_strings(arena, &from->mapped_layers);
	copy.metadata = copy_text(arena, from->metadata);
	copy.data = copy_data(arena, &from->data);
	copy.flags = copy_members(arena, &from->flags);
	copy.unknown = copy_members(arena, &from->unknown);
	copy.digests = copy_strings(arena, &from->digests);
	if (arena->failed)
		return false;
	*to = copy;
	return true;
}

bool container_copy(struct arena *arena, const cst_container *from, cst_container *to)
{
	cst_container copy = *from;
	copy.id = copy_text(arena, from->id);
	copy.names = copy_strings(arena, &from->names);
	copy.image = copy_text(arena, from->image);
	copy.layer = copy_text(arena, from->layer);
	copy.metadata = copy_text(arena, from->metadata);
	copy.data = copy_data(arena, &from->data);
	copy.uid_map = copy_idranges(arena, &from->uid_map);
	copy.gid_map = copy_idranges(arena, &from->gid_map);
	copy.flags = copy_members(arena, &from->flags);
	copy.unknown = copy_members(arena, &from->unknown);
	copy.mount_label = strempty(flags_get_string(arena, &from->flags, "MountLabel"));
	copy.process_label = strempty(flags_get_string(arena, &from->flags, "ProcessLabel"));
	copy.mount_options = flags_get_strings(arena, &from->flags, "MountOpts");
	if (arena->failed)
		return false;
	*to = copy;
	return true;
}
