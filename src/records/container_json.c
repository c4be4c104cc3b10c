/* SPDX-License-Identifier: Apache-2.0 */
/* A container in containers.json (docs/format/store.md, "Container"). */
#include "records/record_fields.h"

struct container_fields {
	cst_container container;
	struct data_fields data;
};

#define FIELD(name, read, field) MEMBER(name, read, struct container_fields, field)

static const struct member members[] = {
        FIELD("id", read_text, container.id),
        FIELD("names", read_strings, container.names),
        FIELD("image", read_text, container.image),
        FIELD("layer", read_text, container.layer),
        FIELD("metadata", read_text, container.metadata),
        FIELD("big-data-names", read_strings, data.names),
        FIELD("big-data-sizes", read_sizes, data.sizes),
        FIELD("big-data-digests", read_digests, data.digests),
        FIELD("created", read_time, container.created),
        FIELD("uidmap", read_idranges, container.uid_map),
        FIELD("gidmap", read_idranges, container.gid_map),
        FIELD("flags", read_flags, container.flags),
};

void container_read(struct record_reader *r, cst_container *ret)
{
	struct container_fields fields = {.container = {.id = "",
	                                                .image = "",
	                                                .layer = "",
	                                                .metadata = "",
	                                                .created = TIMESTAMP_ZERO}};
	record_read(r, members, ARRAY_SIZE(members), &fields, &fields.container.unknown);
	if (json_ok(r->json))
		data_items_build(r->arena, &fields.data, &fields.container.data);
	*ret = fields.container;
	ret->mount_label = strempty(flags_get_string(r->arena, &ret->flags, "MountLabel"));
	ret->process_label = strempty(flags_get_string(r->arena, &ret->flags, "ProcessLabel"));
	ret->mount_options = flags_get_strings(r->arena, &ret->flags, "MountOpts");
}

void container_write(struct json_writer *w, const cst_container *container)
{
	json_object_open(w);
	put_text(w, "id", container->id);
	put_strings_optional(w, "names", &container->names);
	put_text(w, "image", container->image);
	put_text(w, "layer", container->layer);
	put_text_optional(w, "metadata", container->metadata);
	put_data_optional(w, &container->data);
	put_time(w, "created", &container->created);
	put_idranges_optional(w, "uidmap", &container->uid_map);
	put_idranges_optional(w, "gidmap", &container->gid_map);
	put_flags_optional(w, &container->flags);
	put_unknown(w, &container->unknown);
	json_object_close(w);
}
