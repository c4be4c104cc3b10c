/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records themselves: what one element of layers.json, images.json or containers.json holds
 * (docs/format/store.md, "Records"). The public opaque types are these structs. A record is a
 * value: its strings and arrays live in the arena of the table or list it belongs to, and nobody
 * changes a record in place; an edit makes a new one.
 */
#ifndef CST_RECORDS_RECORD_H
#define CST_RECORDS_RECORD_H

#include "base/json.h"
#include "base/mem.h"
#include "base/timestamp.h"
#include <cstorage/records.h>

struct strings { /* borrowed list */
	const char *const *items;
	size_t len;
};

/* A member kept as the bytes it had in the file. */
struct raw_member {
	const char *key;
	const char *json;
	size_t len;
};
struct raw_members {
	const struct raw_member *items;
	size_t len;
};

struct data_item {
	const char *name;
	int64_t size;       /* -1: not recorded */
	const char *digest; /* "": not recorded */
};
struct data_items { /* in order of big-data-names */
	const struct data_item *items;
	size_t len;
	const char *const *names; /* the same names as a plain array; reading and copying make it */
};

struct uint32s {
	const uint32_t *items;
	size_t len;
};
struct idranges {
	const cst_idmap *items;
	size_t len;
};

enum layer_file { LAYER_STABLE, LAYER_IMAGE_STORE, LAYER_VOLATILE, LAYER_FILES };

struct cst_layer {
	const char *id;
	struct strings names;
	const char *parent, *metadata, *mount_label;
	struct timestamp created;
	const char *compressed_digest;
	int64_t compressed_size;
	const char *diff_digest, *toc_digest;
	int64_t diff_size;
	int64_t compression;
	struct uint32s uids, gids;
	/* The values are JSON, with numbers as Go writes them. They are written sorted by key. */
	struct raw_members flags;
	struct idranges uid_map, gid_map;
	struct strings data_names;
	struct raw_members unknown; /* members of newer versions, written after the known ones */
	/* not in the record */
	enum layer_file file;
	bool incomplete; /* flags.incomplete is the boolean true; follows the flags in every copy */
	bool read_only;
	const char *mount_point;
	int mount_count;
};

struct cst_image {
	const char *id, *digest;
	struct strings names, names_history;
	const char *layer;
	struct strings mapped_layers;
	const char *metadata;
	struct data_items data;
	struct timestamp created;
	struct raw_members flags, unknown;
	/* An image is found by these: its digest, and those of the items whose key begins with "manifest". */
	struct strings digests;
	bool read_only;
};

enum container_file { CONTAINER_STABLE, CONTAINER_VOLATILE, CONTAINER_FILES };

struct cst_container {
	const char *id;
	struct strings names;
	const char *image, *layer, *metadata;
	struct data_items data;
	struct timestamp created;
	struct idranges uid_map, gid_map;
	struct raw_members flags; /* MountLabel, ProcessLabel, Volatile, MountOpts and others */
	struct raw_members unknown;
	/* These are not members of the record: reading and copying decode them from the flags. */
	const char *mount_label, *process_label;
	struct strings mount_options;
	enum container_file file;
};

/* Deep copies into another arena. False: out of memory (the arena is `failed`). */
bool layer_copy(struct arena *arena, const cst_layer *from, cst_layer *to);
bool image_copy(struct arena *arena, const cst_image *from, cst_image *to);
bool container_copy(struct arena *arena, const cst_container *from, cst_container *to);

/* One record as JSON: JSON_STORE as in the file, JSON_OUTPUT as the command prints. */
void layer_write(struct json_writer *w, const cst_layer *layer);
void image_write(struct json_writer *w, const cst_image *image);
void container_write(struct json_writer *w, const cst_container *container);

/* Stand-alone copies for callers (freed with cst_layer_free ...), `ret` NULL: nothing. */
int layer_give(const cst_layer *layer, cst_layer **ret, cst_error **error);
int image_give(const cst_image *image, cst_image **ret, cst_error **error);
int container_give(const cst_container *container, cst_container **ret, cst_error **error);
cst_layer_list *layer_list_new(const cst_layer *const *items, size_t n);
cst_image_list *image_list_new(const cst_image *const *items, size_t n);

/* Flags: a boolean true, a string value or NULL; set makes a new list in the arena (json NULL
 * removes). */
const struct raw_member *flags_find(const struct raw_members *flags, const char *key); /* NULL: none */
bool flags_has(const struct raw_members *flags, const char *key);
bool flags_get_bool(const struct raw_members *flags, const char *key);
const char *flags_get_string(struct arena *arena, const struct raw_members *flags, const char *key);
bool flags_set(struct arena *arena, struct raw_members *flags, const char *key, const char *json);
/* The strings of an array. */
struct strings flags_get_strings(struct arena *arena, const struct raw_members *flags,
                                 const char *key);
/* Sets the flags of a caller, in the form Go gives them. CST_EINVAL: a value is not JSON. */
int flags_set_all(struct arena *arena, struct raw_members *flags, const cst_flag *given, size_t n,
                  cst_error **error);

/* File name of a data item (docs/format/store.md, "Big data file names"). Caller frees; NULL: out
 * of memory. */
char *data_file_name(const char *key);
/* May this key be created? CST_EINVALID_BIG_DATA_NAME for "", CST_EINVAL for file names that escape
 * or clash. `kind`: "layer", "image", "container". */
int data_check_key(const char *kind, const char *key, cst_error **error);

#endif
