/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in a set that is not parsed. */
#include "records/record_base.h"
#include "base/checksum.h"
#include "base/log.h"
#include "records/record_index.h"

/* Who reads one record after the other gets so many bytes at once. */
#define WINDOW 131072

static struct slot gone = {.edited = true};
#define SLOT_GONE (&gone)

/* ---- start and end ---- */

static size_t bytes_of_records(const struct record_set *set)
{
	size_t n = 0;
	for (unsigned f = 0; f < set->n_files; f++)
		n += (size_t)set->files[f].identity.size;
	return n;
}

bool record_base_wanted(const struct record_set *set)
{
	return set->index_dir && bytes_of_records(set) >= set->worth_an_index;
}

void record_base_open(struct record_set *set)
{
	const struct index_source source = record_index_source(set);
	index_free(set->opened_index);
	set->opened_index = record_base_wanted(set)
	                            ? index_open(set->index_dir, set->index_name, &source)
	                            : NULL;
}

static void base_free(struct record_base *base)
{
	if (!base)
		return;
	for (size_t i = 0; base->slots && i < index_entries(base->index); i++) {
		if (base->slots[i] && base->slots[i] != SLOT_GONE)
			record_slot_free(base->slots[i]);
	}
	for (size_t i = 0; i < base->edited.len; i++) {
		if (base->edited.items[i]->number == UINT32_MAX)
			record_slot_free(base->edited.items[i]);
	}
	index_free(base->index);
	free(base->slots);
	free(base->edited.items);
	free(base->window);
	free(base);
}

bool record_base_start(struct record_set *set, struct index_file *index)
{
	struct record_base *base = new0(struct record_base, 1);
	if (!base) {
		index_free(index);
		return false;
	}
	base->index = index;
	base->slots = new0(struct slot *, index_entries(index) + 1);
	if (!base->slots) {
		base_free(base);
		return false;
	}
	set->base = base;
	return true;
}

void record_base_free(struct record_set *set)
{
	base_free(set->base);
	base_free(set->former_base);
	set->base = set->former_base = NULL;
}

/* ---- records, read from their file ---- */

/* The JSON of an entry; NULL: it is not there. */
static const char *entry_text(struct record_set *set, uint32_t number,
                              const struct index_entry *entry)
{
	struct record_base *base = set->base;
	bool goes_on = number == base->next_number;
	base->next_number = number + 1;
	if (entry->file >= set->n_files)
		return NULL;
	bool inside =
	        entry->file == base->window_file && entry->at >= base->window_at &&
	        (uint64_t)entry->at + entry->length <= (uint64_t)base->window_at + base->window_len;
	if (!inside) {
		size_t n = goes_on ? MAX((size_t)entry->length, (size_t)WINDOW) : entry->length;
		char *grown = grow_array(base->window, &base->window_capacity, n + 1, 1);
		if (!grown)
			return NULL;
		base->window = grown;
		base->window_len = 0;
		ssize_t got = fs_pread_full(set->files[entry->file].fd, grown, n, entry->at);
		if (got < (ssize_t)entry->length)
			return NULL;
		base->window_at = entry->at;
		base->window_file = entry->file;
		base->window_len = (size_t)got;
	}
	const char *text = base->window + (entry->at - base->window_at);
	return (uint32_t)sum64(0, text, entry->length) == entry->sum ? text : NULL;
}

static struct slot *parse_entry(struct record_set *set, uint32_t number,
                                const struct index_entry *entry, const char *text)
{
	struct json_reader json;
	struct record_reader r = {.json = &json, .arena = &set->loaded_memory};
	json_reader_init(&json, text, entry->length, &set->loaded_memory);
	void *record = arena_alloc(&set->loaded_memory, set->kind->size);
	if (record)
		set->kind->read(&r, record);
	bool ok = record && !r.bad && json_finish(&json) && !set->loaded_memory.failed;
	record_reader_free(&r);
	struct slot *slot = ok ? record_slot_new(*(const char **)record, entry->file) : NULL;
	if (!slot)
		return NULL;
	slot->record = record;
	slot->number = number;
	if (set->kind->settle(set, &set->loaded_memory, record, NULL, entry->file))
		return slot;
	record_slot_free(slot);
	return NULL;
}

/* NULL: it cannot be read. */
static struct slot *slot_of(struct record_set *set, uint32_t number)
{
	struct record_base *base = set->base;
	if (number >= index_entries(base->index))
		return NULL;
	if (base->slots[number])
		return base->slots[number];
	const struct index_entry *entry = index_entry_at(base->index, number);
	const char *text = entry ? entry_text(set, number, entry) : NULL;
	base->slots[number] = text ? parse_entry(set, number, entry, text) : NULL;
	return base->slots[number];
}

/* ---- by a key ---- */

struct wanted_key {
	enum record_key key;
	const char *text;
};

static bool is_other_key(void *userdata, enum record_key key, const char *text)
{
	const struct wanted_key *wanted = userdata;
	return key != wanted->key || !streq(text, wanted->text);
}

static bool has_key(const struct record_set *set, const struct slot *slot, enum record_key key,
                    const char *text)
{
	struct wanted_key wanted = {.key = key, .text = text};
	const struct key_visitor visitor = {.visit = is_other_key, .userdata = &wanted};
	return !record_visit_keys(set, slot->record, &visitor);
}

/* The first key that is not below. False: damaged. */
static bool lower_bound(struct index_file *index, uint32_t hash, uint32_t number, size_t *ret)
{
	size_t low = 0, high = index_keys(index);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct index_key *key = index_key_at(index, middle);
		if (!key)
			return false;
		if (key->hash < hash || (key->hash == hash && key->number < number))
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return true;
}

/* Among those that are as the index says. False: damaged. */
static bool find_unedited(struct record_set *set, enum record_key key, const char *text,
                          uint32_t from, struct slot **ret)
{
	struct index_file *index = set->base->index;
	uint32_t hash = record_key_hash(index_secret(index), key, text);
	size_t at;
	*ret = NULL;
	if (!lower_bound(index, hash, from, &at))
		return false;
	for (; at < index_keys(index); at++) {
		const struct index_key *candidate = index_key_at(index, at);
		if (!candidate)
			return false;
		if (candidate->hash != hash)
			return true;
		struct slot *slot = slot_of(set, candidate->number);
		if (!slot)
			return false;
		if (!slot->edited && has_key(set, slot, key, text)) {
			*ret = slot;
			return true;
		}
	}
	return true;
}

static struct slot *find_edited(const struct record_set *set, enum record_key key, const char *text,
                                const struct slot *after)
{
	const struct slots *edited = &set->base->edited;
	size_t i = 0;
	while (after && i < edited->len && edited->items[i] != after)
		i++;
	for (i += after != NULL; i < edited->len; i++) {
		if (has_key(set, edited->items[i], key, text))
			return edited->items[i];
	}
	return NULL;
}

static bool find(struct record_set *set, enum record_key key, const char *text,
                 const struct slot *after, struct slot **ret)
{
	*ret = NULL;
	if (!after || !after->edited) {
		if (!find_unedited(set, key, text, after ? after->number + 1 : 0, ret))
			return false;
		after = NULL;
	}
	if (!*ret)
		*ret = find_edited(set, key, text, after);
	return true;
}

/* ---- by the beginning of the ID ---- */

/* The first place that is not below. False: damaged. */
static bool first_place(struct record_set *set, const char *prefix, size_t *ret)
{
	struct index_file *index = set->base->index;
	uint64_t head = prefix_head(prefix);
	size_t low = 0, high = index_places(index);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct index_place *place = index_place_at(index, middle);
		if (!place)
			return false;
		bool below = place->head < head;
		if (place->head == head) {
			const struct index_entry *entry = index_entry_at(index, place->number);
			const struct slot *slot = entry ? slot_of(set, place->number) : NULL;
			if (!slot)
				return false;
			below = strcmp(slot->id, prefix) < 0;
		}
		if (below)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return true;
}

static bool find_prefix(struct record_set *set, const char *prefix, struct slot **ret)
{
	struct index_file *index = set->base->index;
	size_t at, n = 0;
	*ret = NULL;
	if (!*prefix)
		return true;
	if (!first_place(set, prefix, &at))
		return false;
	for (; n < 2 && at < index_places(index); at++) {
		const struct index_place *place = index_place_at(index, at);
		struct slot *slot = place ? slot_of(set, place->number) : NULL;
		if (!slot)
			return false;
		if (!has_prefix(slot->id, prefix))
			break;
		*ret = slot;
		n++;
	}
	if (n > 1)
		*ret = NULL;
	return true;
}

/* ---- without the index ---- */

/* One that was edited: another mount state. */
static bool has_own_record(const struct slot *slot)
{
	return slot && slot->memory.blocks;
}

static bool carry_over(struct record_set *set, const struct slot *edited)
{
	struct slot *slot = hashmap_get(&set->by_id, edited->id);
	void *copy = slot ? arena_alloc(&set->loaded_memory, set->kind->size) : NULL;
	if (!copy || !set->kind->copy(&set->loaded_memory, edited->record, copy) ||
	    !set->kind->settle(set, &set->loaded_memory, copy, edited->record, slot->file))
		return false;
	slot->record = copy;
	return true;
}

bool record_base_leave(struct record_set *set)
{
	struct record_base *base = set->base;
	if (!base)
		return true;
	set->former_base = base;
	set->base = NULL;
	bool ok = record_load_again(set, &set->problem) == 0;
	for (size_t i = 0; ok && i < index_entries(base->index); i++)
		ok = !has_own_record(base->slots[i]) || carry_over(set, base->slots[i]);
	set->broken = set->broken || !ok;
	return ok;
}

static void fall_back(struct record_set *set)
{
	log_debug("the index %s/%s is damaged: all records are read", set->index_dir,
	          set->index_name);
	(void)record_base_leave(set);
}

bool record_base_find(const struct record_set *set, enum record_key key, const char *text,
                      const struct slot *after, struct slot **ret)
{
	struct record_set *writable = (struct record_set *)set; /* for what it reads */
	if (!set->base)
		return false;
	pthread_mutex_lock(&writable->lazy);
	bool found = set->base && find(writable, key, text, after, ret);
	if (set->base && !found)
		fall_back(writable);
	pthread_mutex_unlock(&writable->lazy);
	return found;
}

bool record_base_find_prefix(const struct record_set *set, const char *prefix, struct slot **ret)
{
	struct record_set *writable = (struct record_set *)set;
	if (!set->base)
		return false;
	pthread_mutex_lock(&writable->lazy);
	bool found = set->base && find_prefix(writable, prefix, ret);
	if (set->base && !found)
		fall_back(writable);
	pthread_mutex_unlock(&writable->lazy);
	return found;
}

bool record_base_at(const struct record_set *set, size_t i, bool peek, struct slot **ret)
{
	struct record_set *writable = (struct record_set *)set;
	if (!set->base)
		return false;
	pthread_mutex_lock(&writable->lazy);
	*ret = NULL;
	bool there = set->base && i < index_entries(set->base->index);
	if (there)
		*ret = peek ? set->base->slots[i] : slot_of(writable, (uint32_t)i);
	bool found = set->base && (!there || peek || *ret);
	if (set->base && !found)
		fall_back(writable);
	pthread_mutex_unlock(&writable->lazy);
	return found;
}
