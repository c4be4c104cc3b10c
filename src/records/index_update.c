/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and places move, and the keys of edited records are replaced; nothing is sorted that was. */
#include "records/index_update.h"
#include "records/record_index.h"

#define NOWHERE UINT32_MAX

struct update {
	struct record_set *set;
	const uint32_t
	        *from; /* for each record its number in the old index; NOWHERE: it was printed */
	const struct index_parts *old;
	struct index_parts *parts;
	uint32_t *now; /* for each old number the new one */
};

/* The keys of records that were printed. */
static bool printed_keys(const struct update *u, struct index_key_list *keys)
{
	bool ok = true;
	for (size_t i = 0; ok && i < u->parts->n_entries; i++) {
		if (u->from[i] == NOWHERE)
			ok = index_keys_add(keys, u->set, record_base_item(u->set, i).slot->record,
			                    (uint32_t)i);
	}
	index_keys_sort(keys);
	return ok;
}

/* The order of the records is the old one, so what remains of the keys is sorted. */
static bool update_keys(const struct update *u)
{
	struct index_key_list printed = {.secret = u->parts->secret};
	for (size_t i = 0; i < u->old->n_entries; i++)
		u->now[i] = NOWHERE;
	for (size_t i = 0; i < u->parts->n_entries; i++) {
		if (u->from[i] != NOWHERE)
			u->now[u->from[i]] = (uint32_t)i;
	}
	bool ok = printed_keys(u, &printed);
	struct index_key *keys =
	        ok ? new0(struct index_key, u->old->n_keys + printed.len + 1) : NULL;
	size_t n = 0, next = 0;
	for (size_t i = 0; keys && i < u->old->n_keys; i++) {
		const struct index_key key = {u->old->keys[i].hash, u->now[u->old->keys[i].number]};
		if (key.number == NOWHERE)
			continue;
		while (next < printed.len && index_keys_compare(&printed.items[next], &key) < 0)
			keys[n++] = printed.items[next++];
		keys[n++] = key;
	}
	while (keys && next < printed.len)
		keys[n++] = printed.items[next++];
	free(printed.items);
	u->parts->keys = keys;
	u->parts->n_keys = n;
	return keys;
}

/* ---- parents ---- */

/* The record of an entry is looked at where it was edited, or what it is built on was. INDEX_ANY_PARENT is never wrong. */
static uint32_t look_for_parent(const struct update *u, size_t i)
{
	const struct base_item item = record_base_item(u->set, i);
	const void *record =
	        item.slot ? item.slot->record : record_base_record(u->set, item.number);
	const char *parent = record ? u->set->kind->parent(record) : NULL;
	if (!parent)
		return INDEX_ANY_PARENT;
	const struct slot *slot = *parent ? record_set_slot(u->set, parent) : NULL;
	if (!*parent)
		return INDEX_NO_PARENT;
	if (!slot)
		return INDEX_ANY_PARENT;
	return slot->number == UINT32_MAX ? (uint32_t)slot->place : u->now[slot->number];
}

/* All have their new numbers. */
static void update_parents(const struct update *u)
{
	for (size_t i = 0; u->set->kind->parent && i < u->parts->n_entries; i++) {
		struct index_entry *entry = &u->parts->entries[i];
		bool kept = u->from[i] != NOWHERE;
		if (kept && entry->parent == INDEX_NO_PARENT)
			continue;
		bool known = kept && entry->parent < u->old->n_entries &&
		             u->now[entry->parent] != NOWHERE;
		entry->parent = known ? u->now[entry->parent] : look_for_parent(u, i);
	}
}

/* ---- places ---- */

/* The place of a new ID. */
struct new_place {
	struct index_place place;
	const char *id;
};

static int compare_new_places(const void *a, const void *b)
{
	return strcmp(((const struct new_place *)a)->id, ((const struct new_place *)b)->id);
}

struct new_places {
	struct new_place *items;
	size_t len, capacity;
};

static bool find_new_places(const struct update *u, struct new_places *ret)
{
	for (size_t i = 0; i < u->parts->n_entries; i++) {
		const struct base_item item = record_base_item(u->set, i);
		if (item.number != UINT32_MAX) {
			u->now[item.number] = (uint32_t)i;
			continue;
		}
		const char *id = item.slot->id;
		item.slot->place = i;
		struct new_place *grown =
		        grow_array(ret->items, &ret->capacity, ret->len + 1, sizeof(*grown));
		if (!grown)
			return false;
		ret->items = grown;
		if (prefix_is_searched(id))
			grown[ret->len++] = (struct new_place){
			        .place = {.head = prefix_head(id), .number = (uint32_t)i},
			        .id = id};
	}
	if (ret->len)
		qsort(ret->items, ret->len, sizeof(*ret->items), compare_new_places);
	return true;
}

/* Only of IDs that begin alike the rest is read. False: it cannot be. */
static bool comes_before(const struct update *u, const struct new_place *new,
                         const struct index_place *old, bool *ret)
{
	*ret = new->place.head < old->head;
	if (new->place.head != old->head)
		return true;
	const char *id = record_base_id(u->set, old->number);
	*ret = id && strcmp(new->id, id) < 0;
	return id;
}

static bool merge_places(const struct update *u, const struct new_places *added)
{
	struct index_place *places = u->parts->places;
	size_t n = 0, next = 0;
	bool ok = true, before = true;
	for (size_t i = 0; ok && i < u->old->n_places; i++) {
		struct index_place place = u->old->places[i];
		if (u->now[place.number] == NOWHERE)
			continue;
		for (before = true; before && next < added->len;) {
			ok = comes_before(u, &added->items[next], &place, &before);
			if (before)
				places[n++] = added->items[next++].place;
		}
		place.number = u->now[place.number];
		places[n++] = place;
	}
	while (next < added->len)
		places[n++] = added->items[next++].place;
	u->parts->n_places = n;
	return ok;
}

/* An edit leaves the ID as it was, so here records that were printed keep their place. */
static bool update_places(const struct update *u)
{
	struct new_places added = {0};
	bool ok = find_new_places(u, &added);
	if (ok)
		u->parts->places = new0(struct index_place, u->old->n_places + added.len + 1);
	ok = ok && u->parts->places && merge_places(u, &added);
	free(added.items);
	return ok;
}

/* Would a load leave a record that was printed as the index has it? */
static bool is_in_order(const struct record_set *set, const void *record)
{
	const struct record_kind *kind = set->kind;
	const void *above = record;
	if (kind->wants_repair && kind->wants_repair(record))
		return false;
	for (size_t n = 0; kind->parent && above; n++) {
		const char *parent = kind->parent(above);
		above = *parent ? record_set_get(set, parent) : NULL;
		if (above == record || n > set->visible.len)
			return false;
	}
	return true;
}

bool index_update(struct record_set *set, const uint32_t *from, struct index_parts *parts)
{
	const struct index_parts *old = &set->base->parts;
	_cleanup_free_ uint32_t *now = new0(uint32_t, old->n_entries + 1);
	const struct update u = {.set = set, .from = from, .old = old, .parts = parts, .now = now};
	bool ok = now;
	memcpy(parts->secret, old->secret, sizeof(parts->secret));
	for (size_t i = 0; ok && i < parts->n_entries; i++)
		ok = from[i] != NOWHERE || is_in_order(set, record_base_item(set, i).slot->record);
	ok = ok && update_keys(&u) && update_places(&u);
	if (ok)
		update_parents(&u);
	return ok;
}
