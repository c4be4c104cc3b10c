/* SPDX-License-Identifier: Apache-2.0 */
#include "records/chain_index.h"
#include "records/table.h"

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

static const struct record_kind container_kind = {
        .what = "container",
        .size = sizeof(cst_container),
        .names = offsetof(cst_container, names),
        .duplicate_names = CST_EDUPLICATE_NAME,
        .read = read_container,
        .copy = copy_container,
        .write = write_container,
        .settle = settle_container,
        .index = container_index,
        .unindex = container_unindex,
        .clear = container_clear,
};

int container_table_new(const char *dir, const char *volatile_dir, bool read_only,
                        struct container_table **ret, cst_error **error)
{
	struct container_table *t = new0(struct container_table, 1);
	if (!t)
		return error_oom(error);
	int r = record_set_init(&t->set, &container_kind, read_only, error);
	if (r < 0) {
		free(t);
		return r;
	}
	r = record_set_add_file(&t->set, dir, "containers.json", false, error);
	if (r == 0)
		r = record_set_add_file(&t->set, volatile_dir, "volatile-containers.json", true,
		                        error);
	if (r < 0) {
		container_table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void container_table_free(struct container_table *t)
{
	if (!t)
		return;
	record_set_free(&t->set);
	free(t);
}

int container_table_stale(struct container_table *t, const struct lock_token *token, bool *ret,
                          cst_error **error)
{
	return record_set_stale(&t->set, token, ret, error);
}

int container_table_open(struct container_table *t, const struct lock_token *token,
                         cst_error **error)
{
	return record_set_open(&t->set, token, error);
}

int container_table_parse(struct container_table *t, bool *repair, cst_error **error)
{
	int r = record_set_parse(&t->set, repair, error);
	for (size_t i = 0; r == 0 && i < t->set.visible.len; i++) {
		if (!container_index(&t->set, t->set.visible.items[i])) {
			record_set_clear(&t->set);
			return error_oom(error);
		}
	}
	return r;
}

void container_table_mark_stale(struct container_table *t)
{
	t->set.stale = true;
}

size_t container_table_size(const struct container_table *t)
{
	return record_set_size(&t->set);
}

const cst_container *container_table_at(const struct container_table *t, size_t i)
{
	return record_set_at(&t->set, i);
}

const cst_container *container_table_get(const struct container_table *t, const char *id)
{
	return record_set_get(&t->set, id);
}

const cst_container *container_table_by_name(const struct container_table *t, const char *name)
{
	return record_set_by_name(&t->set, name);
}

const cst_container *container_table_by_layer(const struct container_table *t, const char *layer_id)
{
	const struct slot *slot = chain_index_first(&t->by_layer, layer_id);
	return slot ? slot->record : NULL;
}

const cst_container *container_table_find(const struct container_table *t, const char *id)
{
	const cst_container *container = container_table_get(t, id);
	if (!container)
		container = container_table_by_name(t, id);
	if (!container)
		container = container_table_by_layer(t, id);
	return container ? container : record_set_by_prefix(&t->set, id);
}

bool container_table_add(struct container_table *t, const cst_container *container)
{
	return record_set_add(&t->set, container, container->file);
}

bool container_table_replace(struct container_table *t, const cst_container *container)
{
	return record_set_replace(&t->set, container, true);
}

bool container_table_remove(struct container_table *t, const char *id)
{
	return record_set_remove(&t->set, id);
}

bool container_table_dirty(const struct container_table *t)
{
	return record_set_dirty(&t->set);
}

int container_table_save(struct container_table *t, struct lockfile *lock, cst_error **error)
{
	return record_set_save(&t->set, lock, error);
}
