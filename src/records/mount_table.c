/* SPDX-License-Identifier: Apache-2.0 */
/* mountpoints.json: which layers are mounted where, and how often (docs/format/store.md, "Mount
 * point"). */
#include "records/layer_table_internal.h"
#include <assert.h>
#include <sys/stat.h>

static const struct member members[] = {
        MEMBER("id", read_text, struct mount_record, id),
        MEMBER("path", read_text, struct mount_record, path),
        MEMBER("count", read_int64, struct mount_record, count),
};

/* The layer's record with this mount state; not a change of layers.json. */
static bool set_state(struct layer_table *t, const cst_layer *layer, struct mount_state state)
{
	if (state.count <= 0 || !*state.path)
		state = (struct mount_state){.path = ""};
	if (layer->mount_count == state.count && streq(layer->mount_point, state.path))
		return true;
	bool was = layer->mount_count;
	t->mounting = &state;
	bool ok = record_set_put(&t->set, layer, false);
	t->mounting = NULL;
	if (ok)
		t->mounted += (state.count != 0) - was;
	return ok;
}

static bool forget_all(struct layer_table *t)
{
	struct mount_state none = {.path = ""};
	const cst_layer *layer;
	size_t i = 0;
	while (t->mounted && (layer = record_set_next_known(&t->set, &i))) {
		if (!set_state(t, layer, none))
			return false;
	}
	return true;
}

/* Is <mounts_home>/X/Y the path, by whatever name its owner knows the directory? */
static bool is_ours(const struct layer_table *t, const char *path)
{
	struct stat home, now;
	if (!t->mounts_home)
		return true;
	size_t len = strlen(t->mounts_home);
	if (strncmp(path, t->mounts_home, len) == 0 && path[len] == '/')
		return true;
	_cleanup_free_ char *above = strdup(path);
	for (int i = 0; above && i < 2; i++) {
		char *slash = strrchr(above, '/');
		if (!slash || slash == above)
			return false;
		*slash = '\0';
	}
	return above && stat(above, &now) == 0 && stat(t->mounts_home, &home) == 0 &&
	       now.st_dev == home.st_dev && now.st_ino == home.st_ino;
}

static bool keep_foreign(struct layer_table *t, const struct mount_record *entry)
{
	struct mount_record *grown = grow_array(t->foreign_mounts, &t->foreign_mounts_capacity,
	                                        t->n_foreign_mounts + 1, sizeof(*grown));
	if (!grown)
		return false;
	t->foreign_mounts = grown;
	grown[t->n_foreign_mounts++] =
	        (struct mount_record){.id = arena_strdup(&t->foreign_memory, entry->id),
	                              .path = arena_strdup(&t->foreign_memory, entry->path),
	                              .count = entry->count};
	return !t->foreign_memory.failed;
}

/* An entry of a layer that is gone is dropped. */
static bool take_entry(struct layer_table *t, const struct mount_record *entry)
{
	if (*entry->path && !is_ours(t, entry->path))
		return keep_foreign(t, entry);
	const cst_layer *layer = *entry->path ? layer_table_find(&t->set, entry->id) : NULL;
	struct mount_state state = {entry->path, (int)MIN(entry->count, (int64_t)INT32_MAX)};
	return !layer || set_state(t, layer, state);
}

static bool read_entries(struct layer_table *t, struct record_reader *r)
{
	if (json_array_begin(r->json)) {
		while (json_array_next(r->json)) {
			struct mount_record entry = {.id = "", .path = ""};
			struct raw_members unknown;
			record_read(r, members, ARRAY_SIZE(members), &entry, &unknown);
			if (json_ok(r->json) && !r->bad && !take_entry(t, &entry)) {
				r->arena->failed = true;
				return json_fail(r->json, "out of memory");
			}
		}
	}
	return json_finish(r->json);
}

static int load_text(struct layer_table *t, const char *text, size_t len, cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	struct json_reader json;
	struct record_reader r = {.json = &json, .arena = &arena};
	if (!forget_all(t))
		return error_oom(error);
	t->n_foreign_mounts = 0;
	arena_clear(&t->foreign_memory);
	if (!len)
		return 0;
	json_reader_init(&json, text, len, &arena);
	bool ok = read_entries(t, &r);
	record_reader_free(&r);
	if (ok)
		return 0;
	_cleanup_free_ char *shown = str_join("loading \"", t->mounts.path, "\"");
	return shown ? record_file_blame(&t->mounts, json_error(&json, shown, error), error)
	             : error_oom(error);
}

int layer_table_load_mounts(struct record_set *layers, struct lockfile *mounts, cst_error **error)
{
	struct layer_table *t = (struct layer_table *)layers;
	struct lock_token token;
	_cleanup_free_ char *text = NULL;
	size_t len;
	bool changed = true;
	if (!t->has_mounts)
		return 0;
	int r = lockfile_read_token(mounts, &token, error);
	if (r == 0 && t->mounts_loaded && lock_token_equal(&token, &t->mounts_token))
		r = record_file_changed(&t->mounts, &changed, error);
	if (r < 0 || !changed)
		return r;
	t->mounts_loaded = t->mounts_dirty = false;
	r = record_file_open(&t->mounts, error);
	if (r == 0)
		r = record_file_read(&t->mounts, &text, &len, error);
	record_file_close(&t->mounts);
	if (r == 0)
		r = load_text(t, text, len, error);
	if (r < 0)
		return r;
	t->mounts_token = token;
	t->mounts_loaded = true;
	return 0;
}

bool layer_table_set_mount(struct record_set *layers, const char *id, const char *path, int count)
{
	struct layer_table *t = (struct layer_table *)layers;
	const cst_layer *layer = layer_table_get(layers, id);
	if (!layer)
		return true;
	if (layer->mount_count == count && streq(layer->mount_point, strempty(path)))
		return true;
	if (!set_state(t, layer, (struct mount_state){strempty(path), count}))
		return false;
	t->mounts_dirty = true;
	return true;
}

static void write_entry(struct json_writer *w, const char *id, const char *path, int64_t count)
{
	json_object_open(w);
	put_text(w, "id", id);
	put_text(w, "path", path);
	json_put_key(w, "count");
	json_put_int64(w, count);
	json_object_close(w);
}

/* Those of another store first: of two entries for one ID the Go tools believe the last. */
static void write_entries(const struct layer_table *t, struct strbuf *text)
{
	struct json_writer w;
	json_writer_init(&w, text, JSON_STORE);
	json_array_open(&w);
	for (size_t i = 0; i < t->n_foreign_mounts; i++)
		write_entry(&w, t->foreign_mounts[i].id, t->foreign_mounts[i].path,
		            t->foreign_mounts[i].count);
	const cst_layer *layer;
	size_t i = 0;
	while ((layer = record_set_next_known(&t->set, &i))) {
		if (layer->mount_count)
			write_entry(&w, layer->id, layer->mount_point, layer->mount_count);
	}
	json_array_close(&w);
}

int layer_table_save_mounts(struct record_set *layers, struct lockfile *mounts, cst_error **error)
{
	struct layer_table *t = (struct layer_table *)layers;
	_cleanup_strbuf_ struct strbuf text = {0};
	assert(lockfile_held(mounts, LOCKFILE_WRITE));
	if (!t->mounts_dirty)
		return 0;
	if (t->set.read_only || !t->has_mounts)
		return error_about(error, CST_ESTORE_READ_ONLY, t->set.files[0].path);
	if (!t->mounts_loaded)
		return error_set(error, CST_ECORRUPT, "saving \"%s\": it was not loaded",
		                 t->mounts.path);
	write_entries(t, &text);
	if (text.failed)
		return error_oom(error);
	int r = lockfile_touch(mounts, &t->mounts_token, error);
	if (r == 0)
		r = record_file_write(&t->mounts,
		                      &(struct fs_content){.data = text.data, .size = text.len},
		                      error);
	if (r < 0) {
		t->mounts_loaded = false;
		return r;
	}
	t->mounts_dirty = false;
	record_set_release(&t->set);
	return 0;
}

/* What was read until the damage is in the table by then. */
int layer_table_mend_mounts(struct record_set *layers, struct lockfile *mounts, const char *when,
                            bool *mended, cst_error **error)
{
	struct layer_table *t = (struct layer_table *)layers;
	_cleanup_error_ cst_error *problem = NULL;
	int r = layer_table_load_mounts(layers, mounts, &problem);
	if (r != CST_ECORRUPT)
		return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
	r = record_file_put_aside(&t->mounts, when, error);
	if (r < 0)
		return r;
	t->mounts_dirty = t->mounts_loaded = true;
	r = layer_table_save_mounts(layers, mounts, error);
	*mended = r == 0;
	return r;
}
