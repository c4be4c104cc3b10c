/* SPDX-License-Identifier: Apache-2.0 */
/* Prints store options as `config` does (docs/format/command.md, "JSON"). */
#include "base/json.h"
#include "config/storage_conf.h"

static void put_text(struct json_writer *w, const char *key, const char *value)
{
	if (isempty(value))
		return;
	json_put_key(w, key);
	json_put_string(w, value);
}

static void put_list(struct json_writer *w, const char *key, const char *const *items, size_t n)
{
	if (!n)
		return;
	json_put_key(w, key);
	json_put_strings(w, items, n);
}

static void put_map(struct json_writer *w, const char *key, const cst_idmap *map, size_t n)
{
	if (!n)
		return;
	json_put_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < n; i++) {
		json_object_open(w);
		json_put_key(w, "container_id");
		json_put_int64(w, map[i].container_id);
		json_put_key(w, "host_id");
		json_put_int64(w, map[i].host_id);
		json_put_key(w, "size");
		json_put_int64(w, map[i].size);
		json_object_close(w);
	}
	json_array_close(w);
}

static void put_number(struct json_writer *w, const char *key, uint32_t value)
{
	if (!value)
		return;
	json_put_key(w, key);
	json_put_int64(w, value);
}

static void put_true(struct json_writer *w, const char *key, bool value)
{
	if (!value)
		return;
	json_put_key(w, key);
	json_put_bool(w, true);
}

static bool put_pull_options(struct json_writer *w, const cst_store_options *options)
{
	json_put_key(w, "PullOptions");
	if (!options->has_pull_options) {
		json_put_null(w);
		return true;
	}
	json_object_open(w);
	for (size_t i = 0; i < options->n_pull_options; i++) {
		const char *pair = options->pull_options[i], *value = strchrnul(pair, '=');
		_cleanup_free_ char *key = strndup(pair, (size_t)(value - pair));
		if (!key)
			return false;
		json_put_key(w, key);
		json_put_string(w, *value ? value + 1 : "");
	}
	json_object_close(w);
	return true;
}

int cst_store_options_json(const cst_store_options *given, char **json, cst_error **error)
{
	cst_store_options taken = CST_STORE_OPTIONS_INIT;
	const cst_store_options *options = &taken;
	int r = store_options_take(&taken, given, error);
	if (r < 0)
		return r;
	_cleanup_strbuf_ struct strbuf out = {0};
	struct json_writer w;
	json_writer_init(&w, &out, JSON_OUTPUT);
	json_object_open(&w);
	put_text(&w, "runroot", options->run_root);
	put_text(&w, "root", options->graph_root);
	put_text(&w, "imagestore", options->image_store);
	put_text(&w, "driver", options->driver);
	put_list(&w, "driver-priority", options->driver_priority, options->n_driver_priority);
	put_list(&w, "driver-options", options->driver_options, options->n_driver_options);
	put_map(&w, "uidmap", options->uid_map, options->n_uid_map);
	put_map(&w, "gidmap", options->gid_map, options->n_gid_map);
	put_text(&w, "root_auto_ns_user", options->root_auto_userns_user);
	put_number(&w, "auto_userns_min_size", options->auto_userns_min_size);
	put_number(&w, "auto_userns_max_size", options->auto_userns_max_size);
	if (!put_pull_options(&w, options))
		return error_oom(error);
	put_true(&w, "disable-volatile", options->disable_volatile);
	put_true(&w, "transient_store", options->transient_store);
	json_object_close(&w);
	char *text = strbuf_steal(&out);
	if (!text)
		return error_oom(error);
	*json = text;
	return 0;
}
