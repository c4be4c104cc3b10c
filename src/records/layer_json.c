/* SPDX-License-Identifier: Apache-2.0 */
/* A layer in layers.json (docs/format/store.md, "Layer"). */
#include "records/record_fields.h"
#include "records/table.h"

#define FIELD(name, read, field) MEMBER(name, read, cst_layer, field)

static const struct member members[] = {
        FIELD("id", read_text, id),
        FIELD("names", read_strings, names),
        FIELD("parent", read_text, parent),
        FIELD("metadata", read_text, metadata),
        FIELD("mountlabel", read_text, mount_label),
        FIELD("created", read_time, created),
        FIELD("compressed-diff-digest", read_text, compressed_digest),
        FIELD("compressed-size", read_int64, compressed_size),
        FIELD("diff-digest", read_text, diff_digest),
        FIELD("toc-digest", read_text, toc_digest),
        FIELD("diff-size", read_int64, diff_size),
        FIELD("compression", read_int64, compression),
        FIELD("uidset", read_uint32s, uids),
        FIELD("gidset", read_uint32s, gids),
        FIELD("flags", read_flags, flags),
        FIELD("uidmap", read_idranges, uid_map),
        FIELD("gidmap", read_idranges, gid_map),
        FIELD("big-data-names", read_strings, data_names),
};

static bool is_wanted(size_t offset, unsigned fields)
{
	switch (offset) {
	case offsetof(cst_layer, id): return true;
	case offsetof(cst_layer, names): return fields & CST_LAYER_FIELD_NAMES;
	case offsetof(cst_layer, parent): return fields & CST_LAYER_FIELD_PARENT;
	case offsetof(cst_layer, created): return fields & CST_LAYER_FIELD_CREATED;
	case offsetof(cst_layer, diff_digest):
	case offsetof(cst_layer, toc_digest):
	case offsetof(cst_layer, diff_size): return fields & CST_LAYER_FIELD_DIFF;
	default: return false;
	}
}

uint32_t layer_members_without(unsigned fields)
{
	uint32_t unwanted = UINT32_MAX;
	for (unsigned i = 0; i < ARRAY_SIZE(members); i++)
		unwanted &= ~((uint32_t)is_wanted(members[i].offset, fields) << i);
	return unwanted;
}

void layer_read(struct record_reader *r, cst_layer *ret)
{
	*ret = (cst_layer){.id = "",
	                   .parent = "",
	                   .metadata = "",
	                   .mount_label = "",
	                   .compressed_digest = "",
	                   .diff_digest = "",
	                   .toc_digest = "",
	                   .mount_point = "",
	                   .created = TIMESTAMP_ZERO};
	record_read(r, members, ARRAY_SIZE(members), ret, &ret->unknown);
	ret->incomplete = flags_get_bool(&ret->flags, "incomplete");
}

void layer_write(struct json_writer *w, const cst_layer *layer)
{
	json_object_open(w);
	put_text(w, "id", layer->id);
	put_strings_optional(w, "names", &layer->names);
	put_text_optional(w, "parent", layer->parent);
	put_text_optional(w, "metadata", layer->metadata);
	put_text_optional(w, "mountlabel", layer->mount_label);
	put_time(w, "created", &layer->created);
	put_text_optional(w, "compressed-diff-digest", layer->compressed_digest);
	put_int64_optional(w, "compressed-size", layer->compressed_size);
	put_text_optional(w, "diff-digest", layer->diff_digest);
	put_text_optional(w, "toc-digest", layer->toc_digest);
	put_int64_optional(w, "diff-size", layer->diff_size);
	put_int64_optional(w, "compression", layer->compression);
	put_uint32s_optional(w, "uidset", &layer->uids);
	put_uint32s_optional(w, "gidset", &layer->gids);
	put_flags_optional(w, &layer->flags);
	put_idranges_optional(w, "uidmap", &layer->uid_map);
	put_idranges_optional(w, "gidmap", &layer->gid_map);
	put_strings_optional(w, "big-data-names", &layer->data_names);
	put_unknown(w, &layer->unknown);
	json_object_close(w);
}
