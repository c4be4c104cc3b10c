/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of a set in memory. Each costs a few look-ups, whatever the size of the set; only the save
 * writes all. */
#include "records/record_base.h"

static void mark(struct record_set *set, unsigned file, enum dirt dirt)
{
	set->dirty[file] = MAX(set->dirty[file], dirt);
}

/* Half an edit is in memory: it may neither be used nor saved. */
static bool broken(struct record_set *set)
{
	set->broken = true;
	return false;
}

/* Makes sure that `n` more pieces of memory can be retired without an allocation. */
static bool reserve_retired(struct record_set *set, size_t n)
{
	struct arena *grown = grow_array(set->retired, &set->retired_capacity, set->n_retired + n,
	                                 sizeof(*grown));
	if (grown)
		set->retired = grown;
	return grown;
}

static void retire(struct record_set *set, struct arena *memory)
{
	if (memory->blocks) {
		set->retired[set->n_retired++] = *memory;
		set->edited--;
	} else {
		set->removed++;
	}
	*memory = (struct arena){0};
}

/* A copy in memory of its own, completed by what the kind knows. */
static void *copy_record(struct record_set *set, const void *record, const void *old, unsigned file,
                         struct arena *memory)
{
	void *copy = arena_alloc(memory, set->kind->size);
	if (copy && set->kind->copy(memory, record, copy) &&
	    set->kind->settle(set, memory, copy, old, file))
		return copy;
	arena_clear(memory);
	return NULL;
}

static void unindex_slot(struct record_set *set, struct slot *slot)
{
	const struct strings *names = record_names(set, slot->record);
	if (set->base)
		return; /* its look-ups look at the record */
	for (size_t i = 0; i < names->len; i++) {
		if (hashmap_get(&set->by_name, names->items[i]) == slot)
			hashmap_remove(&set->by_name, names->items[i]);
	}
	if (set->kind->unindex)
		set->kind->unindex(set, slot);
}

static bool take_names(struct record_set *set, struct slot *slot);

static bool index_slot(struct record_set *set, struct slot *slot, bool dirty)
{
	if (set->base && !dirty)
		return true; /* it is still found by the same */
	if (!take_names(set, slot))
		return false;
	if (set->base)
		return record_base_edited(set, slot);
	return !set->kind->index || set->kind->index(set, slot);
}

/* Puts a new record into the slot; the old one's memory is retired. */
static bool swap_record(struct record_set *set, struct slot *slot, void *record,
                        struct arena *memory, bool dirty)
{
	if (slot->record) {
		unindex_slot(set, slot);
		retire(set, &slot->memory);
	}
	slot->record = record;
	slot->memory = *memory;
	set->edited++;
	*memory = (struct arena){0};
	return index_slot(set, slot, dirty);
}

static void filter_name(struct strings *names, const char *name)
{
	const char **items = (const char **)names->items;
	size_t kept = 0;
	for (size_t i = 0; i < names->len; i++) {
		if (!streq(items[i], name))
			items[kept++] = items[i];
	}
	names->len = kept;
}

/* The holder goes on without that name. */
static bool lose_name(struct record_set *set, struct slot *holder, const char *name)
{
	struct arena memory = {0};
	if (!reserve_retired(set, 1))
		return false;
	void *copy = copy_record(set, holder->record, holder->record, holder->file, &memory);
	if (!copy)
		return false;
	filter_name(record_names(set, copy), name);
	mark(set, holder->file, LOST_NAMES);
	return swap_record(set, holder, copy, &memory, true);
}

/* Another slot that has the name. */
static struct slot *other_holder(const struct record_set *set, const char *name,
                                 const struct slot *slot)
{
	struct slot *holder = NULL;
	bool has_base = record_base_find(set, KEY_NAME, name, NULL, &holder);
	if (has_base && holder == slot)
		has_base = record_base_find(set, KEY_NAME, name, slot, &holder);
	if (!has_base)
		holder = hashmap_get(&set->by_name, name);
	return holder == slot ? NULL : holder;
}

/* A name that stands twice is kept once. */
static bool keep_once(struct strings *names)
{
	const char **items = (const char **)names->items; /* of a record that nobody has seen yet */
	_cleanup_hashmap_ struct hashmap seen = {0};
	size_t kept = 0;
	for (size_t i = 0; i < names->len; i++) {
		if (hashmap_contains(&seen, items[i]))
			continue;
		if (!hashmap_put(&seen, items[i], (void *)items))
			return false;
		items[kept++] = items[i];
	}
	names->len = kept;
	return true;
}

static bool take_names(struct record_set *set, struct slot *slot)
{
	struct strings *names = record_names(set, slot->record);
	for (size_t i = 0; i < names->len; i++) {
		struct slot *holder = other_holder(set, names->items[i], slot);
		if (holder && !lose_name(set, holder, names->items[i]))
			return false;
	}
	return set->base ? keep_once(names) : record_index_names(set, slot);
}

static unsigned file_at(const struct record_set *set, size_t i)
{
	if (!set->base)
		return set->visible.items[i]->file;
	return set->visible.items[i] ? record_base_item(set, i).file : RECORD_FILES; /* a hole */
}

/* Where the records of `file` end in the list of all. */
static size_t end_of_file(const struct record_set *set, unsigned file)
{
	size_t at = set->visible.len;
	while (at && file_at(set, at - 1) > file)
		at--;
	return at;
}

/* With a base there are neither lists of the files nor maps. */
static bool add_content(struct record_set *set, struct slot *slot)
{
	struct slots *content = &set->content[slot->file];
	return set->base || record_slots_insert(content, content->len, slot);
}

static bool add_to_maps(struct record_set *set, struct slot *slot)
{
	return set->base || (hashmap_put(&set->by_id, slot->id, slot) &&
	                     prefix_index_add(&set->prefixes, slot->id, slot));
}

static void remove_slot(struct record_set *set, struct slot *slot)
{
	if (set->base) {
		record_base_removed(set, slot);
		return;
	}
	hashmap_remove(&set->by_id, slot->id);
	prefix_index_remove(&set->prefixes, slot->id);
	record_slots_remove(&set->visible, slot);
	record_slots_remove(&set->content[slot->file], slot);
	free(slot);
}

bool record_set_add(struct record_set *set, const void *record)
{
	struct arena memory = {0};
	if (!record_base_prepare(set))
		return false;
	unsigned file = set->kind->file_of ? set->kind->file_of(set, record) : 0;
	const char *id = *(const char *const *)record;
	if (file >= set->n_files || record_set_slot(set, id))
		return false;
	void *copy = copy_record(set, record, NULL, file, &memory);
	struct slot *slot = copy ? record_slot_new(id, file) : NULL;
	if (!slot || set->broken || !add_content(set, slot)) {
		free(slot);
		arena_clear(&memory);
		return false;
	}
	mark(set, file, EDITED);
	slot->place = end_of_file(set, file);
	if (!swap_record(set, slot, copy, &memory, true) || !add_to_maps(set, slot) ||
	    !record_slots_insert(&set->visible, slot->place, slot))
		return broken(set);
	return true;
}

bool record_set_use(struct record_set *set, size_t i, const void *record)
{
	struct arena memory = {0};
	struct slot *slot = record_set_unusable_slot(set, i);
	if (!slot || record_set_slot(set, slot->id))
		return false;
	void *copy = copy_record(set, record, NULL, slot->file, &memory);
	if (!copy)
		return false;
	mark(set, slot->file, EDITED);
	set->unusable--;
	slot->place = end_of_file(set, slot->file);
	if (!swap_record(set, slot, copy, &memory, true) || !add_to_maps(set, slot) ||
	    !record_slots_insert(&set->visible, slot->place, slot))
		return broken(set);
	return true;
}

bool record_set_put(struct record_set *set, const void *record, bool dirty)
{
	struct arena memory = {0};
	if (dirty && !record_base_prepare(set))
		return false;
	struct slot *slot = record_set_slot(set, *(const char *const *)record);
	if (!slot || !reserve_retired(set, 1))
		return false;
	void *copy = copy_record(set, record, slot->record, slot->file, &memory);
	if (!copy)
		return false;
	if (dirty)
		mark(set, slot->file, EDITED);
	return swap_record(set, slot, copy, &memory, dirty) || broken(set);
}

bool record_set_replace(struct record_set *set, const void *record)
{
	return record_set_put(set, record, true);
}

bool record_set_remove(struct record_set *set, const char *id)
{
	if (!record_base_prepare(set))
		return false;
	struct slot *slot = record_set_slot(set, id);
	if (!slot)
		return !set->broken;
	if (!reserve_retired(set, 1))
		return false;
	if (set->kind->removed)
		set->kind->removed(set, slot->record);
	unindex_slot(set, slot);
	mark(set, slot->file, LOST_RECORDS);
	retire(set, &slot->memory);
	remove_slot(set, slot);
	return true;
}
