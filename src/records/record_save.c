/* SPDX-License-Identifier: Apache-2.0 */
/* Writes records to files. The token is written first, so that a process which sees the old token
 * has the old records. */
#include "records/record_splice.h"
#include <assert.h>

static int cannot_print(const struct record_set *set, cst_error **error)
{
	int r = record_set_problem(set, error);
	return r < 0 ? r : error_oom(error);
}

static bool encode(const struct record_set *set, unsigned f, struct strbuf *text)
{
	struct json_writer w;
	json_writer_init(&w, text, JSON_STORE);
	json_array_open(&w);
	for (size_t i = 0; i < set->content[f].len; i++) {
		const struct slot *slot = set->content[f].items[i];
		if (slot->record)
			set->kind->write(&w, slot->record);
		else
			json_put_raw(&w, slot->raw, slot->raw_len);
	}
	json_array_close(&w);
	return !text->failed;
}

/* What the files shall hold: printed, or spliced where the set has a base. */
struct encoded {
	struct strbuf text[RECORD_FILES];
	struct splice *splice;
};

static void encoded_free(struct encoded *encoded)
{
	for (unsigned f = 0; f < RECORD_FILES; f++)
		strbuf_free(&encoded->text[f]);
	splice_free(encoded->splice);
}

static int encode_all(struct record_set *set, struct encoded *encoded, cst_error **error)
{
	if (set->base) {
		encoded->splice = splice_new(set);
		return encoded->splice ? 0 : cannot_print(set, error);
	}
	for (unsigned f = 0; f < set->n_files; f++) {
		if (set->dirty[f] && !encode(set, f, &encoded->text[f]))
			return error_oom(error);
	}
	return 0;
}

static int write_file(struct record_set *set, unsigned f, enum dirt dirt,
                      const struct encoded *encoded, cst_error **error)
{
	if (set->dirty[f] != dirt)
		return 0;
	struct fs_content content = {.data = encoded->text[f].data, .size = encoded->text[f].len};
	if (encoded->splice)
		content = splice_content(encoded->splice, f);
	int r = record_file_write(&set->files[f], &content, error);
	if (r == 0)
		set->dirty[f] = CLEAN;
	return r;
}

/* Who got a name is saved before who lost it: a crash in between leaves it with both, which the
 * next load mends. Likewise a record comes after what it builds on, and goes before it. */
static int write_files(struct record_set *set, const struct encoded *encoded, cst_error **error)
{
	int r = 0;
	for (unsigned i = 0; r == 0 && i < set->n_files; i++)
		r = write_file(set, set->order[i], EDITED, encoded, error);
	for (enum dirt dirt = LOST_RECORDS; dirt > CLEAN; dirt--) {
		for (unsigned i = set->n_files; r == 0 && i > 0; i--)
			r = write_file(set, set->order[i - 1], dirt, encoded, error);
	}
	return r;
}

static int check_savable(const struct record_set *set, cst_error **error)
{
	if (set->read_only)
		return error_about(error, CST_ESTORE_READ_ONLY, set->files[0].path);
	if (set->broken)
		return cannot_print(set, error);
	if (!set->loaded)
		return error_set(error, CST_ECORRUPT, "saving \"%s\": %s", set->files[0].path,
		                 set->damaged ? "what it holds now is not understood"
		                              : "it was not loaded");
	return 0;
}

/* ---- memory ---- */

#define EDITS_WORTH_A_COPY 256

static bool copy_all(const struct record_set *set, struct arena *memory, void **records)
{
	for (size_t i = 0; i < set->visible.len; i++) {
		records[i] = arena_alloc(memory, set->kind->size);
		if (!records[i] ||
		    !set->kind->copy(memory, set->visible.items[i]->record, records[i]))
			return false;
	}
	return true;
}

/* Once most of what lies in memory is garbage or scattered, all that is left moves together.
 * Without memory for it everything stays as it is. */
static void compact(struct record_set *set)
{
	if (set->base || set->edited + set->removed < EDITS_WORTH_A_COPY + set->visible.len)
		return;
	struct arena memory = {0};
	struct hashmap names = {0};
	_cleanup_free_ void **records = new0(void *, set->visible.len + 1);
	bool ok = records && copy_all(set, &memory, records);
	for (size_t i = 0; ok && i < set->visible.len; i++) {
		const struct strings *list = record_names(set, records[i]);
		for (size_t n = 0; ok && n < list->len; n++)
			ok = hashmap_put(&names, list->items[n], set->visible.items[i]);
	}
	if (!ok) {
		hashmap_free(&names);
		arena_clear(&memory);
		return;
	}
	hashmap_free(&set->by_name);
	set->by_name = names;
	for (size_t i = 0; i < set->visible.len; i++) {
		set->visible.items[i]->record = records[i];
		arena_clear(&set->visible.items[i]->memory);
	}
	arena_clear(&set->loaded_memory);
	set->loaded_memory = memory;
	set->edited = set->removed = 0;
}

/* ---- saving ---- */

int record_set_save(struct record_set *set, struct lockfile *lock, cst_error **error)
{
	_cleanup_(encoded_free) struct encoded encoded = {0};
	assert(lockfile_held(lock, LOCKFILE_WRITE));
	if (!record_set_dirty(set) && !set->damaged)
		return 0;
	int r = check_savable(set, error);
	if (r == 0)
		r = encode_all(set, &encoded, error);
	if (r == 0)
		r = lockfile_touch(lock, &set->token, error);
	if (r == 0)
		r = write_files(set, &encoded, error);
	if (r < 0) {
		set->stale = true;
		return r;
	}
	if (encoded.splice)
		splice_done(encoded.splice);
	record_set_release(set);
	compact(set);
	return 0;
}

void record_set_retry_reserves(struct record_set *set)
{
	for (unsigned f = 0; f < set->n_files; f++)
		record_file_retry_reserve(&set->files[f]);
}
