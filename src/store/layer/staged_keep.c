/* SPDX-License-Identifier: Apache-2.0 */
/* Staged layers that outlive their process. The driver keeps the content. Beside it lie the tar-split, the data items, and in the
 * file KEPT_STATE what is known of the layer; whoever adopts it reads all of that as data of a stranger. */
#include "archive/tree/copy_data.h"
#include "records/record_fields.h"
#include "store/change/recover.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/replace.h"
#include "store/layer/staged.h"
#include <errno.h>
#include <unistd.h>

#define STATE_VERSION 1
#define STATE_LIMIT   (64 * 1024 * 1024)

/* ---- copies between the two places ---- */

static int copy_file(int from_fd, int to_fd, const char *name, cst_error **error)
{
	struct copy_ways ways = {0};
	struct stat st;
	_cleanup_close_ int in = fs_open_beneath(from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (in < 0 || fstat(in, &st) < 0)
		return error_sys(error, errno, "open %s", name);
	int r = fs_must_be_regular(in, name, error);
	if (r < 0)
		return r;
	_cleanup_close_ int out =
	        sys_openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return error_sys(error, errno, "open %s", name);
	r = copy_data(in, out, st.st_size, &ways, name, error);
	return r == 0 && sys_fsync(out) < 0 ? error_sys(error, errno, "fsync %s", name) : r;
}

static int copy_items(const struct new_data *data, int from_fd, int to_fd, cst_error **error)
{
	if (sys_mkdirat(to_fd, STAGED_DATA, 0700) < 0)
		return error_sys(error, errno, "mkdir %s", STAGED_DATA);
	int r = 0;
	for (size_t i = 0; r == 0 && i < data->len; i++) {
		_cleanup_free_ char *file = data_file_name(data->items[i].name);
		_cleanup_free_ char *path = file ? path_join(STAGED_DATA, file) : NULL;
		r = path ? copy_file(from_fd, to_fd, path, error) : error_oom(error);
	}
	return r == 0 ? fs_fsync_path(to_fd, STAGED_DATA, STAGED_DATA, error) : r;
}

static int copy_metadata(const struct new_layer *layer, int from_fd, int to_fd, cst_error **error)
{
	int r = layer->has_tarsplit ? copy_file(from_fd, to_fd, layer->tarsplit, error) : 0;
	return r == 0 && layer->data.staged ? copy_items(&layer->data, from_fd, to_fd, error) : r;
}

/* ---- what is known ---- */

static int write_state(const cst_staged_layer *staged, struct strbuf *text, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf record = {0};
	const struct new_layer *layer = &staged->layer;
	char created[TIMESTAMP_MAX];
	struct json_writer w;
	json_writer_init(&w, &record, JSON_STORE);
	layer_write(&w, &layer->record);
	timestamp_format(&layer->parent_created, created);
	json_writer_init(&w, text, JSON_STORE);
	json_object_open(&w);
	json_put_key(&w, "version");
	json_put_int64(&w, STATE_VERSION);
	json_put_key(&w, "existing");
	json_put_bool(&w, staged->for_existing);
	json_put_key(&w, "tarsplit");
	json_put_bool(&w, layer->has_tarsplit);
	json_put_key(&w, "file");
	json_put_int64(&w, layer->record.file);
	put_text(&w, "parent-created", created);
	put_text(&w, "record", strbuf_str(&record));
	json_put_key(&w, "data");
	json_array_open(&w);
	for (size_t i = 0; i < layer->data.len; i++)
		json_put_string(&w, layer->data.items[i].name);
	json_array_close(&w);
	json_object_close(&w);
	return record.failed || text->failed ? error_oom(error) : 0;
}

/* The state comes last: without it nothing is kept. */
static int write_kept(int fd, void *userdata, cst_error **error)
{
	const cst_staged_layer *staged = userdata;
	const struct new_layer *layer = &staged->layer;
	_cleanup_strbuf_ struct strbuf text = {0};
	int r = write_state(staged, &text, error);
	if (r == 0 && layer->metadata)
		r = copy_metadata(layer, layer->metadata->fd, fd, error);
	return r == 0 ? fs_replace_file(fd, KEPT_STATE, text.data, text.len, 0600, FS_DURABLE, NULL,
	                                error)
	              : r;
}

int cst_staged_layer_keep(cst_staged_layer *staged, char **ret, cst_error **error)
{
	const struct driver_ops *ops = staged->layer.driver->ops;
	int r = staged_must_be(staged, STAGED_OPENED, STAGED_FILLED, error);
	if (r == 0 && staged->layer.kept)
		r = error_set(error, CST_EINVAL, "the staged layer is kept already");
	if (r == 0 && !ops->stage_keep)
		r = error_set(error, CST_ENOTSUP,
		              "with the driver %s no staged layer outlives its process", ops->name);
	_cleanup_free_ char *id = r == 0 ? strdup(ops->staged_id(staged->layer.staged)) : NULL;
	if (r == 0 && !id)
		r = error_oom(error);
	if (r == 0)
		r = staged_sync(staged, error);
	if (r == 0)
		r = ops->stage_keep(staged->layer.staged, write_kept, staged, error);
	if (r < 0)
		return r;
	staged->state = STAGED_FILLED;
	staged->layer.kept = ops->staged_id(staged->layer.staged);
	if (ret)
		*ret = steal_ptr(&id);
	return 0;
}

/* ---- going on ---- */

struct kept_state {
	int64_t version, file;
	bool existing, tarsplit;
	const char *parent_created, *record;
	struct strings data;
};

static bool read_names(struct json_reader *r, struct arena *arena, struct strings *ret)
{
	const char **items = NULL;
	size_t n = 0, room = 0;
	if (json_array_begin(r))
		while (json_array_next(r)) {
			if (n == room) {
				room = room ? 2 * room : 8;
				const char **grown = arena_alloc(arena, room * sizeof(*grown));
				if (!grown)
					return json_fail(r, "out of memory");
				if (n)
					memcpy(grown, items, n * sizeof(*grown));
				items = grown;
			}
			items[n] = "";
			if (!json_string(r, &items[n++]))
				return false;
		}
	*ret = (struct strings){.items = items, .len = n};
	return json_ok(r);
}

static bool read_member(struct json_reader *r, struct arena *arena, const char *key,
                        struct kept_state *ret)
{
	if (streq(key, "version"))
		return json_int64(r, &ret->version);
	if (streq(key, "file"))
		return json_int64(r, &ret->file);
	if (streq(key, "existing"))
		return json_bool(r, &ret->existing);
	if (streq(key, "tarsplit"))
		return json_bool(r, &ret->tarsplit);
	if (streq(key, "parent-created"))
		return json_string(r, &ret->parent_created);
	if (streq(key, "record"))
		return json_string(r, &ret->record);
	return streq(key, "data") ? read_names(r, arena, &ret->data) : json_skip(r);
}

static bool read_record(const char *text, struct arena *arena, cst_layer *ret)
{
	struct json_reader json;
	json_reader_init(&json, text, strlen(text), arena);
	_cleanup_(record_reader_free) struct record_reader reader = {.json = &json, .arena = arena};
	layer_read(&reader, ret);
	return json_ok(&json) && !reader.bad;
}

static bool parse_state(const char *text, size_t len, struct arena *arena, struct kept_state *ret)
{
	struct json_reader r;
	const char *key;
	*ret = (struct kept_state){.parent_created = "", .record = ""};
	json_reader_init(&r, text, len, arena);
	if (json_object_begin(&r))
		while (json_object_next(&r, &key))
			if (!read_member(&r, arena, key, ret))
				return false;
	return json_ok(&r) && ret->version == STATE_VERSION && ret->file >= 0 &&
	       ret->file < LAYER_FILES;
}

/* A key that no item can have would lead out of the directory. */
static int take_items(const struct strings *names, struct new_layer *layer, cst_error **error)
{
	struct data_item *items = arena_alloc(&layer->arena, (names->len + 1) * sizeof(*items));
	int r = items ? 0 : error_oom(error);
	for (size_t i = 0; r == 0 && i < names->len; i++) {
		items[i] = (struct data_item){.name = names->items[i], .digest = ""};
		r = data_check_key("layer", names->items[i], error);
	}
	if (r == 0 && names->len)
		layer->data = (struct new_data){.items = items, .len = names->len, .staged = true};
	return r;
}

static int take_state(const struct kept_state *state, cst_staged_layer *staged, cst_error **error)
{
	struct new_layer *layer = &staged->layer;
	const char *created = state->parent_created;
	if (!timestamp_parse(created, strlen(created), &layer->parent_created) ||
	    !read_record(state->record, &layer->arena, &layer->record))
		return error_set(error, CST_ECORRUPT,
		                 "what is known of the staged layer cannot be "
		                 "understood");
	layer->record.file = (enum layer_file)state->file;
	layer->has_tarsplit = state->tarsplit;
	strcpy(layer->tarsplit, TARSPLIT_STAGED);
	staged->for_existing = state->existing;
	layer->kept = layer->driver->ops->staged_id(layer->staged);
	staged->state = STAGED_FILLED;
	const struct idmaps maps = layer_maps(&layer->record);
	if (!idmaps_copy(&layer->maps, &maps))
		return error_oom(error);
	return take_items(&state->data, layer, error);
}

static int read_kept(cst_staged_layer *staged, int fd, cst_error **error)
{
	struct new_layer *layer = &staged->layer;
	_cleanup_free_ char *text = NULL;
	struct kept_state state;
	size_t len = 0;
	int r = fs_read_file(fd, KEPT_STATE, STATE_LIMIT, &text, &len, error);
	if (r == 0 && !parse_state(text, len, &layer->arena, &state))
		r = error_set(error, CST_ECORRUPT,
		              "what is known of the staged layer cannot be "
		              "understood");
	if (r == 0)
		r = take_state(&state, staged, error);
	if (r == 0 && (layer->has_tarsplit || layer->data.staged))
		r = metadata_stage(staged->store, &layer->metadata, error);
	return r == 0 && layer->metadata ? copy_metadata(layer, fd, layer->metadata->fd, error) : r;
}

static int adopt(cst_store *store, const char *id, cst_staged_layer *staged, int *fd,
                 cst_error **error)
{
	struct driver *driver = store->driver;
	if (store->read_only)
		return error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	int r = journals_recover(store, error); /* a commit that was cut short goes before */
	if (r < 0)
		return r;
	staged->store = store;
	staged->layer.driver = driver;
	return driver->ops->stage_adopt
	               ? driver->ops->stage_adopt(driver, id, &staged->layer.staged, fd, error)
	               : error_set(error, CST_ELAYER_UNKNOWN, "no staged layer has the ID \"%s\"",
	                           id);
}

int cst_store_adopt_staged_layer(cst_store *store, const char *id, cst_staged_layer **ret,
                                 cst_error **error)
{
	_cleanup_(cst_staged_layer_freep) cst_staged_layer *staged = new0(cst_staged_layer, 1);
	_cleanup_close_ int fd = -1;
	int r = staged ? adopt(store, id, staged, &fd, error) : error_oom(error);
	if (r == 0)
		r = layers_need(store, error);
	if (r == 0)
		r = read_kept(staged, fd, error);
	if (r < 0)
		return error_prefix(error, r, "staged layer %s", id);
	*ret = steal_ptr(&staged);
	return 0;
}

int cst_store_discard_staged_layer(cst_store *store, const char *id, cst_error **error)
{
	_cleanup_(cst_staged_layer_freep) cst_staged_layer *staged = new0(cst_staged_layer, 1);
	_cleanup_close_ int fd = -1;
	int r = staged ? adopt(store, id, staged, &fd, error) : error_oom(error);
	return r == 0 ? staged->layer.driver->ops->stage_unkeep(staged->layer.staged, error) : r;
}

int cst_store_staged_layers(cst_store *store, cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv ids = {0};
	const struct driver_ops *ops = store->driver->ops;
	int r = ops->stage_list ? ops->stage_list(store->driver, &ids, error) : 0;
	return r < 0 ? r : strings_give(&ids, ret, error);
}

const cst_layer *cst_staged_layer_record(const cst_staged_layer *staged)
{
	return &staged->layer.record;
}
