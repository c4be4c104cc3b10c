/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the index of a set that was parsed. Only a set that has nothing to be repaired, and serves each of
 * its records, gets one; so a load that uses the index has nothing to look for. */
#include "records/record_index.h"
#include "base/id.h"

struct index_source record_index_source(const struct record_set *set)
{
	struct index_source source = {
	        .what = set->kind->what, .token = set->token, .n_files = set->n_files};
	for (unsigned f = 0; f < set->n_files; f++)
		source.files[f] = set->files[f].identity;
	return source;
}

static bool fits_an_index(const struct record_set *set)
{
	size_t n = 0;
	for (unsigned f = 0; f < set->n_files; f++)
		n += set->content[f].len;
	if (set->visible.len != n || n >= UINT32_MAX)
		return false;
	for (size_t i = 0; i < n && set->kind->wants_repair; i++) {
		if (set->kind->wants_repair(set->visible.items[i]->record))
			return false;
	}
	return true;
}

void record_index_write(const struct record_set *set, struct index_file *index)
{
	const struct index_source source = record_index_source(set);
	if (set->writes_index)
		index_write(index, set->index_dir, set->index_name, &source);
}

/* ---- entries ---- */

int64_t record_index_size(const struct record_set *set, const void *record)
{
	return set->kind->size_of ? set->kind->size_of(record) : -1;
}

/* Does a save write these bytes? */
static bool is_as_written(const struct record_set *set, const struct slot *slot, const char *text,
                          struct strbuf *printed)
{
	struct json_writer w;
	strbuf_reset(printed);
	json_writer_init(&w, printed, JSON_STORE);
	set->kind->write(&w, slot->record);
	return !printed->failed && printed->len == slot->length &&
	       memcmp(printed->data, text, slot->length) == 0;
}

struct index_entry record_index_entry(const struct record_set *set, const struct slot *slot,
                                      const char *text, const uint64_t secret[2],
                                      struct strbuf *printed)
{
	return (struct index_entry){
	        .sum = index_sum(secret, text, slot->length),
	        .id = index_sum(secret, slot->id, strlen(slot->id)),
	        .at = slot->at,
	        .length = slot->length,
	        .file = (uint16_t)slot->file,
	        .as_written = is_as_written(set, slot, text, printed),
	        .parent = INDEX_ANY_PARENT,
	        .size = record_index_size(set, slot->record),
	};
}

static bool add_entries(struct record_set *set, char *const *texts, struct index_parts *parts)
{
	_cleanup_strbuf_ struct strbuf printed = {0};
	parts->entries = new0(struct index_entry, set->visible.len + 1);
	for (size_t i = 0; parts->entries && i < set->visible.len; i++) {
		struct slot *slot = set->visible.items[i];
		slot->number = (uint32_t)i;
		parts->entries[i] = record_index_entry(set, slot, texts[slot->file] + slot->at,
		                                       parts->secret, &printed);
		parts->n_entries++;
	}
	return parts->entries && !printed.failed;
}

/* All have their numbers. */
static void add_parents(const struct record_set *set, struct index_parts *parts)
{
	for (size_t i = 0; set->kind->parent && i < parts->n_entries; i++) {
		const char *parent = set->kind->parent(set->visible.items[i]->record);
		const struct slot *slot = *parent ? hashmap_get(&set->by_id, parent) : NULL;
		if (!*parent)
			parts->entries[i].parent = INDEX_NO_PARENT;
		else if (slot)
			parts->entries[i].parent = slot->number;
	}
}

/* ---- keys ---- */

static bool add_key(void *userdata, enum record_key key, const char *text)
{
	struct index_key_list *keys = userdata;
	struct index_key *grown =
	        grow_array(keys->items, &keys->capacity, keys->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	keys->items = grown;
	grown[keys->len++] = (struct index_key){.hash = record_key_hash(keys->secret, key, text),
	                                        .number = keys->number};
	return true;
}

int index_keys_compare(const void *a, const void *b)
{
	const struct index_key *left = a, *right = b;
	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return (left->number > right->number) - (left->number < right->number);
}

bool index_keys_add(struct index_key_list *keys, const struct record_set *set, const void *record,
                    uint32_t number)
{
	const struct key_visitor visitor = {.visit = add_key, .userdata = keys};
	keys->number = number;
	return record_visit_keys(set, record, &visitor);
}

void index_keys_sort(struct index_key_list *keys)
{
	if (keys->len)
		qsort(keys->items, keys->len, sizeof(*keys->items), index_keys_compare);
}

static bool add_keys(const struct record_set *set, struct index_parts *parts)
{
	struct index_key_list keys = {.secret = parts->secret};
	bool ok = true;
	for (size_t i = 0; ok && i < set->visible.len; i++)
		ok = index_keys_add(&keys, set, set->visible.items[i]->record, (uint32_t)i);
	index_keys_sort(&keys);
	parts->keys = keys.items;
	parts->n_keys = keys.len;
	return ok;
}

/* ---- places ---- */

static bool add_places(struct record_set *set, struct index_parts *parts)
{
	struct prefix_index *prefixes = &set->prefixes;
	parts->places = new0(struct index_place, prefixes->len + 1);
	if (!parts->places)
		return false;
	prefix_index_sort(prefixes);
	for (size_t i = 0; i < prefixes->len; i++) {
		const struct slot *slot = prefixes->items[i].value;
		parts->places[i] = (struct index_place){.head = prefixes->items[i].head,
		                                        .number = slot->number};
	}
	parts->n_places = prefixes->len;
	return true;
}

struct index_file *record_index_build(struct record_set *set, char *const *texts)
{
	struct index_parts parts = {0};
	struct index_file *index = NULL;
	if (fits_an_index(set) && random_bytes(parts.secret, sizeof(parts.secret), NULL) == 0 &&
	    add_entries(set, texts, &parts) && add_keys(set, &parts) && add_places(set, &parts)) {
		add_parents(set, &parts);
		index = index_new(&parts);
	}
	index_parts_free(&parts);
	return index;
}
