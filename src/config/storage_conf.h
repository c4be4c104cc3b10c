/* SPDX-License-Identifier: Apache-2.0 */
/* storage.conf (docs/format/config.md): finding the files, merging them into a table of settings,
 * and making store options of that and the environment. */
#ifndef CST_CONFIG_STORAGE_CONF_H
#define CST_CONFIG_STORAGE_CONF_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/toml.h"
#include <cstorage/store.h>
#include <sys/types.h>

/* Driver options are passed on in the order of this list. */
enum setting {
	SETTING_DRIVER,
	SETTING_DRIVER_PRIORITY,
	SETTING_RUNROOT,
	SETTING_GRAPHROOT,
	SETTING_ROOTLESS_STORAGE_PATH,
	SETTING_IMAGESTORE,
	SETTING_TRANSIENT_STORE,
	SETTING_ROOT_AUTO_USERNS_USER,
	SETTING_AUTO_USERNS_MIN_SIZE,
	SETTING_AUTO_USERNS_MAX_SIZE,
	SETTING_DISABLE_VOLATILE,
	SETTING_DRIVER_OPTIONS, /* from here on: options for drivers */
	SETTING_ADDITIONAL_IMAGE_STORES = SETTING_DRIVER_OPTIONS,
	SETTING_ADDITIONAL_LAYER_STORES,
	SETTING_SIZE,
	SETTING_MOUNT_PROGRAM,
	SETTING_SKIP_MOUNT_HOME,
	SETTING_IGNORE_CHOWN_ERRORS,
	SETTING_FORCE_MASK,
	SETTING_MOUNTOPT,
	SETTING_BTRFS_MIN_SPACE,
	SETTING_BTRFS_SIZE,
	SETTING_OVERLAY_IGNORE_CHOWN_ERRORS,
	SETTING_OVERLAY_MOUNT_PROGRAM,
	SETTING_OVERLAY_MOUNTOPT,
	SETTING_OVERLAY_SIZE,
	SETTING_OVERLAY_INODES,
	SETTING_OVERLAY_SKIP_MOUNT_HOME,
	SETTING_OVERLAY_FORCE_MASK,
	SETTING_OVERLAY_USE_COMPOSEFS,
	SETTING_OVERLAY_SYNC,
	SETTING_VFS_IGNORE_CHOWN_ERRORS,
	SETTING_VFS_SYNC,
	SETTING_ZFS_FSNAME,
	SETTING_ZFS_MOUNTOPT,
	SETTING_ZFS_SIZE,
	SETTING_COUNT,
};

enum setting_kind {
	SETTING_STRING,
	SETTING_BOOL,
	SETTING_UINT32,
	SETTING_MASK, /* a number, kept as its octal digits */
	SETTING_LIST,
};

struct setting_info {
	char table[24], key[24];
	enum setting_kind kind;
	char option[32]; /* name of the driver option; "": it is none */
};
extern const struct setting_info setting_infos[SETTING_COUNT];

#define SETTING_TABLES 6
extern const char *const setting_tables[SETTING_TABLES];

/* A file to read. */
struct conf_source {
	char *path;
	bool shared; /* in a directory of the system, which root and every user read */
};

struct conf_files {
	struct conf_source *items;
	size_t len, capacity;
};
void conf_files_free(struct conf_files *files);

/* The file and line that a setting came from. */
struct setting_origin {
	const struct conf_source *source; /* NULL: the setting is not set */
	unsigned line;
};

/* What the files said so far. A later file overrides. */
struct settings {
	bool as_upstream; /* take what 1.64 takes, and log what it logs */
	char *texts[SETTING_COUNT]; /* NULL: not set; numbers and booleans as Go prints them */
	struct strv lists[SETTING_COUNT]; /* of kind SETTING_LIST */
	bool append[SETTING_COUNT];       /* {append=true} was seen: arrays add from now on */
	struct setting_origin origins[SETTING_COUNT];
	bool has_pull_options;
	struct strv pull_options; /* "key=value" */
};
void settings_free(struct settings *settings);
#define _cleanup_settings_ _cleanup_(settings_free)

/* Decodes a parsed file into the settings. `source` must live as long as they do. A key that has no
 * effect is warned about. */
int settings_merge(struct settings *settings, const struct toml_node *root,
                   const struct conf_source *source, cst_error **error);

/* Finds the valid key (if `node` is a table, the valid table) that is nearest to what `node` says:
 * the same name elsewhere, or a name that is a slip away. `key` is empty for a table. False: none
 * is near. */
struct setting_name {
	const char *table, *key;
};
bool setting_nearest(const struct toml_node *node, struct setting_name *ret);

/* The user that the store is for. If _CONTAINERS_ROOTLESS_UID is set, or in a user namespace, that
 * is the user outside. */
uid_t config_user(void);
/* The home directory of that user. */
int config_home(uid_t user, char **home, cst_error **error);

/* The files to read, in order. All of them must be readable. `file`: read only this one (NULL:
 * search). */
int config_find_files(const char *file, uid_t user, struct conf_files *files, cst_error **error);

/* Replaces $UID, $VAR and ${VAR}. NULL: out of memory. */
char *config_expand(const char *text, uid_t user);
/* Expands a path; resolves symlinks if it exists, else cleans it. CST_EINVAL if it is not absolute.
 * `what` names the key. */
int config_expand_path(const char *text, uid_t user, const char *what, char **path,
                       cst_error **error);
/* Could this process write there? For a path that does not exist the directory decides in which it
 * would be made. */
bool config_can_write(const char *path);
/* Where a store is if no file says it. */
int config_default_graph_root(uid_t user, char **path, cst_error **error);
int config_default_run_root(uid_t user, char **path, cst_error **error);
/* What that path depends on, for messages: "from $HOME". */
const char *config_default_graph_root_origin(uid_t user);
const char *config_default_run_root_origin(uid_t user);

/* Takes the options of a caller. Members that the program is too old to know come from the
 * configuration that it took the options from, or are the default. CST_EINVAL. */
int store_options_take(cst_store_options *ret, const cst_store_options *given, cst_error **error);

/* Owns everything that `options` points at. */
struct cst_config {
	cst_store_options options;
	char *graph_root, *run_root, *image_store, *driver, *root_auto_userns_user;
	char *graph_root_origin, *run_root_origin;
	struct strv driver_priority, driver_options, pull_options;
	struct strv driver_option_origins; /* "set in FILE:LINE"; one for each of driver_options */
};

/* Where a driver option comes from, for messages. NULL: the configuration that the options were taken from does not have
 * it, or its reader is to say what the Go tools say. */
const char *config_driver_option_origin(const cst_store_options *options, size_t index);

#endif
