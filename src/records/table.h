/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: the records of one store in memory, their indexes, and their files. Locks are the
 * caller's business; each function says which it needs. Reading is in two steps so that nothing is
 * parsed under a lock:
 *
 *     lock r;  table_stale()?  table_open(): opens the files, remembers token and identities;
 * unlock;  table_parse()
 *
 * After table_parse(), *repair tells that the files hold something only a writer may mend
 * (incomplete layers, a name held twice); the caller takes the write lock, loads again and repairs.
 *
 * Edits change memory only and need the write lock; table_save() then writes every file that an
 * edit touched. If a save fails the table is marked stale: the next use reloads what is on disk. An
 * edit that runs out of memory half-way makes the table stale too, and it cannot be saved.
 *
 * A record that a look-up returned stays good until the table is saved or parsed, also if an edit
 * replaces or removes it. Look-ups may run in parallel; parse, edits and saves need the table for
 * themselves.
 *
 * A record that cannot be used (no ID or one that another record has, a time or an image digest
 * that is none) is not served, but kept in its file as it is. Saves also remove the stale temporary
 * files of the file they replace.
 */
#ifndef CST_RECORDS_TABLE_H
#define CST_RECORDS_TABLE_H

#include "lock/lockfile.h"
#include "records/record.h"

/* ---- layers ---- */

struct layer_table;

struct layer_paths {
	const char *dir;       /* <g>/<drv>-layers: layers.json; tar-split and data of all layers */
	const char *image_dir; /* <i>/<drv>-layers or NULL */
	const char *volatile_dir; /* where volatile-layers.json is: dir, or the run directory of a
	                             transient store */
	const char *run_dir; /* <r>/<drv>-layers: mountpoints.json; NULL for additional stores */
	bool read_only;
};

int layer_table_new(const struct layer_paths *paths, struct layer_table **ret, cst_error **error);
void layer_table_free(struct layer_table *t);

/* Must it be (re)loaded? True at first; else token, or (dev, ino, size, mtime, ctime) of any file
 * differs. L r. */
int layer_table_stale(struct layer_table *t, const struct lock_token *token, bool *ret,
                      cst_error **error);
int layer_table_open(struct layer_table *t, const struct lock_token *token,
                     cst_error **error); /* L r */
/* No lock. CST_ECORRUPT `loading "<path>": ...` for a file that is not understood: the table then
 * refuses saves. */
int layer_table_parse(struct layer_table *t, bool *repair, cst_error **error);
void layer_table_mark_stale(struct layer_table *t);

/* All in list order: stable, image store, volatile. */
size_t layer_table_size(const struct layer_table *t);
const cst_layer *layer_table_at(const struct layer_table *t, size_t i);
const cst_layer *layer_table_get(const struct layer_table *t, const char *id); /* exact ID */
const cst_layer *layer_table_by_name(const struct layer_table *t, const char *name);
const cst_layer *layer_table_find(const struct layer_table *t,
                                  const char *id); /* ID, name, unique prefix */
const cst_layer *layer_table_first_child(const struct layer_table *t,
                                         const char *id); /* NULL: none */
const cst_layer *layer_table_next_child(const struct layer_table *t, const cst_layer *child);
/* The first layer (previous NULL) with that digest, or the next one after `previous`; NULL: no
 * more. "" has none. */
enum layer_digest { LAYER_COMPRESSED_DIGEST, LAYER_DIFF_DIGEST, LAYER_TOC_DIGEST, LAYER_DIGESTS };
const cst_layer *layer_table_by_digest(const struct layer_table *t, enum layer_digest which,
                                       const char *digest, const cst_layer *previous);

/* Edits, L w. Records are copied in; a name that stands twice is kept once. Names that another
 * layer holds are taken from it. False: out of memory (or, by mistake, an ID that is there already,
 * or is not). `file` decides where a new layer is written (LAYER_STABLE where the table has no such
 * file); it starts unmounted. Removing what is not there is success. */
bool layer_table_add(struct layer_table *t, const cst_layer *layer);
bool layer_table_replace(struct layer_table *t,
                         const cst_layer *layer); /* same id; file and mount state are kept */
bool layer_table_remove(struct layer_table *t, const char *id);
/* After a load that asked for repair: drops lost names for good. Incomplete layers are the store's
 * to delete. L w. */
bool layer_table_dirty(const struct layer_table *t);

/* `lock` is that of the graph root; with an image store its own lock is touched by the caller,
 * before. Token first, then temp file, fdatasync (not for the volatile file), rename, fsync of the
 * directory. L w. Nothing dirty: nothing done. CST_ECORRUPT if a file was not understood when it
 * was loaded. */
int layer_table_save(struct layer_table *t, struct lockfile *lock, cst_error **error);

/* Mount points. M r to load (open + parse in one, small file), M w to save; a layer that is unknown
 * is dropped. */
int layer_table_load_mounts(struct layer_table *t, struct lockfile *mounts,
                            cst_error **error); /* only if changed */
bool layer_table_set_mount(struct layer_table *t, const char *id, const char *path, int count);
int layer_table_save_mounts(struct layer_table *t, struct lockfile *mounts,
                            cst_error **error); /* only if changed */

/* ---- images ---- */

struct image_table;
int image_table_new(const char *dir, bool read_only, struct image_table **ret, cst_error **error);
void image_table_free(struct image_table *t);
int image_table_stale(struct image_table *t, const struct lock_token *token, bool *ret,
                      cst_error **error);
int image_table_open(struct image_table *t, const struct lock_token *token, cst_error **error);
int image_table_parse(struct image_table *t, bool *repair, cst_error **error);
void image_table_mark_stale(struct image_table *t);
size_t image_table_size(const struct image_table *t);
const cst_image *image_table_at(const struct image_table *t, size_t i);
const cst_image *image_table_get(const struct image_table *t, const char *id);
const cst_image *image_table_by_name(const struct image_table *t, const char *name);
const cst_image *image_table_find(const struct image_table *t, const char *id);
/* The next image that can be found by this digest; *cursor starts at 0. NULL: no more. */
const cst_image *image_table_next_by_digest(const struct image_table *t, const char *digest,
                                            size_t *cursor);
/* As for layers. An image's `digests` follow from its digest and data items; an empty digest
 * becomes that of `manifest`, or of the smallest key that starts with it. */
bool image_table_add(struct image_table *t, const cst_image *image);
bool image_table_replace(struct image_table *t, const cst_image *image);
bool image_table_remove(struct image_table *t, const char *id);
bool image_table_dirty(const struct image_table *t);
int image_table_save(struct image_table *t, struct lockfile *lock, cst_error **error);

/* ---- containers ---- */

struct container_table;
/* `volatile_dir`: dir, or <r>/<drv>-containers of a transient store */
int container_table_new(const char *dir, const char *volatile_dir, bool read_only,
                        struct container_table **ret, cst_error **error);
void container_table_free(struct container_table *t);
int container_table_stale(struct container_table *t, const struct lock_token *token, bool *ret,
                          cst_error **error);
int container_table_open(struct container_table *t, const struct lock_token *token,
                         cst_error **error);
int container_table_parse(struct container_table *t, bool *repair, cst_error **error);
void container_table_mark_stale(struct container_table *t);
size_t container_table_size(const struct container_table *t);
const cst_container *container_table_at(const struct container_table *t, size_t i);
const cst_container *container_table_get(const struct container_table *t, const char *id);
const cst_container *container_table_by_name(const struct container_table *t, const char *name);
const cst_container *container_table_by_layer(const struct container_table *t,
                                              const char *layer_id);
const cst_container *container_table_find(const struct container_table *t,
                                          const char *id); /* ID, name, layer ID, prefix */
bool container_table_add(struct container_table *t, const cst_container *container);
bool container_table_replace(struct container_table *t, const cst_container *container);
bool container_table_remove(struct container_table *t, const char *id);
bool container_table_dirty(const struct container_table *t);
int container_table_save(struct container_table *t, struct lockfile *lock, cst_error **error);

#endif
