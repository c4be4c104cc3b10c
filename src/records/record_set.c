/* SPDX-License-Identifier: Apache-2.0 */
/* The records of one kind in memory, and their indexes by ID and name. */
#include "base/checksum.h"
#include "records/record_base.h"

/* To parse so many bytes takes a millisecond or two. */
#define WORTH_AN_INDEX 262144

static size_t worth_an_index(void)
{
#ifdef CST_FAULT_INJECTION
	const char *said = getenv("CST_INDEX_FROM"); /* so that small stores of tests have one */
	if (said)
		return strtoul(said, NULL, 10);
#endif
	return WORTH_AN_INDEX;
}

void *record_set_new(const struct record_kind *kind, size_t size, bool read_only)
{
	struct record_set *set = calloc(1, size);
	if (!set)
		return NULL;
	set->kind = kind;
	set->read_only = read_only;
	set->worth_an_index = worth_an_index();
	pthread_mutex_init(&set->lazy, NULL);
	return set;
}

int record_set_add_file(struct record_set *set, const char *dir, const char *name, bool is_volatile,
                        cst_error **error)
{
	int r = record_file_init(&set->files[set->n_files], dir, name, is_volatile, error);
	if (r < 0)
		return r;
	set->order[set->n_files] = set->n_files;
	set->n_files++;
	return 0;
}

void record_set_release(struct record_set *set)
{
	for (size_t i = 0; i < set->n_retired; i++)
		arena_clear(&set->retired[i]);
	set->n_retired = 0;
}

void record_set_clear(struct record_set *set)
{
	if (set->kind->clear)
		set->kind->clear(set);
	for (unsigned f = 0; f < RECORD_FILES; f++) {
		for (size_t i = 0; i < set->content[f].len; i++)
			record_slot_free(set->content[f].items[i]);
		set->content[f].len = 0;
		set->dirty[f] = CLEAN;
	}
	set->visible.len = 0;
	hashmap_free(&set->by_id);
	hashmap_free(&set->by_name);
	prefix_index_clear(&set->prefixes);
	record_set_release(set);
	record_base_free(set);
	arena_clear(&set->loaded_memory);
	arena_clear(&set->raw_memory);
	cst_error_free(steal_ptr(&set->problem));
	set->blank = NULL;
	set->edited = set->removed = set->unusable = 0;
	set->loaded = set->damaged = set->broken = false;
}

/* Its name follows from the paths of the files: two stores may share a run directory. */
void record_set_use_index(struct record_set *set, const char *dir, bool writes)
{
	char digits[17] = "";
	uint64_t sum = 0;
	for (unsigned f = 0; f < set->n_files; f++)
		sum = sum64(sum, set->files[f].path, strlen(set->files[f].path));
	for (unsigned i = 0; i < 16; i++)
		digits[i] = "0123456789abcdef"[sum >> (60 - 4 * i) & 15];
	set->index_dir = strdup(dir);
	set->index_name = str_join(set->kind->what, "s-", digits, ".index");
	set->writes_index = writes;
	if (set->index_dir && set->index_name)
		return;
	free(steal_ptr(&set->index_dir));
	free(steal_ptr(&set->index_name));
}

void record_set_free(struct record_set *set)
{
	if (!set)
		return;
	record_set_clear(set);
	for (unsigned f = 0; f < RECORD_FILES; f++)
		free(set->content[f].items);
	for (unsigned f = 0; f < set->n_files; f++)
		record_file_free(&set->files[f]);
	index_free(set->opened_index);
	free(set->index_dir);
	free(set->index_name);
	free(set->visible.items);
	free(set->retired);
	prefix_index_free(&set->prefixes);
	pthread_mutex_destroy(&set->lazy);
	if (set->kind->freed)
		set->kind->freed(set);
	free(set);
}

/* ---- look-ups ---- */

size_t record_set_size(const struct record_set *set)
{
	size_t size;
	return record_base_size(set, &size) ? size : set->visible.len;
}

static void *record_of(const struct slot *slot)
{
	return slot ? slot->record : NULL;
}

void *record_set_at(const struct record_set *set, size_t i)
{
	struct slot *slot;
	bool in_range = i < record_set_size(set);
	if (!record_base_at(set, i, &slot))
		slot = i < set->visible.len ? set->visible.items[i] : NULL;
	return slot || !in_range ? record_of(slot) : set->blank;
}

void *record_set_next_known(const struct record_set *set, size_t *i)
{
	struct slot *slot;
	if (!record_base_next_known(set, i, &slot))
		slot = *i < set->visible.len ? set->visible.items[(*i)++] : NULL;
	return record_of(slot);
}

struct slot *record_set_slot(const struct record_set *set, const char *id)
{
	struct slot *slot;
	if (!record_base_find(set, KEY_ID, id, NULL, &slot))
		slot = hashmap_get(&set->by_id, id);
	return slot;
}

void *record_set_get(const struct record_set *set, const char *id)
{
	return record_of(record_set_slot(set, id));
}

void *record_set_by_name(const struct record_set *set, const char *name)
{
	struct slot *slot;
	if (!record_base_find(set, KEY_NAME, name, NULL, &slot))
		slot = hashmap_get(&set->by_name, name);
	return record_of(slot);
}

/* Where the slot is in the list of all: as far from its first place as edits moved it. */
static size_t place_of(const struct record_set *set, const struct slot *slot)
{
	const struct slots *all = &set->visible;
	for (size_t off = 0; off < slot->place + all->len; off++) {
		if (slot->place + off < all->len && all->items[slot->place + off] == slot)
			return slot->place + off;
		if (off <= slot->place && slot->place - off < all->len &&
		    all->items[slot->place - off] == slot)
			return slot->place - off;
	}
	return all->len;
}

void *record_set_next(const struct record_set *set, unsigned keys, const char *text,
                      const void *previous)
{
	const char *id = previous ? *(const char *const *)previous : NULL;
	struct slot *slot, *before = id ? record_set_slot(set, id) : NULL;
	if (isempty(text) || (previous && !before))
		return NULL;
	if (record_base_find(set, keys, text, before, &slot))
		return record_of(slot);
	/* The slot found above may be of a base that is gone now. */
	before = id ? hashmap_get(&set->by_id, id) : NULL;
	if (id && !before)
		return NULL;
	for (size_t i = before ? place_of(set, before) + 1 : 0; i < set->visible.len; i++) {
		slot = set->visible.items[i];
		if (record_has_key(set, slot->record, keys, text))
			return slot->record;
	}
	return NULL;
}

static void *by_prefix(const struct record_set *set, const char *prefix)
{
	struct slot *slot;
	if (record_base_find_prefix(set, prefix, &slot))
		return record_of(slot);
	struct record_set *writable = (struct record_set *)set; /* to sort what it holds, once */
	pthread_mutex_lock(&writable->lazy);
	prefix_index_sort(&writable->prefixes);
	void *found = record_of(prefix_index_find(&set->prefixes, prefix));
	pthread_mutex_unlock(&writable->lazy);
	return found;
}

void *record_set_find(const struct record_set *set, const char *id)
{
	void *record = record_set_get(set, id);
	if (!record)
		record = record_set_by_name(set, id);
	if (!record && set->kind->find)
		record = set->kind->find(set, id);
	return record ? record : by_prefix(set, id);
}

bool record_set_dirty(const struct record_set *set)
{
	for (unsigned f = 0; f < set->n_files; f++) {
		if (set->dirty[f])
			return true;
	}
	return false;
}

bool record_set_copy_all(const struct record_set *set, struct arena *arena, void *to, size_t n,
                         uint32_t unwanted)
{
	struct json_reader json;
	struct record_reader r = {.json = &json, .arena = arena, .unwanted = unwanted};
	bool ok = true;
	json_reader_init(&json, NULL, 0, arena);
	for (size_t i = 0; ok && i < n; i++) {
		void *copy = (char *)to + i * set->kind->size;
		if (record_base_read_at(set, i, &r, copy))
			continue;
		const void *record = record_set_at(set, i);
		ok = record && record_set_problem(set, NULL) == 0 &&
		     set->kind->copy(arena, record, copy);
	}
	record_reader_free(&r);
	return ok;
}

int record_set_problem(const struct record_set *set, cst_error **error)
{
	struct record_set *writable =
	        (struct record_set *)set; /* another thread may meet it just now */
	pthread_mutex_lock(&writable->lazy);
	const cst_error *problem = set->problem;
	pthread_mutex_unlock(&writable->lazy);
	return problem ? error_set(error, cst_error_code(problem), "%s", cst_error_message(problem))
	               : 0;
}

void *record_set_copy(const struct record_set *set, struct arena *arena, const void *record)
{
	void *copy = arena_alloc(arena, set->kind->size);
	return copy && set->kind->copy(arena, record, copy) ? copy : NULL;
}

/* Makes the slot's record the holder of its names. A name that stands twice in it is kept once. A
 * former holder is marked: its names are to be filtered. */
bool record_index_names(struct record_set *set, struct slot *slot)
{
	struct strings *names = record_names(set, slot->record);
	const char **items = (const char **)names->items; /* of a record that nobody has seen yet */
	size_t kept = 0;
	for (size_t i = 0; i < names->len; i++) {
		struct slot *holder = hashmap_get(&set->by_name, items[i]);
		if (holder == slot)
			continue;
		if (holder)
			holder->lost_name = true;
		if (!hashmap_put(&set->by_name, items[i], slot))
			return false;
		items[kept++] = items[i];
	}
	names->len = kept;
	return true;
}
