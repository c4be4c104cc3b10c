/* SPDX-License-Identifier: Apache-2.0 */
/* What is different about the table of containers: each is found by its layer, too. */
#include "records/chain_index.h"
#include "records/record_base.h"

struct container_table {
	struct record_set set; /* first: the kind's functions get this address */
	struct chain_index by_layer;
};

static void read_container(struct record_reader *r, void *record)
{
	container_read(r, record);
}

static bool copy_container(struct arena *arena, const void *from, void *to)
{
	return container_copy(arena, from, to);
}

static void write_container(struct json_writer *w, const void *record)
{
	container_write(w, record);
}

static bool settle_container(struct record_set *set, struct arena *arena, void *record,
                             const void *old, unsigned file)
{
	((cst_container *)record)->file = (enum container_file)file;
	return true;
}

static bool container_index(struct record_set *set, struct slot *slot)
{
	struct container_table *t = (struct container_table *)set;
	return chain_index_add(&t->by_layer, ((const cst_container *)slot->record)->layer, slot);
}

static void container_unindex(struct record_set *set, struct slot *slot)
{
	struct container_table *t = (struct container_table *)set;
	chain_index_remove(&t->by_layer, ((const cst_container *)slot->record)->layer, slot);
}

static void container_clear(struct record_set *set)
{
	chain_index_clear(&((struct container_table *)set)->by_layer);
}

const cst_container *container_table_by_layer(const struct record_set *containers,
                                              const char *layer_id)
{
	const struct container_table *t = (const struct container_table *)containers;
	struct slot *slot;
	if (!record_base_find(containers, KEY_LAYER, layer_id, NULL, &slot))
		slot = chain_index_first(&t->by_layer, layer_id);
	return slot ? slot->record : NULL;
}

static void *container_find(const struct record_set *set, const char *id)
{
	return (void *)container_table_by_layer(set, id);
}

static unsigned container_file_of(const struct record_set *set, const void *record)
{
	return ((const cst_container *)record)->file;
}

static int container_loaded(struct record_set *set, bool *repair, cst_error **error)
{
	for (size_t i = 0; i < set->visible.len; i++) {
		if (!container_index(set, set->visible.items[i]))
			return error_oom(error);
	}
	return 0;
}

static bool container_keys(const void *record, const struct key_visitor *visitor)
{
	const cst_container *container = record;
	return (!*container->layer ||
	        visitor->visit(visitor->userdata, KEY_LAYER, container->layer)) &&
	       (!*container->image ||
	        visitor->visit(visitor->userdata, KEY_IMAGE, container->image));
}

static const struct record_kind container_kind = {
        .what = "container",
        .size = sizeof(cst_container),
        .names = offsetof(cst_container, names),
        .duplicate_names = CST_EDUPLICATE_NAME,
        .read = read_container,
        .copy = copy_container,
        .write = write_container,
        .settle = settle_container,
        .file_of = container_file_of,
        .find = container_find,
        .loaded = container_loaded,
        .keys = container_keys,
        .index = container_index,
        .unindex = container_unindex,
        .clear = container_clear,
};

int container_table_new(const char *dir, const char *volatile_dir, bool read_only,
                        struct record_set **ret, cst_error **error)
{
	struct record_set *set =
	        record_set_new(&container_kind, sizeof(struct container_table), read_only);
	if (!set)
		return error_oom(error);
	int r = record_set_add_file(set, dir, "containers.json", false, error);
	if (r == 0)
		r = record_set_add_file(set, volatile_dir, "volatile-containers.json", true, error);
	if (r < 0)
		record_set_free(set);
	else
		*ret = set;
	return r;
}
