/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: the records of one kind (layers, images or containers) in memory, their indexes, and
 * their files. The caller takes the locks; each function says which it needs. Reading is in two
 * steps, so that nothing is parsed under a lock:
 *
 *     lock for reading;  record_set_stale()?  record_set_open() opens the files and remembers token
 *     and identities;  unlock;  record_set_parse()
 *
 * After record_set_parse(), *repair tells that the files hold something that only a writer may mend
 * (an incomplete layer, a name held twice). The caller then takes the lock for writing, loads again
 * and repairs.
 *
 * Edits change memory only and need the lock for writing. record_set_save() then writes every file
 * that an edit touched. If a save fails, the table is marked stale: the next use reloads what is on
 * disk. An edit that runs out of memory half-way makes the table stale too, and it cannot be saved.
 *
 * A record that a look-up returned stays good until the table is saved or parsed, also if an edit
 * replaces or removes it. Look-ups may run in parallel. Parsing, edits and saves need the table for
 * themselves.
 *
 * A record that cannot be used (it has no ID or that of another record, or a time or an image
 * digest that cannot be read) is not served, but stays in its file as it is. Saves also remove the
 * stale temporary files of the file they replace.
 */
#ifndef CST_RECORDS_TABLE_H
#define CST_RECORDS_TABLE_H

#include "lock/lockfile.h"
#include "records/record.h"

/* ---- any kind; a record is a cst_layer, cst_image or cst_container ---- */

struct record_set;

/* What a record is found by, apart from the beginning of its ID. Each is a bit of a mask. */
enum record_key {
	KEY_ID = 1 << 0,
	KEY_NAME = 1 << 1,
	KEY_PARENT = 1 << 2, /* of a layer */
	KEY_COMPRESSED_DIGEST = 1 << 3,
	KEY_DIFF_DIGEST = 1 << 4,
	KEY_TOC_DIGEST = 1 << 5,
	KEY_LAYER = 1 << 6,  /* of a container; of an image its top layer */
	KEY_MAPPED = 1 << 7, /* a mapped copy of an image's top layer */
	KEY_DIGEST = 1 << 8, /* of an image */
	KEY_IMAGE = 1 << 9,  /* of a container */
};
#define RECORD_KEYS 10

void record_set_free(struct record_set *set); /* NULL allowed */

/* Must it be loaded (again)? True at first; later if the token, or the device, inode, size or times
 * of a file differ. Lock r. */
int record_set_stale(const struct record_set *set, const struct lock_token *token, bool *ret,
                     cst_error **error);
/* Lock r. */
int record_set_open(struct record_set *set, const struct lock_token *token, cst_error **error);
/* No lock. CST_ECORRUPT `loading "<path>": ...` for a file that is not understood: the table then
 * refuses saves. */
int record_set_parse(struct record_set *set, bool *repair, cst_error **error);

/* With an index in this directory (docs/format/index.md) a large set is not parsed: it reads the records
 * that are looked at, and saves what changed. It must be said before the first load. `writes`: the index is
 * made where it is missing. Without memory for it there is none. */
void record_set_use_index(struct record_set *set, const char *dir, bool writes);
/* 0, or why look-ups may not have found what there is, and walks met a record without an ID: CST_ESYS, CST_ECORRUPT.
 * Such a set is not saved. */
int record_set_problem(const struct record_set *set, cst_error **error);

/* All in the order of the files: stable, image store, volatile. at: NULL out of range. */
size_t record_set_size(const struct record_set *set);
void *record_set_at(const struct record_set *set, size_t i);
/* Of the records from position *i on the first that somebody looked at, as those that have a mount state are; *i goes behind it. NULL:
 * there is none. */
void *record_set_next_known(const struct record_set *set, size_t *i);
void *record_set_get(const struct record_set *set, const char *id); /* exact ID */
void *record_set_by_name(const struct record_set *set, const char *name);
/* The first record (previous NULL) that has this text as one of these keys, a mask; or the next one after `previous`. They
 * come in their order, those that were edited since the last save or load at the end. "" is no key. NULL: no more. */
void *record_set_next(const struct record_set *set, unsigned keys, const char *text,
                      const void *previous);
/* By ID, name, for containers the ID of its layer, or the beginning of only one ID. */
void *record_set_find(const struct record_set *set, const char *id);
/* Copies the first n records, one after the other, to `to`. Those that were not looked at before are read for this copy
 * only, and without these members (a mask of their numbers in the table of members). False: out of memory, or record_set_problem(). */
bool record_set_copy_all(const struct record_set *set, struct arena *arena, void *to, size_t n, uint32_t unwanted);
/* A copy of a record of this kind in an arena. NULL: out of memory. */
void *record_set_copy(const struct record_set *set, struct arena *arena, const void *record);
/* Number i of the records that cannot be used, with the reason. False: there are not so many. */
bool record_set_unusable(const struct record_set *set, size_t i, const char **id, const char **why);
bool record_why_is_circle(const char *why); /* the reason: the record is its own ancestor */
/* Reads number i of them as far as that goes. False: that is not far enough, or out of memory. */
bool record_set_read_unusable(const struct record_set *set, size_t i, struct arena *arena, void *record);
/* Puts a record in the place of number i of them, whose ID it has. Lock w. False: out of memory. */
bool record_set_use(struct record_set *set, size_t i, const void *record);
bool record_set_knows(const struct record_set *set, const char *id); /* as a record of either sort */
struct strings *record_names(const struct record_set *set, void *record);

/* Edits, lock w. Records are copied in; a name that stands twice is kept once. Names that another
 * record holds are taken from it. False: out of memory (or, by mistake, an ID that is there already
 * to add, or is not there to replace). Removing what is not there is success.
 * A new record goes to the file that its `file` says (the stable one where the table has no such
 * file); a replaced one stays where it is and keeps its mount state. An image's `digests` follow
 * from its digest and data items; an empty digest becomes that of `manifest`, or of the smallest key
 * that starts with it. */
bool record_set_add(struct record_set *set, const void *record);
bool record_set_replace(struct record_set *set, const void *record);
bool record_set_remove(struct record_set *set, const char *id);
bool record_set_dirty(const struct record_set *set); /* is there anything to save? */

/* `lock` is that of the graph root; where an image store has its own lock, the caller touches that
 * one before. First the token, then for each file: temporary file, fdatasync (not for the volatile
 * file), rename, fsync of the directory. Lock w. Nothing dirty: nothing done. CST_ECORRUPT if a file
 * was not understood when it was loaded. */
int record_set_save(struct record_set *set, struct lockfile *lock, cst_error **error);
/* A save keeps a reserve of each file it wrote, of which a later one makes the next file where the disk is full. This tries
 * again where there was no room for it. No lock. */
void record_set_retry_reserves(struct record_set *set);

/* Of each file that is not understood, keeps the records that can be read, and puts the old file aside as <name>.damaged-<when>.
 * Adds the paths of these files to `mended`. Lock w, of a set that need not be loaded. */
int record_set_mend(struct record_set *set, struct lockfile *lock, const char *when,
                    struct strv *mended, cst_error **error);

/* The same look-ups with the type of the record. */

/* Copies of all records of these sets, without the members that are `unwanted` (record_set_copy_all). */
int layer_list_all(const struct record_set *const *sets, size_t n, uint32_t unwanted, cst_layer_list **ret,
		   cst_error **error);
int image_list_all(const struct record_set *const *sets, size_t n, uint32_t unwanted, cst_image_list **ret,
		   cst_error **error);
int container_list_all(const struct record_set *const *sets, size_t n, uint32_t unwanted, cst_container_list **ret,
		       cst_error **error);
/* Those that are not needed for these fields, a mask of enum cst_layer_fields. */
uint32_t layer_members_without(unsigned fields);

/* ---- layers ---- */

struct layer_paths {
	const char *dir;       /* <g>/<drv>-layers: layers.json; tar-split and data of all layers */
	const char *image_dir; /* <i>/<drv>-layers or NULL */
	const char *volatile_dir; /* of volatile-layers.json: dir, or the run directory of a transient store */
	const char *run_dir; /* <r>/<drv>-layers: mountpoints.json; NULL for additional stores */
	const char *mounts_home; /* of the driver: mount points are <mounts_home>/X/Y. NULL: anywhere */
	bool read_only;
};
int layer_table_new(const struct layer_paths *paths, struct record_set **ret, cst_error **error);

static inline const cst_layer *layer_table_at(const struct record_set *layers, size_t i)
{
	return record_set_at(layers, i);
}
static inline const cst_layer *layer_table_get(const struct record_set *layers, const char *id)
{
	return record_set_get(layers, id);
}
static inline const cst_layer *layer_table_by_name(const struct record_set *layers,
						   const char *name)
{
	return record_set_by_name(layers, name);
}
static inline const cst_layer *layer_table_find(const struct record_set *layers, const char *id)
{
	return record_set_find(layers, id);
}

/* NULL: there is none. */
const cst_layer *layer_table_first_child(const struct record_set *layers, const char *id);
const cst_layer *layer_table_next_child(const struct record_set *layers, const cst_layer *child);
/* The first layer (previous NULL) with that digest, or the next one after `previous`; NULL: no
 * more. "" has none. */
enum layer_digest { LAYER_COMPRESSED_DIGEST, LAYER_DIFF_DIGEST, LAYER_TOC_DIGEST, LAYER_DIGESTS };
const cst_layer *layer_table_by_digest(const struct record_set *layers, enum layer_digest which,
                                       const char *digest, const cst_layer *previous);

/* The recorded sizes of a layer and all below it, from the index alone, so no record is parsed. False: the records tell, or the reason
 * why they do not. */
bool layer_table_sum(const struct record_set *layers, const char *id, int64_t *sum);

/* Mount points, which are no part of the record: a new layer starts unmounted. M r to load (open
 * and parse in one: the file is small), M w to save; the entry of an unknown layer is dropped, unless
 * its path is below the home of another store, with which this one shares the run directory: those
 * entries stay as they are, and are not believed. Load and save do nothing if nothing changed. */
int layer_table_load_mounts(struct record_set *layers, struct lockfile *mounts, cst_error **error);
bool layer_table_set_mount(struct record_set *layers, const char *id, const char *path, int count);
int layer_table_save_mounts(struct record_set *layers, struct lockfile *mounts, cst_error **error);

/* The same as record_set_mend() for the mount points. The layers are loaded; M w. */
int layer_table_mend_mounts(struct record_set *layers, struct lockfile *mounts, const char *when,
                            bool *mended, cst_error **error);

/* ---- images ---- */

int image_table_new(const char *dir, bool read_only, struct record_set **ret, cst_error **error);

static inline const cst_image *image_table_at(const struct record_set *images, size_t i)
{
	return record_set_at(images, i);
}
static inline const cst_image *image_table_get(const struct record_set *images, const char *id)
{
	return record_set_get(images, id);
}
static inline const cst_image *image_table_by_name(const struct record_set *images,
						   const char *name)
{
	return record_set_by_name(images, name);
}
static inline const cst_image *image_table_find(const struct record_set *images, const char *id)
{
	return record_set_find(images, id);
}

/* As record_set_next(): the images with that top layer, with that mapped copy of it, or with either. */
enum image_use {
	IMAGE_TOP_LAYER = KEY_LAYER,
	IMAGE_MAPPED_LAYER = KEY_MAPPED,
	IMAGE_ANY_LAYER = KEY_LAYER | KEY_MAPPED
};
static inline const cst_image *image_table_by_layer(const struct record_set *images,
						    enum image_use use, const char *layer,
						    const cst_image *previous)
{
	return record_set_next(images, use, layer, previous);
}

/* ---- containers ---- */

/* `volatile_dir`: dir, or <r>/<drv>-containers of a transient store */
int container_table_new(const char *dir, const char *volatile_dir, bool read_only,
                        struct record_set **ret, cst_error **error);

static inline const cst_container *container_table_at(const struct record_set *containers, size_t i)
{
	return record_set_at(containers, i);
}
static inline const cst_container *container_table_get(const struct record_set *containers,
						       const char *id)
{
	return record_set_get(containers, id);
}
static inline const cst_container *container_table_by_name(const struct record_set *containers,
							   const char *name)
{
	return record_set_by_name(containers, name);
}
static inline const cst_container *container_table_find(const struct record_set *containers,
							const char *id)
{
	return record_set_find(containers, id);
}

const cst_container *container_table_by_layer(const struct record_set *containers,
                                              const char *layer_id);

#endif
