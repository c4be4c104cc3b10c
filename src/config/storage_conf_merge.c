/* SPDX-License-Identifier: Apache-2.0 */
/* Merges one storage.conf file into the settings (docs/format/config.md, "Keys"). */
#include "base/log.h"
#include "config/storage_conf.h"
#include <inttypes.h>
#include <stdio.h>

#define STORAGE "storage"
#define OPTIONS "storage.options"

const struct setting_info setting_infos[SETTING_COUNT] = {
        [SETTING_DRIVER] = {STORAGE, "driver", SETTING_STRING, ""},
        [SETTING_DRIVER_PRIORITY] = {STORAGE, "driver_priority", SETTING_LIST, ""},
        [SETTING_RUNROOT] = {STORAGE, "runroot", SETTING_STRING, ""},
        [SETTING_GRAPHROOT] = {STORAGE, "graphroot", SETTING_STRING, ""},
        [SETTING_ROOTLESS_STORAGE_PATH] = {STORAGE, "rootless_storage_path", SETTING_STRING, ""},
        [SETTING_IMAGESTORE] = {STORAGE, "imagestore", SETTING_STRING, ""},
        [SETTING_TRANSIENT_STORE] = {STORAGE, "transient_store", SETTING_BOOL, ""},
        [SETTING_ROOT_AUTO_USERNS_USER] = {OPTIONS, "root-auto-userns-user", SETTING_STRING, ""},
        [SETTING_AUTO_USERNS_MIN_SIZE] = {OPTIONS, "auto-userns-min-size", SETTING_UINT32, ""},
        [SETTING_AUTO_USERNS_MAX_SIZE] = {OPTIONS, "auto-userns-max-size", SETTING_UINT32, ""},
        [SETTING_DISABLE_VOLATILE] = {OPTIONS, "disable-volatile", SETTING_BOOL, ""},
        [SETTING_ADDITIONAL_IMAGE_STORES] = {OPTIONS, "additionalimagestores", SETTING_LIST,
                                             "imagestore"},
        [SETTING_ADDITIONAL_LAYER_STORES] = {OPTIONS, "additionallayerstores", SETTING_LIST,
                                             "additionallayerstore"},
        [SETTING_SIZE] = {OPTIONS, "size", SETTING_STRING, "size"},
        [SETTING_MOUNT_PROGRAM] = {OPTIONS, "mount_program", SETTING_STRING, "mount_program"},
        [SETTING_SKIP_MOUNT_HOME] = {OPTIONS, "skip_mount_home", SETTING_STRING, "skip_mount_home"},
        [SETTING_IGNORE_CHOWN_ERRORS] = {OPTIONS, "ignore_chown_errors", SETTING_STRING,
                                         "ignore_chown_errors"},
        [SETTING_FORCE_MASK] = {OPTIONS, "force_mask", SETTING_MASK, "force_mask"},
        [SETTING_MOUNTOPT] = {OPTIONS, "mountopt", SETTING_STRING, "mountopt"},
        [SETTING_BTRFS_MIN_SPACE] = {OPTIONS ".btrfs", "min_space", SETTING_STRING,
                                     "btrfs.min_space"},
        [SETTING_BTRFS_SIZE] = {OPTIONS ".btrfs", "size", SETTING_STRING, "btrfs.size"},
        [SETTING_OVERLAY_IGNORE_CHOWN_ERRORS] = {OPTIONS ".overlay", "ignore_chown_errors",
                                                 SETTING_STRING, "overlay.ignore_chown_errors"},
        [SETTING_OVERLAY_MOUNT_PROGRAM] = {OPTIONS ".overlay", "mount_program", SETTING_STRING,
                                           "overlay.mount_program"},
        [SETTING_OVERLAY_MOUNTOPT] = {OPTIONS ".overlay", "mountopt", SETTING_STRING,
                                      "overlay.mountopt"},
        [SETTING_OVERLAY_SIZE] = {OPTIONS ".overlay", "size", SETTING_STRING, "overlay.size"},
        [SETTING_OVERLAY_INODES] = {OPTIONS ".overlay", "inodes", SETTING_STRING, "overlay.inodes"},
        [SETTING_OVERLAY_SKIP_MOUNT_HOME] = {OPTIONS ".overlay", "skip_mount_home", SETTING_STRING,
                                             "overlay.skip_mount_home"},
        [SETTING_OVERLAY_FORCE_MASK] = {OPTIONS ".overlay", "force_mask", SETTING_STRING,
                                        "overlay.force_mask"},
        [SETTING_OVERLAY_USE_COMPOSEFS] = {OPTIONS ".overlay", "use_composefs", SETTING_STRING,
                                           "overlay.use_composefs"},
        [SETTING_OVERLAY_SYNC] = {OPTIONS ".overlay", "sync", SETTING_STRING, "overlay.sync"},
        [SETTING_VFS_IGNORE_CHOWN_ERRORS] = {OPTIONS ".vfs", "ignore_chown_errors", SETTING_STRING,
                                             "vfs.ignore_chown_errors"},
        [SETTING_VFS_SYNC] = {OPTIONS ".vfs", "sync", SETTING_STRING, "vfs.sync"},
        [SETTING_ZFS_FSNAME] = {OPTIONS ".zfs", "fsname", SETTING_STRING, "zfs.fsname"},
        [SETTING_ZFS_MOUNTOPT] = {OPTIONS ".zfs", "mountopt", SETTING_STRING, "zfs.mountopt"},
        [SETTING_ZFS_SIZE] = {OPTIONS ".zfs", "size", SETTING_STRING, "zfs.size"},
};

/* Keys of earlier releases of containers/storage that have no effect now and no successor. */
static const struct {
	const char *table, *key;
} removed_keys[] = {
        {OPTIONS, "remap-uids"},
        {OPTIONS, "remap-gids"},
        {OPTIONS, "remap-user"},
        {OPTIONS, "remap-group"},
        {OPTIONS, "thinpool"},
        {OPTIONS, "aufs"},
        {OPTIONS, "override_kernel_check"},
};

const char *const setting_tables[SETTING_TABLES] = {
        STORAGE, OPTIONS, OPTIONS ".overlay", OPTIONS ".vfs", OPTIONS ".btrfs", OPTIONS ".zfs"};

void settings_free(struct settings *settings)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		free(settings->texts[i]);
		strv_free(&settings->lists[i]);
	}
	strv_free(&settings->pull_options);
	*settings = (struct settings){0};
}

static int wrong_type(const struct toml_node *node, const char *wanted, cst_error **error)
{
	return toml_error(node, error,
	                  "incompatible types: TOML value has type %s; destination has type %s",
	                  toml_type_text(node->type), wanted);
}

static int decode_text(const struct toml_node *node, char **ret, cst_error **error)
{
	if (node->type != TOML_STRING)
		return wrong_type(node, "string", error);
	if (strlen(node->text) != node->len)
		return toml_error(node, error, "the value contains a NUL character");
	char *text = strdup(node->text);
	if (!text)
		return error_oom(error);
	free(*ret);
	*ret = text;
	return 0;
}

static int decode_bool(const struct toml_node *node, char **ret, cst_error **error)
{
	if (node->type != TOML_BOOL)
		return wrong_type(node, "boolean", error);
	char *text = strdup(node->boolean ? "true" : "false");
	if (!text)
		return error_oom(error);
	free(*ret);
	*ret = text;
	return 0;
}

static int decode_number(const struct toml_node *node, const char *format, char **ret,
                         cst_error **error)
{
	if (node->type != TOML_INTEGER)
		return wrong_type(node, "integer", error);
	if (node->integer < 0 || node->integer > UINT32_MAX)
		return toml_error(node, error, "%" PRId64 " is out of range for uint32",
		                  node->integer);
	/* To the Go tools, zero is "not set". */
	char *text = node->integer ? str_printf(format, (uint32_t)node->integer) : strdup("");
	if (!text)
		return error_oom(error);
	free(*ret);
	*ret = text;
	return 0;
}

/* Decodes {append=true} inside of an array. */
static int decode_attributes(const struct toml_node *table, const struct toml_node *array,
                             bool *append, cst_error **error)
{
	for (const struct toml_node *node = table->first; node; node = node->next) {
		if (!streq(node->key, "append")) {
			_cleanup_strbuf_ struct strbuf shown = {0};
			toml_print(table, &shown);
			return toml_error(array, error, "unsupported key \"%s\" in map: %s",
			                  node->key, strbuf_str(&shown));
		}
		if (node->type != TOML_BOOL)
			return toml_error(array, error, "unable to cast append to bool: append");
		*append = node->boolean;
	}
	return 0;
}

static int decode_list(const struct toml_node *array, struct strv *list, bool *append,
                       cst_error **error)
{
	_cleanup_strv_ struct strv items = {0};
	bool adds = *append;
	if (array->type != TOML_ARRAY) {
		_cleanup_strbuf_ struct strbuf shown = {0};
		toml_print(array, &shown);
		return toml_error(array, error, "unable to cast to interface array: %s",
		                  strbuf_str(&shown));
	}
	for (const struct toml_node *item = array->first; item; item = item->next) {
		if (item->type == TOML_TABLE) {
			int code = decode_attributes(item, array, &adds, error);
			if (code < 0)
				return code;
			continue;
		}
		if (item->type != TOML_STRING) {
			_cleanup_strbuf_ struct strbuf shown = {0};
			toml_print(item, &shown);
			return toml_error(array, error,
			                  "unsupported item in attributed string slice: %s",
			                  strbuf_str(&shown));
		}
		if (strlen(item->text) != item->len)
			return toml_error(array, error, "an item contains a NUL character");
		if (!strv_add(&items, item->text))
			return error_oom(error);
	}
	*append = adds;
	if (!adds)
		strv_free(list);
	for (size_t i = 0; i < items.len; i++) {
		if (!strv_add(list, items.items[i]))
			return error_oom(error);
	}
	return 0;
}

static int decode_setting(struct settings *settings, enum setting setting,
                          const struct toml_node *node, cst_error **error)
{
	char **text = &settings->texts[setting];
	switch (setting_infos[setting].kind) {
	case SETTING_STRING: return decode_text(node, text, error);
	case SETTING_BOOL: return decode_bool(node, text, error);
	case SETTING_UINT32: return decode_number(node, "%u", text, error);
	case SETTING_MASK: return decode_number(node, "%o", text, error);
	case SETTING_LIST:
		return decode_list(node, &settings->lists[setting], &settings->append[setting],
		                   error);
	}
	return 0;
}

/* Replaces the value of a key, or adds the key. */
static int set_pull_option(struct strv *options, const struct toml_node *node, cst_error **error)
{
	_cleanup_free_ char *value = NULL;
	int code = decode_text(node, &value, error);
	if (code < 0)
		return code;
	if (memchr(node->key, '=', node->key_len) || memchr(node->key, '\0', node->key_len))
		return toml_error(node, error, "the key contains a \"=\" or NUL character");
	_cleanup_free_ char *pair = str_join(node->key, "=", value);
	if (!pair)
		return error_oom(error);
	for (size_t i = 0; i < options->len; i++) {
		if (strncmp(options->items[i], pair, node->key_len + 1) == 0) {
			free(options->items[i]);
			options->items[i] = steal_ptr(&pair);
			return 0;
		}
	}
	return strv_take(options, steal_ptr(&pair)) ? 0 : error_oom(error);
}

static int merge_pull_options(struct settings *settings, const struct toml_node *table,
                              cst_error **error)
{
	settings->has_pull_options = true;
	for (const struct toml_node *node = table->first; node; node = node->next) {
		int code = set_pull_option(&settings->pull_options, node, error);
		if (code < 0)
			return code;
	}
	return 0;
}

/* Compares as the Go tools match keys, in any case: [STORAGE] is [storage]. */
static bool key_is(const struct toml_node *node, const char *name)
{
	return strcasecmp(node->key, name) == 0;
}

static bool is_removed(const char *path, const struct toml_node *node)
{
	for (size_t i = 0; i < ARRAY_SIZE(removed_keys); i++) {
		if (streq(path, removed_keys[i].table) && key_is(node, removed_keys[i].key))
			return true;
	}
	return false;
}

/* The name of the known table that `node` is within the table `path`. NULL: none. */
static const char *find_table(const char *path, const struct toml_node *node)
{
	size_t n = strlen(path);
	for (size_t i = 0; i < SETTING_TABLES; i++) {
		const char *name = setting_tables[i];
		if (n) {
			if (!has_prefix(name, path) || name[n] != '.')
				continue;
			name += n + 1;
		}
		if (!strchr(name, '.') && key_is(node, name))
			return setting_tables[i];
	}
	return NULL;
}

static int find_setting(const char *path, const struct toml_node *node)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		if (streq(path, setting_infos[i].table) && key_is(node, setting_infos[i].key))
			return i;
	}
	return -1;
}

static void log_setting(const struct toml_node *node, const char *file)
{
	_cleanup_strbuf_ struct strbuf key = {0};
	if (!log_enabled(CST_LOG_DEBUG))
		return;
	toml_path(node, &key);
	log_debug("%s:%u sets %s", file, node->line, strbuf_str(&key));
}

/* Warns of a key or a table that has no effect. */
static void warn_of_key(const char *path, const struct toml_node *node, const char *file)
{
	_cleanup_strbuf_ struct strbuf shown = {0};
	const char *table = node->type == TOML_TABLE ? "table" : "key";
	if (!log_enabled(CST_LOG_WARNING))
		return;
	toml_path(node, &shown);
	const char *name = strbuf_str(&shown);
	struct setting_name near;
	if (is_removed(path, node)) {
		/* An empty table sets nothing, so it is not worth a warning. */
		if (node->type != TOML_TABLE || node->first)
			log_warning("%s:%u: %s %s is ignored: containers/storage no longer has it",
			            file, node->line, table, name);
	} else if (setting_nearest(node, &near)) {
		log_warning("%s:%u: unknown %s %s is ignored: did you mean %s%s%s?", file,
		            node->line, table, name, near.table, *near.key ? "." : "", near.key);
	} else {
		log_warning("%s:%u: unknown %s %s is ignored", file, node->line, table, name);
	}
}

static int merge_table(struct settings *settings, const char *path, const struct toml_node *table,
                       const struct conf_source *source, cst_error **error);

/* Merges one key of the table `path`. */
static int merge_key(struct settings *settings, const char *path, const struct toml_node *node,
                     const struct conf_source *source, cst_error **error)
{
	int setting = find_setting(path, node);
	const char *below = find_table(path, node);
	if (setting >= 0) {
		log_setting(node, source->path);
		settings->origins[setting] = (struct setting_origin){source, node->line};
		return decode_setting(settings, (enum setting)setting, node, error);
	}
	if (below && node->type != TOML_TABLE)
		return toml_error(node, error, "type mismatch for %s: expected table but found %s",
		                  below, toml_type_text(node->type));
	if (below)
		return merge_table(settings, below, node, source, error);
	if (streq(path, OPTIONS) && key_is(node, "pull_options") && node->type == TOML_TABLE)
		return merge_pull_options(settings, node, error);
	if (!settings->as_upstream)
		warn_of_key(path, node, source->path);
	return 0;
}

/* It calls itself only for known tables, so it is at most three deep. */
static int merge_table(struct settings *settings, const char *path, const struct toml_node *table,
                       const struct conf_source *source, cst_error **error)
{
	int code = 0;
	for (const struct toml_node *node = table->first; code == 0 && node; node = node->next)
		code = merge_key(settings, path, node, source, error);
	return code;
}

int settings_merge(struct settings *settings, const struct toml_node *root,
                   const struct conf_source *source, cst_error **error)
{
	return merge_table(settings, "", root, source, error);
}
