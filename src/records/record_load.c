/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From files to records (docs/format/store.md, "Load path"). A file that is not understood fails
 * the load, and nothing is saved over it. A single record that cannot be used is kept as its bytes,
 * at its place, and the others are served.
 */
#include "base/log.h"
#include "records/record_base.h"
#include "records/record_index.h"

int record_set_stale(const struct record_set *set, const struct lock_token *token, bool *ret,
                     cst_error **error)
{
	bool stale =
	        !set->loaded || set->stale || set->broken || !lock_token_equal(token, &set->token);
	for (unsigned f = 0; f < set->n_files && !stale; f++) {
		int r = record_file_changed(&set->files[f], &stale, error);
		if (r < 0)
			return r;
	}
	*ret = stale;
	return 0;
}

int record_set_open(struct record_set *set, const struct lock_token *token, cst_error **error)
{
	set->loaded = false;
	for (unsigned f = 0; f < set->n_files; f++) {
		_cleanup_error_ cst_error *problem = NULL;
		int r = record_file_open(&set->files[f], &problem);
		if (r == CST_ECORRUPT && set->salvaging)
			set->salvaged |= 1u << f;
		else if (r < 0)
			return error_propagate(error, steal_ptr(&problem));
	}
	set->token = *token;
	set->stale = false;
	record_base_open(set);
	return 0;
}

/* Only raw from now on. `text` is what stood in the file. */
static bool keep_raw(struct record_set *set, struct slot *slot, const char *text, size_t len,
                     const char *why)
{
	log_warning("%s: %s \"%s\" cannot be used and is kept as it is: %s",
	            set->files[slot->file].path, set->kind->what, slot->id, why);
	slot->record = NULL;
	slot->why = why;
	set->unusable++;
	slot->raw = arena_strndup(&set->raw_memory, text, len);
	slot->raw_len = len;
	return slot->raw;
}

/* Takes the record into the set under its ID. Of two with one ID one stays raw; the first time
 * round every slot still points to its text. */
static bool take_record(struct record_set *set, struct slot *slot)
{
	static const char duplicate[] = "another one has the same ID";
	struct slot *other = hashmap_get(&set->by_id, slot->id);
	if (other && !set->kind->last_wins)
		return keep_raw(set, slot, slot->raw, slot->raw_len, duplicate);
	if (other && !keep_raw(set, other, other->raw, other->raw_len, duplicate))
		return false;
	return hashmap_put(&set->by_id, slot->id, slot);
}

static bool read_record(struct record_set *set, unsigned f, struct record_reader *r)
{
	struct json_reader *json = r->json;
	const char *start = json->pos;
	void *record = arena_alloc(&set->loaded_memory, set->kind->size);
	if (!record)
		return json_fail(json, "out of memory");
	set->kind->read(r, record);
	if (!json_ok(json))
		return false;
	const char *id = *(const char **)record;
	if (!*id)
		r->bad = "empty ID";
	struct slot *slot = record_slot_new(id, f);
	if (!slot || !record_slots_insert(&set->content[f], set->content[f].len, slot)) {
		free(slot);
		set->loaded_memory.failed = true;
		return json_fail(json, "out of memory");
	}
	slot->record = record;
	slot->raw = start;
	slot->raw_len = (size_t)(json->pos - start);
	slot->at = (uint32_t)(start - json->start); /* no file is larger */
	slot->length = (uint32_t)slot->raw_len;
	bool ok = r->bad ? keep_raw(set, slot, slot->raw, slot->raw_len, r->bad)
	                 : take_record(set, slot);
	set->loaded_memory.failed |= !ok;
	return ok || json_fail(json, "out of memory");
}

/* *end is where the last record ended that could be read. */
static bool read_records(struct record_set *set, unsigned f, struct record_reader *r,
                         const char **end)
{
	if (json_array_begin(r->json)) {
		while (json_array_next(r->json)) {
			if (json_peek(r->json) == JSON_NULL)
				json_skip(r->json); /* says nothing, and Go crashes on it */
			else if (!read_record(set, f, r))
				return false;
			*end = r->json->pos;
		}
	}
	return json_finish(r->json);
}

/* Reads all whole records from `at` on, each of which begins as every writer begins one. False: out of memory. */
static bool salvage_records(struct record_set *set, unsigned f, const char *at, const char *end)
{
	static const char beginning[] = "{\"id\":\"";
	const size_t len = sizeof(beginning) - 1;
	set->salvaged |= 1u << f;
	while ((at = memmem(at, (size_t)(end - at), beginning, len))) {
		struct json_reader json;
		struct record_reader r = {.json = &json, .arena = &set->loaded_memory};
		json_reader_init(&json, at, (size_t)(end - at), &set->loaded_memory);
		at = read_record(set, f, &r) ? json.pos : at + len;
		record_reader_free(&r);
		if (set->loaded_memory.failed)
			return false;
	}
	return true;
}

/* A power cut may leave a file that was written without a barrier empty, or full of zeros. */
static bool is_lost(const struct record_file *file, const char *text, size_t len)
{
	return file->is_volatile && len && !text[0] && memcmp(text, text + 1, len - 1) == 0;
}

static int load_file(struct record_set *set, unsigned f, const char *text, size_t len,
                     cst_error **error)
{
	if (!len)
		return 0;
	if (is_lost(&set->files[f], text, len)) {
		set->dirty[f] = LOST_NAMES;
		return 0;
	}
	struct json_reader json;
	struct record_reader r = {.json = &json, .arena = &set->loaded_memory};
	json_reader_init(&json, text, len, &set->loaded_memory);
	const char *end = text;
	bool ok = read_records(set, f, &r, &end);
	record_reader_free(&r);
	if (!ok && set->salvaging && !set->loaded_memory.failed)
		ok = salvage_records(set, f, end, text + len);
	if (ok && !set->loaded_memory.failed)
		return 0;
	set->damaged = !set->loaded_memory.failed;
	_cleanup_free_ char *shown = str_join("loading \"", set->files[f].path, "\"");
	return shown ? record_file_blame(&set->files[f], json_error(&json, shown, error), error)
	             : error_oom(error);
}

/* With all records there: the list, the prefixes, the names. */
static bool index_records(struct record_set *set)
{
	for (unsigned f = 0; f < set->n_files; f++) {
		for (size_t i = 0; i < set->content[f].len; i++) {
			struct slot *slot = set->content[f].items[i];
			if (!slot->record)
				continue;
			slot->raw = NULL; /* the text goes */
			slot->place = set->visible.len;
			const struct strings *names = record_names(set, slot->record);
			size_t n_names = names->len;
			if (!record_slots_insert(&set->visible, set->visible.len, slot) ||
			    !prefix_index_add(&set->prefixes, slot->id, slot) ||
			    !record_index_names(set, slot) ||
			    !set->kind->settle(set, &set->loaded_memory, slot->record, NULL, f))
				return false;
			/* Upstream since 1.62 writes a name twice that it was given twice, and whoever of
			 * its processes loads that record takes the name away from it. */
			if (names->len < n_names && !set->read_only)
				set->dirty[f] = LOST_NAMES;
		}
	}
	return true;
}

/* The later holder of a name has it; the earlier one's file is due to be saved. */
static bool drop_lost_names(struct record_set *set)
{
	bool any = false;
	for (size_t s = 0; s < set->visible.len; s++) {
		struct slot *slot = set->visible.items[s];
		if (!slot->lost_name)
			continue;
		struct strings *names = record_names(set, slot->record);
		const char **items = (const char **)names->items;
		size_t kept = 0;
		for (size_t i = 0; i < names->len; i++) {
			if (hashmap_get(&set->by_name, items[i]) == slot)
				items[kept++] = items[i];
		}
		names->len = kept;
		slot->lost_name = false;
		set->dirty[slot->file] = LOST_NAMES;
		any = true;
	}
	return any;
}

/* ---- records that are their own ancestors ---- */

static struct slot *parent_slot(const struct record_set *set, const struct slot *slot)
{
	return slot->record ? hashmap_get(&set->by_id, set->kind->parent(slot->record)) : NULL;
}

/* All records of the circle that `slot` is in. */
static bool drop_circle(struct record_set *set, struct slot *slot)
{
	for (struct slot *next; slot && slot->record; slot = next) {
		next = parent_slot(set, slot);
		hashmap_remove(&set->by_id, slot->id);
		if (!keep_raw(set, slot, slot->raw, slot->raw_len, RECORD_IS_CIRCLE))
			return false;
	}
	return true;
}

/* Whoever walks from a layer to its parents must come to an end. Each record is met once. */
static bool drop_circles(struct record_set *set)
{
	size_t walk = 0;
	for (unsigned f = 0; set->kind->parent && f < set->n_files; f++) {
		for (size_t i = 0; i < set->content[f].len; i++) {
			struct slot *slot = set->content[f].items[i];
			for (walk++; slot && !slot->walk; slot = parent_slot(set, slot))
				slot->walk = walk;
			if (slot && slot->walk == walk && !drop_circle(set, slot))
				return false;
		}
	}
	return true;
}

struct texts {
	char *text[RECORD_FILES];
};

static void texts_free(struct texts *texts)
{
	for (unsigned f = 0; f < RECORD_FILES; f++)
		free(texts->text[f]);
}

static int load_files(struct record_set *set, struct texts *texts, cst_error **error)
{
	for (unsigned f = 0; f < set->n_files; f++) {
		size_t len;
		int r = record_file_read(&set->files[f], &texts->text[f], &len, error);
		if (r == 0)
			r = load_file(set, f, texts->text[f], len, error);
		if (r < 0)
			return r;
	}
	if (!drop_circles(set) || !index_records(set))
		return error_oom(error);
	if (drop_lost_names(set) && set->read_only)
		return error_about(error, set->kind->duplicate_names, set->files[0].path);
	return 0;
}

int record_load_all(struct record_set *set, bool *repair, struct index_file **index,
                    cst_error **error)
{
	_cleanup_(texts_free) struct texts texts = {0};
	int r = load_files(set, &texts, error);
	if (r < 0)
		return r;
	bool wanted = record_set_dirty(set);
	if (set->kind->loaded)
		r = set->kind->loaded(set, &wanted, error);
	if (r < 0)
		return r;
	*repair = wanted;
	*index = !wanted && !set->salvaging && !set->unusable && record_base_wanted(set)
	                 ? record_index_build(set, texts.text)
	                 : NULL;
	return 0;
}

int record_load_again(struct record_set *set, cst_error **error)
{
	bool repair;
	struct index_file *index = NULL;
	int r = record_load_all(set, &repair, &index, error);
	if (index)
		record_index_write(set, index);
	index_free(index);
	return r;
}
