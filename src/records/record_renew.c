/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that knows no index, as the Go tools, wrote the files of records. Most records are as they were: where the bytes that
 * follow in the file have the sum of the next record of the old index, they are that record. All others are parsed.
 *
 * For this the old index is the base of the set, whose entries get their new places. Records that were not met again are removed, and
 * those that were parsed are new ones; so the new index is made as after a save.
 */
#include "records/record_renew.h"
#include "records/index_update.h"
#include "records/record_index.h"

/* So many, or a quarter of all records if that is more. Where more has changed, parsing all is not much slower. */
#define STRANGERS 256
#define STRANGER  16384 /* most are shorter */
#define WINDOW    262144
#define NOWHERE   UINT32_MAX

struct renewal {
	struct record_set *set;
	struct index_parts new;
	uint32_t *from; /* for each new entry its number in the old index; NOWHERE: it was parsed */
	size_t capacity;
	size_t next; /* in the old index */
	size_t strangers, most_strangers;
	uint32_t *by_sum; /* the old entries, plus 1, by their sums; made for the first stranger */
	size_t n_by_sum;  /* a power of two */
	struct json_reader json;
	struct record_reader reader;
	struct strbuf printed;
	/* of the file that is being read */
	unsigned file;
	size_t size, window_at, window_len, window_capacity;
	char *window;
};

/* ---- bytes ---- */

/* NULL: the file ends before. */
static const char *bytes_at(struct renewal *r, size_t at, size_t n)
{
	if (n > r->size - at)
		return NULL;
	if (at < r->window_at || at + n > r->window_at + r->window_len) {
		size_t most = MAX(n, (size_t)WINDOW), wanted = MIN(most, r->size - at);
		char *grown = grow_array(r->window, &r->window_capacity, wanted, 1);
		if (!grown)
			return NULL;
		r->window = grown;
		r->window_at = at;
		r->window_len = 0;
		if (fs_pread_full(r->set->files[r->file].fd, grown, wanted, (off_t)at) !=
		    (ssize_t)wanted)
			return NULL;
		r->window_len = wanted;
	}
	return r->window + (at - r->window_at);
}

/* The JSON of a record, whose end is not known. NULL: there is none. */
static const char *value_at(struct renewal *r, size_t at, size_t *ret_len)
{
	const size_t left = r->size - at;
	for (size_t n = STRANGER, len = 0; len < left; n *= 4) {
		len = MIN(n, left);
		const char *text = bytes_at(r, at, len);
		if (!text || *text != '{')
			return NULL;
		json_reader_init(&r->json, text, len, NULL);
		if (json_skip(&r->json)) {
			*ret_len = (size_t)(r->json.pos - text);
			return text;
		}
	}
	return NULL;
}

/* ---- records ---- */

static bool add(struct renewal *r, struct index_entry entry, uint32_t from, struct slot *item)
{
	if (r->new.n_entries == r->capacity) {
		size_t capacity = MAX(2 * r->capacity, r->set->base->parts.n_entries + STRANGERS);
		struct index_entry *entries =
		        reallocarray(r->new.entries, capacity, sizeof(*entries));
		r->new.entries = entries ? entries : r->new.entries;
		uint32_t *all = reallocarray(r->from, capacity, sizeof(*all));
		r->from = all ? all : r->from;
		if (!entries || !all)
			return false;
		r->capacity = capacity;
	}
	r->from[r->new.n_entries] = from;
	r->new.entries[r->new.n_entries++] = entry;
	return record_slots_insert(&r->set->visible, r->set->visible.len, item);
}

/* The old records before this one are gone. */
static bool drop_until(struct renewal *r, size_t number)
{
	struct record_base *base = r->set->base;
	for (; r->next < number; r->next++) {
		struct slot *gone = record_slot_new("", 0);
		if (!gone)
			return false;
		gone->edited = true;
		base->slots[r->next] = gone;
	}
	return true;
}

static bool keep(struct renewal *r, size_t number, size_t at)
{
	struct index_entry *entry = &r->set->base->parts.entries[number];
	entry->at = (uint32_t)at;
	bool ok = drop_until(r, number) &&
	          add(r, *entry, (uint32_t)number, record_base_unread((uint32_t)number));
	r->next = number + 1;
	return ok;
}

static bool parse(struct renewal *r, const char *text, size_t len, size_t at)
{
	struct record_set *set = r->set;
	struct arena *arena = &set->loaded_memory;
	void *record = arena_alloc(arena, set->kind->size);
	if (!record)
		return false;
	json_reader_init(&r->json, text, len, arena);
	set->kind->read(&r->reader, record);
	const char *id = *(const char **)record;
	if (!json_finish(&r->json) || r->reader.bad || arena->failed || !*id ||
	    !set->kind->settle(set, arena, record, NULL, r->file))
		return false;
	struct slot *slot = record_slot_new(id, r->file);
	if (!slot)
		return false;
	slot->record = record;
	if (!record_base_edited(set, slot))
		return false;
	slot->at = (uint32_t)at;
	slot->length = (uint32_t)len;
	const struct index_entry entry =
	        record_index_entry(set, slot, text, set->base->parts.secret, &r->printed);
	return !r->printed.failed && add(r, entry, NOWHERE, slot);
}

/* Is it the next one of the old index? */
static bool is_next(struct renewal *r, size_t at, size_t *ret_len)
{
	const struct index_parts *old = &r->set->base->parts;
	if (r->next >= old->n_entries || old->entries[r->next].file != r->file)
		return false;
	const struct index_entry *entry = &old->entries[r->next];
	const char *text = bytes_at(r, at, entry->length);
	*ret_len = entry->length;
	return text && index_sum(old->secret, text, entry->length) == entry->sum;
}

static bool order_by_sum(struct renewal *r)
{
	const struct index_parts *old = &r->set->base->parts;
	r->n_by_sum = 16;
	while (r->n_by_sum < 2 * old->n_entries)
		r->n_by_sum *= 2;
	r->by_sum = new0(uint32_t, r->n_by_sum);
	for (size_t i = 0; r->by_sum && i < old->n_entries; i++) {
		size_t place = old->entries[i].sum & (r->n_by_sum - 1);
		while (r->by_sum[place])
			place = (place + 1) & (r->n_by_sum - 1);
		r->by_sum[place] = (uint32_t)i + 1;
	}
	return r->by_sum;
}

/* One of the old entries that were not met yet. NULL: there is none of that sum. */
static const struct index_entry *find_old(const struct renewal *r, uint64_t sum, size_t len)
{
	const struct index_parts *old = &r->set->base->parts;
	size_t place = sum & (r->n_by_sum - 1);
	for (; r->by_sum[place]; place = (place + 1) & (r->n_by_sum - 1)) {
		const struct index_entry *entry = &old->entries[r->by_sum[place] - 1];
		if (entry->sum == sum && entry->length == len && entry->file == r->file &&
		    r->by_sum[place] > r->next)
			return entry;
	}
	return NULL;
}

static bool take_stranger(struct renewal *r, size_t at, size_t *ret_len)
{
	const struct index_parts *old = &r->set->base->parts;
	const char *text = r->strangers++ < r->most_strangers ? value_at(r, at, ret_len) : NULL;
	if (!text || (!r->by_sum && !order_by_sum(r)))
		return false;
	uint64_t sum = index_sum(old->secret, text, *ret_len);
	const struct index_entry *entry = find_old(r, sum, *ret_len);
	return entry ? keep(r, (size_t)(entry - old->entries), at) : parse(r, text, *ret_len, at);
}

static bool renew_records(struct renewal *r)
{
	const char *next = bytes_at(r, 0, 2);
	size_t at = 1, len;
	if (!next || next[0] != '[')
		return false;
	if (next[1] == ']')
		return r->size == 2;
	do {
		bool ok = is_next(r, at, &len) ? keep(r, r->next, at) : take_stranger(r, at, &len);
		at += len + 1;
		if (!ok || !(next = bytes_at(r, at - 1, 1)))
			return false;
	} while (*next == ',');
	return *next == ']' && at == r->size;
}

static bool renew_file(struct renewal *r, const struct index_source *source)
{
	const struct index_parts *old = &r->set->base->parts;
	size_t first = r->next, end = r->next;
	bool ok = true;
	while (end < old->n_entries && old->entries[end].file == r->file)
		end++;
	r->window_len = 0;
	r->size = (size_t)source->files[r->file].size;
	if (index_has_file(r->set->base->index, source, r->file)) {
		for (size_t i = first; ok && i < end; i++)
			ok = keep(r, i, old->entries[i].at);
	} else if (r->size) {
		ok = r->size <= UINT32_MAX && renew_records(r);
	}
	return ok && drop_until(r, end);
}

/* ---- the index ---- */

struct search {
	struct record_set *set;
	const struct index_parts *parts;
	size_t number; /* of the record whose keys are looked for */
	bool unique;
};

/* A record that cannot be read may have it. */
static bool has_key(struct record_set *set, uint32_t number, enum record_key key, const char *text)
{
	const struct base_item item = record_base_item(set, number);
	const void *record = item.slot ? item.slot->record : record_base_record(set, item.number);
	return !record || record_has_key(set, record, key, text);
}

static bool look_for_another(void *userdata, enum record_key key, const char *text)
{
	struct search *search = userdata;
	const struct index_parts *parts = search->parts;
	const struct index_key first = {.hash = record_key_hash(parts->secret, key, text)};
	size_t low = 0, high = parts->n_keys;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (index_keys_compare(&parts->keys[middle], &first) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	bool matters = key & (KEY_ID | KEY_NAME);
	size_t own = 0; /* of a name that stands twice, two */
	for (; matters && low < parts->n_keys && parts->keys[low].hash == first.hash; low++) {
		uint32_t number = parts->keys[low].number;
		own += number == search->number;
		if (own > 1 ||
		    (number != search->number && has_key(search->set, number, key, text)))
			search->unique = false;
	}
	return search->unique;
}

/* No other record may have an ID or a name of one that was parsed. */
static bool are_unique(struct record_set *set, const struct index_parts *parts)
{
	struct search search = {.set = set, .parts = parts, .unique = true};
	const struct key_visitor visitor = {.visit = look_for_another, .userdata = &search};
	const struct slots *parsed = &set->base->edited.slots;
	for (size_t i = 0; i < parsed->len; i++) {
		search.number = parsed->items[i]->place;
		if (!record_visit_keys(set, parsed->items[i]->record, &visitor))
			return false;
	}
	return true;
}

static bool renew(struct renewal *r)
{
	struct record_set *set = r->set;
	struct record_base *base = set->base;
	const struct index_source source = record_index_source(set);
	bool ok = index_read_all(base->index, &base->parts);
	base->prepared = true;
	r->most_strangers = MAX(base->parts.n_entries / 4, (size_t)STRANGERS);
	for (r->file = 0; ok && r->file < set->n_files; r->file++)
		ok = renew_file(r, &source);
	return ok && index_update(set, r->from, &r->new) && are_unique(set, &r->new);
}

struct index_file *record_index_renew(struct record_set *set, struct index_file *old)
{
	if (!record_base_start(set, old))
		return NULL;
	struct renewal r = {.set = set};
	r.reader = (struct record_reader){.json = &r.json, .arena = &set->loaded_memory};
	struct index_file *index = renew(&r) ? index_new(&r.new) : NULL;
	record_reader_free(&r.reader);
	strbuf_free(&r.printed);
	index_parts_free(&r.new);
	free(r.from);
	free(r.window);
	free(r.by_sum);
	record_set_clear(set);
	return index;
}
