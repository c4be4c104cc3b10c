/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in a set that is not parsed. */
#include "records/record_base.h"
#include "base/log.h"
#include "records/record_index.h"

/* Who reads one record after the other gets so many bytes at once. */
#define WINDOW 131072

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
	edited_free(&base->edited);
	for (size_t i = 0; base->slots && i < index_entries(base->index); i++) {
		if (base->slots[i])
			record_slot_free(base->slots[i]);
	}
	index_free(base->index);
	free(base->slots);
	free(base->window);
	free(base);
}

static void *blank_record(struct record_set *set)
{
	struct json_reader json;
	struct record_reader r = {.json = &json, .arena = &set->loaded_memory};
	void *record = arena_alloc(&set->loaded_memory, set->kind->size);
	json_reader_init(&json, "{}", 2, &set->loaded_memory);
	if (record)
		set->kind->read(&r, record);
	record_reader_free(&r);
	return record;
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
	set->blank = blank_record(set);
	if (!base->slots || !set->blank) {
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
	return index_sum(index_secret(base->index), text, entry->length) == entry->sum ? text
	                                                                               : NULL;
}

/* Fills *record, which has what else the kind knows afterwards. */
static bool parse_record(struct record_set *set, const struct index_entry *entry, const char *text,
                         struct record_reader *r, void *record)
{
	json_reader_next(r->json, text, entry->length);
	r->as_written = entry->as_written;
	set->kind->read(r, record);
	return !r->bad && json_finish(r->json) && !r->arena->failed &&
	       set->kind->settle(set, r->arena, record, NULL, entry->file);
}

static struct slot *parse_entry(struct record_set *set, uint32_t number,
                                const struct index_entry *entry, const char *text)
{
	struct json_reader json;
	struct record_reader r = {.json = &json, .arena = &set->loaded_memory};
	void *record = arena_alloc(r.arena, set->kind->size);
	json_reader_init(&json, NULL, 0, r.arena);
	bool ok = record && parse_record(set, entry, text, &r, record);
	record_reader_free(&r);
	if (!ok)
		return NULL;
	struct slot *slot = record_slot_new(*(const char **)record, entry->file);
	if (!slot)
		return NULL;
	slot->record = record;
	slot->number = number;
	return slot;
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

/* Among those that are as the index says. False: damaged. */
static bool find_unedited(struct record_set *set, enum record_key key, const char *text,
                          uint32_t from, struct slot **ret)
{
	struct index_file *index = set->base->index;
	uint32_t hash = record_key_hash(index_secret(index), key, text);
	size_t at;
	*ret = NULL;
	if (!index_first_key(index, hash, from, &at))
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
		if (!slot->edited && record_has_key(set, slot->record, key, text)) {
			*ret = slot;
			return true;
		}
	}
	return true;
}

/* The same of several keys: the first record that has one of them. */
static bool find_first_unedited(struct record_set *set, unsigned keys, const char *text,
                                uint32_t from, struct slot **ret)
{
	*ret = NULL;
	for (unsigned left = keys; left; left &= left - 1) {
		struct slot *found;
		if (!find_unedited(set, (enum record_key)(left & -left), text, from, &found))
			return false;
		if (found && (!*ret || found->number < (*ret)->number))
			*ret = found;
	}
	return true;
}

static bool find(struct record_set *set, unsigned keys, const char *text, const struct slot *after,
                 struct slot **ret)
{
	*ret = NULL;
	if (!after || !after->edited) {
		if (!find_first_unedited(set, keys, text, after ? after->number + 1 : 0, ret))
			return false;
		after = NULL;
	}
	if (!*ret)
		*ret = edited_find(&set->base->edited, set, keys, text, after);
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
			const struct slot *slot = slot_of(set, place->number);
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
		if (!slot->record)
			continue;
		*ret = slot;
		n++;
	}
	if (n + edited_find_prefix(&set->base->edited, prefix, ret) > 1)
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

/* ---- look-ups ---- */

struct slot *record_base_unread(uint32_t number)
{
	return (struct slot *)((uintptr_t)number << 1 | 1);
}

static bool is_number(const struct slot *item)
{
	return (uintptr_t)item & 1;
}

static uint32_t number_of(const struct slot *item)
{
	return is_number(item) ? (uint32_t)((uintptr_t)item >> 1) : item->number;
}

struct base_item record_base_item(const struct record_set *set, size_t i)
{
	const struct record_base *base = set->base;
	struct slot *item = set->visible.items[i];
	uint32_t number = number_of(item);
	if (is_number(item))
		item = base->slots[number];
	return (struct base_item){.number = number,
	                          .file = item ? item->file : base->parts.entries[number].file,
	                          .edited = item && item->edited,
	                          .slot = item};
}

/* The index is damaged, or a record cannot be read. Where records were edited there is no way back. */
static void fall_back(struct record_set *set)
{
	if (!set->base->prepared) {
		log_debug("the index %s/%s is damaged: all records are read", set->index_dir,
		          set->index_name);
		(void)record_base_leave(set);
		return;
	}
	if (!set->problem)
		(void)error_set(&set->problem, CST_ECORRUPT,
		                "loading \"%s\": what it held cannot be read any more",
		                set->files[0].path);
	set->broken = true;
}

/* Locks the base, which a look-up of another thread may take from the set. NULL: the set has none, and what it has instead can
 * be looked at. */
static struct record_base *lock_base(const struct record_set *set)
{
	struct record_set *writable = (struct record_set *)set; /* for what look-ups read */
	if (!set->index_dir)
		return NULL;
	pthread_mutex_lock(&writable->lazy);
	if (!set->base)
		pthread_mutex_unlock(&writable->lazy);
	return set->base;
}

/* Returns whether the set still has its base. */
static bool unlock_base(struct record_set *set)
{
	bool has_base = set->base;
	pthread_mutex_unlock(&set->lazy);
	return has_base;
}

bool record_base_find(const struct record_set *set, unsigned keys, const char *text,
                      const struct slot *after, struct slot **ret)
{
	struct record_set *writable = (struct record_set *)set;
	*ret = NULL;
	if (!lock_base(set))
		return false;
	if (!find(writable, keys, text, after, ret))
		fall_back(writable);
	return unlock_base(writable);
}

bool record_base_find_prefix(const struct record_set *set, const char *prefix, struct slot **ret)
{
	struct record_set *writable = (struct record_set *)set;
	*ret = NULL;
	if (!lock_base(set))
		return false;
	if (!find_prefix(writable, prefix, ret))
		fall_back(writable);
	return unlock_base(writable);
}

static size_t size_of(const struct record_set *set)
{
	return set->base->prepared ? set->visible.len - set->base->holes
	                           : index_entries(set->base->index);
}

bool record_base_size(const struct record_set *set, size_t *ret)
{
	if (!lock_base(set))
		return false;
	*ret = size_of(set);
	return unlock_base((struct record_set *)set);
}

static struct base_item item_at(const struct record_set *set, size_t i)
{
	if (set->base->prepared) {
		record_base_tidy((struct record_set *)set);
		return record_base_item(set, i);
	}
	return (struct base_item){.number = (uint32_t)i, .slot = set->base->slots[i]};
}

/* False: it cannot be read. */
static bool slot_at(struct record_set *set, size_t i, struct slot **ret)
{
	if (i >= size_of(set))
		return true;
	const struct base_item item = item_at(set, i);
	*ret = item.slot ? item.slot : slot_of(set, item.number);
	return *ret;
}

bool record_base_read_at(const struct record_set *set, size_t i, struct record_reader *r,
                         void *record)
{
	struct record_set *writable = (struct record_set *)set;
	struct record_base *base = lock_base(set);
	if (!base)
		return false;
	const struct base_item item = item_at(set, i);
	const struct index_entry *entry =
	        item.slot ? NULL : index_entry_at(base->index, item.number);
	const char *text = entry ? entry_text(writable, item.number, entry) : NULL;
	bool ok = text && parse_record(writable, entry, text, r, record);
	(void)unlock_base(writable);
	return ok;
}

bool record_base_at(const struct record_set *set, size_t i, struct slot **ret)
{
	struct record_set *writable = (struct record_set *)set;
	*ret = NULL;
	if (!lock_base(set))
		return false;
	if (!slot_at(writable, i, ret))
		fall_back(writable);
	return unlock_base(writable);
}

bool record_base_next_known(const struct record_set *set, size_t *i, struct slot **ret)
{
	*ret = NULL;
	if (!lock_base(set))
		return false;
	for (size_t n = size_of(set); !*ret && *i < n; ++*i) {
		struct slot *slot = item_at(set, *i).slot;
		*ret = slot && slot->record ? slot : NULL;
	}
	return unlock_base((struct record_set *)set);
}

/* ---- edits ---- */

bool record_base_prepare(struct record_set *set)
{
	struct record_base *base = set->base;
	if (!base || base->prepared)
		return true;
	if (!index_read_all(base->index, &base->parts))
		return record_base_leave(set);
	size_t n = base->parts.n_entries;
	struct slot **items =
	        grow_array(set->visible.items, &set->visible.capacity, n + 1, sizeof(*items));
	if (!items)
		return false;
	set->visible.items = items;
	for (size_t i = 0; i < n; i++)
		items[i] = record_base_unread((uint32_t)i);
	set->visible.len = n;
	base->prepared = true;
	return true;
}

bool record_base_edited(struct record_set *set, struct slot *slot)
{
	return edited_put(&set->base->edited, set, slot);
}

static bool stands_at(const struct record_set *set, const struct slot *slot, size_t i)
{
	struct slot *item = i < set->visible.len ? set->visible.items[i] : NULL;
	if (!item || slot->number == UINT32_MAX)
		return item == slot;
	return number_of(item) == slot->number;
}

/* Its place in the list of all: as far from its number as records were added and removed before. */
static size_t place_of(const struct record_set *set, const struct slot *slot)
{
	size_t near = slot->number == UINT32_MAX ? slot->place : slot->number, off = 0;
	while (!stands_at(set, slot, near + off) && !stands_at(set, slot, near - off))
		off++;
	return stands_at(set, slot, near + off) ? near + off : near - off;
}

/* Leaves a hole, so that those behind need not move each time. */
void record_base_removed(struct record_set *set, struct slot *slot)
{
	set->visible.items[place_of(set, slot)] = NULL;
	set->base->holes++;
	edited_removed(&set->base->edited, slot);
	slot->edited = true;
	slot->record = NULL;
}

void record_base_tidy(struct record_set *set)
{
	struct slots *all = &set->visible;
	size_t kept = 0;
	if (!set->base->holes)
		return;
	for (size_t i = 0; i < all->len; i++) {
		struct slot *item = all->items[i];
		if (!item)
			continue;
		if (!is_number(item))
			item->place = kept;
		all->items[kept++] = item;
	}
	all->len = kept;
	set->base->holes = 0;
}

const char *record_base_text(struct record_set *set, uint32_t number)
{
	return entry_text(set, number, &set->base->parts.entries[number]);
}

const void *record_base_record(struct record_set *set, uint32_t number)
{
	const struct slot *slot = slot_of(set, number);
	return slot ? slot->record : NULL;
}

const char *record_base_id(struct record_set *set, uint32_t number)
{
	const struct slot *slot = slot_of(set, number);
	return slot ? slot->id : NULL;
}
