/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store: its layers, images and containers. A handle may be used by many threads at once.
 *
 * In every comment below `id` takes an ID, a name, or a prefix of an ID that fits one item only. Locks are named L
 * (layers.lock), I (images.lock), C (containers.lock), M (mountpoints.lock), G (storage.lock), with r or w; they are
 * taken in the order G L I C M and held only for renames and one small write, never for unpacking, hashing or deleting.
 * A read-only store takes shared locks only.
 *
 * Any call may fail with CST_ENOMEM, CST_ESYS and CST_ECORRUPT, and any that changes something with
 * CST_ESTORE_READ_ONLY on a store that was opened with read_only; those are not repeated. A failed call leaves what its
 * out-parameters point at untouched, unless said otherwise. What it hands out otherwise is the caller's: records and lists
 * go to the cst_..._free of their type, a char * or a plain array to cst_free. What options point at is only looked at
 * during the call.
 */
#ifndef CSTORAGE_STORE_H
#define CSTORAGE_STORE_H

#include <cstorage/records.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cst_store cst_store;

/* ---- opening ---- */

typedef struct cst_config cst_config;

/* Where a store is and how it behaves. Every pointer is borrowed for the call and may be NULL (unset). */
typedef struct cst_store_options {
	size_t size; /* sizeof(cst_store_options), set by CST_STORE_OPTIONS_INIT */
	const cst_config *config; /* set by cst_config_options: has what a program is too old to know of */
	const char *graph_root, *run_root; /* absolute */
	const char *image_store;           /* second writable root for read-only layers and images */
	const char *driver;                /* "overlay", "vfs", ...; NULL or "": detect */
	const char *const *driver_priority;
	size_t n_driver_priority;
	const char *const *driver_options; /* "[driver.]key=value" */
	size_t n_driver_options;
	const cst_idmap *uid_map, *gid_map; /* default maps of new layers */
	size_t n_uid_map, n_gid_map;
	const char *root_auto_userns_user; /* whose subordinate ids automatic user namespaces are made of; NULL or "": containers */
	uint32_t auto_userns_min_size, auto_userns_max_size; /* how many ids one has; 0: 1024, 65536 */
	const char *const *pull_options;   /* "key=value", in key order */
	size_t n_pull_options;
	bool has_pull_options;             /* the configuration had a pull_options table */
	bool disable_volatile, transient_store;
	/* Never write: nothing is made, only shared locks, no write permission needed. The graph root must be there; lock files
	 * need not. The run root is left alone (but in a transient store, which has records in it): nothing counts as mounted. */
	bool read_only;
	/* Choose the driver and refuse options exactly as containers/storage 1.64 does, where this library does better: without a
	 * name 1.64 makes a new store beside one of vfs. */
	bool as_upstream;
	/* driver_options were written for every driver: one without a driver's name in front is passed over by a driver that does
	 * not have it. Otherwise it is refused. */
	bool general_driver_options;
	char unused[2];
	/* Where the roots come from, for messages: "set in FILE:LINE". NULL: from the caller. */
	const char *graph_root_origin, *run_root_origin;
	/* Every wait for a lock of the store: at most so long (0: without end, else CST_ETIMEOUT), and `wait` (copied; NULL:
	 * none) is called meanwhile and can end it. */
	uint32_t lock_timeout_ms, unused_number;
	const cst_wait *wait;
} cst_store_options;
#define CST_STORE_OPTIONS_INIT { .size = sizeof(cst_store_options) }

/* What storage.conf, its drop-ins and the environment say (docs/format/config.md). `file`: read this one instead of searching; NULL: search as the environment says. CST_EINVAL: not understood.
 * Keys without effect are warned about. Roots that a file of the system gives to everybody, but this user cannot write to, are
 * root's: this user's own are taken. */
CST_PUBLIC int cst_config_load(const char *file, cst_config **config, cst_error **error);
/* The same exactly as containers/storage 1.64 does: no such warnings, a system's roots for everybody. */
CST_PUBLIC int cst_config_load_as_upstream(const char *file, cst_config **config, cst_error **error);
/* Fills *options, which CST_STORE_OPTIONS_INIT made, with what the configuration says, whatever was in it. The texts belong to
 * the configuration, which must live as long as *options is used. CST_EINVAL (not initialised). */
CST_PUBLIC int cst_config_options(const cst_config *config, cst_store_options *options, cst_error **error);
CST_PUBLIC void cst_config_free(cst_config *config);
/* Store options as the one-line JSON object that `config` prints. Caller frees with cst_free. */
CST_PUBLIC int cst_store_options_json(const cst_store_options *options, char **json, cst_error **error);

/* Opens the store, making it if it does not exist, and finishes or undoes what a crashed process left half done. Errors:
 * CST_EINCOMPLETE_OPTIONS, CST_EINVAL (options, several drivers), CST_ENOTSUP (driver), CST_EPREREQ, CST_EBACKINGFS,
 * CST_ESYS. If that is ENOSPC or EDQUOT, there is no room for the run directory of this boot; with read_only the store opens all the same.
 * Locks: G r; G w if the driver has something to set up; L w, I w and C w if there is something to recover. */
CST_PUBLIC int cst_store_open(const cst_store_options *options, cst_store **store, cst_error **error);
CST_PUBLIC void cst_store_close(cst_store *store); /* NULL allowed; layers stay mounted */

CST_PUBLIC const char *cst_store_graph_root(const cst_store *store);
CST_PUBLIC const char *cst_store_run_root(const cst_store *store);
CST_PUBLIC const char *cst_store_image_store(const cst_store *store); /* "" if none */
CST_PUBLIC const char *cst_store_driver(const cst_store *store);      /* "overlay" */
CST_PUBLIC bool cst_store_transient(const cst_store *store);
/* The driver options as given; the caller frees *options with cst_strings_free. No lock. */
CST_PUBLIC int cst_store_driver_options(const cst_store *store, cst_strings **options, cst_error **error);
/* The default maps of new layers: how many ranges, and in *map where they are, which belongs to the store. */
CST_PUBLIC size_t cst_store_uid_map(const cst_store *store, const cst_idmap **map);
CST_PUBLIC size_t cst_store_gid_map(const cst_store *store, const cst_idmap **map);

/* What `status` and `version` print. The caller frees *pairs with cst_pairs_free. No lock. */
CST_PUBLIC int cst_store_status(cst_store *store, cst_pairs **pairs, cst_error **error);
CST_PUBLIC int cst_store_version(cst_store *store, cst_pairs **pairs, cst_error **error);

/* Ends the store's use on this machine: the driver's mounts go. With layers mounted: CST_ELAYER_USED_BY_CONTAINER and
 * their IDs in *mounted (may be NULL, is set also on that failure), unless `force`, which unmounts them first; then
 * *mounted are those that were. Locks L r; L w and M w for each; G w. */
CST_PUBLIC int cst_store_shutdown(cst_store *store, bool force, cst_strings **mounted, cst_error **error);
/* Deletes every container, image and layer, mounted ones too. `progress` (may be NULL, what: "delete", counts
 * names as they are removed) can cancel with its first call, before anything is deleted; later it only stops being called. CST_ECANCELED. Locks L w, I w, C w. */
CST_PUBLIC int cst_store_wipe(cst_store *store, const cst_progress *progress, cst_error **error);

/* ---- lists and look-up: locks r of the kind, given back before anything is parsed ---- */

/* All of a kind, those of additional image stores last. */
CST_PUBLIC int cst_store_layers(cst_store *store, cst_layer_list **list, cst_error **error);
/* The same with ID, mount state and these fields, a mask of enum cst_layer_fields; others may be empty. Of a large store
 * this reads much less. */
CST_PUBLIC int cst_store_layers_with(cst_store *store, unsigned fields, cst_layer_list **list, cst_error **error);
CST_PUBLIC int cst_store_images(cst_store *store, cst_image_list **list, cst_error **error);
CST_PUBLIC int cst_store_containers(cst_store *store, cst_container_list **list, cst_error **error);

/* All three as they were at one moment: no other process changed one of them between the first and the last. What is not
 * wanted is NULL. L r, I r and C r of those wanted, held together. */
CST_PUBLIC int cst_store_snapshot(cst_store *store, cst_layer_list **layers, cst_image_list **images,
				  cst_container_list **containers, cst_error **error);
/* How many a list would have, which does not read the records of a large store. One that is not wanted is NULL. L r, I r and
 * C r of those wanted, one after the other. */
CST_PUBLIC int cst_store_count(cst_store *store, size_t *layers, size_t *images, size_t *containers, cst_error **error);

/* CST_ELAYER_UNKNOWN, CST_EIMAGE_UNKNOWN, CST_ECONTAINER_UNKNOWN. A container is also found by its layer's ID. */
CST_PUBLIC int cst_store_layer(cst_store *store, const char *id, cst_layer **layer, cst_error **error);
CST_PUBLIC int cst_store_image(cst_store *store, const char *id, cst_image **image, cst_error **error);
CST_PUBLIC int cst_store_container(cst_store *store, const char *id, cst_container **container, cst_error **error);

/* Full ID of a layer, image or container, tried in that order. CST_ELAYER_UNKNOWN. Caller frees *full_id with cst_free. */
CST_PUBLIC int cst_store_lookup(cst_store *store, const char *id, char **full_id, cst_error **error);
CST_PUBLIC bool cst_store_exists(cst_store *store, const char *id);

/* By what they are built on or hold. Images: the list may be empty; CST_ELAYER_UNKNOWN (there is no such layer),
 * CST_EINVAL (not a digest). Layers: CST_ELAYER_UNKNOWN if there is none, CST_EINVAL (not a digest). Container:
 * CST_ELAYER_UNKNOWN (no such layer), CST_ECONTAINER_UNKNOWN (it is not a container's). */
CST_PUBLIC int cst_store_images_by_top_layer(cst_store *store, const char *id, cst_image_list **list, cst_error **error);
CST_PUBLIC int cst_store_images_by_digest(cst_store *store, const char *digest, cst_image_list **list, cst_error **error);
CST_PUBLIC int cst_store_layers_by_compressed_digest(cst_store *store, const char *digest, cst_layer_list **list,
						     cst_error **error);
CST_PUBLIC int cst_store_layers_by_diff_digest(cst_store *store, const char *digest, cst_layer_list **list,
					       cst_error **error);
CST_PUBLIC int cst_store_layers_by_toc_digest(cst_store *store, const char *digest, cst_layer_list **list,
					      cst_error **error);
CST_PUBLIC int cst_store_container_by_layer(cst_store *store, const char *id, cst_container **container,
					    cst_error **error);

/* ---- id maps: the caller frees *map with cst_free ---- */

/* "C:H:S[:C:H:S...]". `group` picks the word in the message. CST_EINVAL. */
CST_PUBLIC int cst_idmap_parse(const char *text, bool group, cst_idmap **map, size_t *n, cst_error **error);
/* The ranges that are set aside for a user in /etc/subuid, or for a group in /etc/subgid; container ids from 0 on.
 * CST_EINVAL: there are none. */
CST_PUBLIC int cst_idmap_subids(const char *owner, bool group, cst_idmap **map, size_t *n, cst_error **error);

/* ---- layers ---- */

/* A data item of a new layer, image or container. A value type. */
typedef struct cst_data_item {
	const char *key;
	const void *data; /* the content, data_size bytes of it */
	size_t data_size;
	const char *digest; /* NULL: computed; not recorded for a layer */
	const cst_source *source; /* or NULL; instead of data: the content is read from here to its end, without being in memory */
} cst_data_item;

typedef struct cst_layer_options {
	size_t size;
	const char *id;     /* NULL or "": a random one */
	const char *parent; /* ID, name or prefix; NULL or "": none */
	const char *const *names;
	size_t n_names;
	const char *mount_label;
	bool writable; /* of a container: quota applies; with an image store it stays in the graph root */
	bool host_uid_map, host_gid_map; /* no mapping, whatever the parent or store has */
	bool is_volatile;
	char unused[4];
	const cst_idmap *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
	const char *original_digest;     /* of the compressed stream, trusted if sha256 */
	int64_t original_size;           /* bytes that it is of, trusted if there is one; -1 unknown */
	const char *uncompressed_digest; /* trusted if sha256 */
	const cst_progress *progress;
	/* The new layer starts as a copy of this one: its content, metadata, digests, sizes, compression and ids; not names,
	 * flags and data items. ID, name or prefix of a layer of this store (CST_ELAYER_UNKNOWN) that nobody writes to, best a
	 * child of `parent`, which is what the record names all the same; NULL or "": none. A copy by overlay reads its
	 * template's files: the template must stay, which nothing enforces. */
	const char *template_layer;
	const cst_data_item *data;
	size_t n_data;
	const cst_flag *flags; /* any but "incomplete" */
	size_t n_flags;
	/* sha256 of the plain tar that `diff` must have, or nothing is made: CST_EARCHIVE; NULL or "": any */
	const char *expected_diff_digest;
	/* sha256 that `diff` must have, as it is given or as plain tar: else nothing is made (CST_EARCHIVE); NULL or "": any. Who gives one
	 * gets along with others who want the same content: if another process, or thread, is unpacking it, the call waits for that
	 * one, and goes on by itself if that one fails or dies. If then the store has what is asked for (this digest on this parent,
	 * the maps, the ID and the names, as far as they are given, and neither data items nor flags are), that layer is the
	 * result, and `diff` is not read. The claim is the lock of cst_store_digest_lock: whoever holds that one must not call
	 * this, nor may a progress callback create a layer with the same digest. cst_store_create_layers only looks whether
	 * the content fits. */
	const char *expected_digest;
	/* What errors call the archive in `diff`, such as its path, as in "unpacking PATH: ..."; NULL or "": "the archive" */
	const char *archive_name;
} cst_layer_options;
#define CST_LAYER_OPTIONS_INIT { .size = sizeof(cst_layer_options), .original_size = -1 }

/* A new layer, empty or a copy of its template (diff NULL), or filled from a layer tar, plain or compressed, on top of
 * that. *layer (may be NULL) is the new record. Layer, data items and record appear together, durable, or not at all. Errors:
 * CST_EDUPLICATE_ID, CST_EDUPLICATE_NAME, CST_ELAYER_UNKNOWN (parent, template), CST_EPARENT_IS_CONTAINER,
 * CST_EINVALID_BIG_DATA_NAME, CST_EINVAL (ID, data item, flag), CST_EARCHIVE, CST_ECANCELED. L w, C r. */
CST_PUBLIC int cst_store_create_layer(cst_store *store, const cst_layer_options *options, const cst_source *diff,
				cst_layer **layer, cst_error **error);

/* One of the layers of an image, for cst_store_create_layers. A value type. */
typedef struct cst_new_layer {
	const cst_layer_options *options;
	const cst_source *diff; /* a layer tar, plain or compressed; not NULL */
} cst_new_layer;

typedef struct cst_layers_options {
	size_t size;
	/* The base first. The first one has the parent that its options name; each other one is built on the one before it, and
	 * names no parent. They agree in `writable`, `is_volatile` and their maps; none has a template or data items. */
	const cst_new_layer *layers;
	size_t n_layers;
	/* what: "import", counts bytes and entries of all layers together. Those of the layers are not called. */
	const cst_progress *progress;
	uint32_t at_once; /* so many layers at most are unpacked at the same time; 0: as many as there are CPUs, at most 4 */
	uint32_t unused_number;
} cst_layers_options;
#define CST_LAYERS_OPTIONS_INIT { .size = sizeof(cst_layers_options) }

/* The layers of an image, all of them or none: they appear in one step, durable. Where a layer holds only what it changes
 * (overlay), several are unpacked at the same time, each in up to 24 MB of memory; where it holds all of its parent's files
 * (vfs), one after the other. The sources of different layers are read at the same time, from different threads. *list (may
 * be NULL) has the new records in the same order. If several layers fail, the error is that of the lowest. Errors and locks are those
 * of cst_store_create_layer; CST_EDUPLICATE_ID also if another process made a layer with one of the IDs meanwhile: then
 * this call made none. CST_EINVAL also for options that do not fit together. */
CST_PUBLIC int cst_store_create_layers(cst_store *store, const cst_layers_options *options, cst_layer_list **list,
				       cst_error **error);

/* Applies a layer tar on top of what the layer holds and records its digests; whole and durable, or the layer stays as it
 * was. Only a layer that is mounted changes in place: after a failure it holds what was unpacked so far, under its old
 * digests. `diff` is read to its end before any lock is taken; the layers stay locked while it is unpacked. `progress` may
 * be NULL. CST_ELAYER_UNKNOWN, CST_EARCHIVE, CST_ECANCELED. L w. */
CST_PUBLIC int cst_store_apply_diff(cst_store *store, const char *id, const cst_source *diff,
				    const cst_progress *progress, cst_error **error);

/* With all safety checks: CST_ENOT_A_LAYER, CST_ELAYER_HAS_CHILDREN, CST_ELAYER_USED_BY_IMAGE,
 * CST_ELAYER_USED_BY_CONTAINER. Unmounts it first. L w, I w, C r. */
CST_PUBLIC int cst_store_delete_layer(cst_store *store, const char *id, cst_error **error);

enum cst_change_kind { CST_MODIFY = 0, CST_ADD = 1, CST_DELETE = 2 };
typedef struct cst_changes cst_changes;
/* What `id` changes against `from` (NULL or "": its parent). CST_ELAYER_UNKNOWN; CST_ESYS with ENOENT if it is `from` that
 * is unknown; CST_ELAYER_UNKNOWN, too, if the layer is deleted meanwhile, CST_EINVAL if a diff is applied to it. L r while
 * the layer is being opened, no lock after. */
CST_PUBLIC int cst_store_changes(cst_store *store, const char *from, const char *id, cst_changes **changes,
				 cst_error **error);
CST_PUBLIC size_t cst_changes_size(const cst_changes *changes);
CST_PUBLIC const char *cst_changes_path(const cst_changes *changes, size_t index); /* absolute in the layer */
CST_PUBLIC int cst_changes_kind(const cst_changes *changes, size_t index);
CST_PUBLIC void cst_changes_free(cst_changes *changes);

typedef struct cst_diff_options {
	size_t size;
	int compression; /* enum cst_compression, or -1: as the layer was imported */
	bool verify;     /* compute the digest of the tar, which costs more than all the rest, and compare it with the recorded one */
	char unused[3];
	const cst_progress *progress;
} cst_diff_options;
#define CST_DIFF_OPTIONS_INIT { .size = sizeof(cst_diff_options), .compression = -1 }

/* Writes the layer tar of `id` against `from` (NULL or "": parent). A layer that was imported gives back its very bytes,
 * before compression, against its parent. Checked while written, by the sums that are stored with it: content that was damaged
 * fails with CST_ECORRUPT, after bytes went out. What others changed with care these sums do not show: that takes
 * `verify`, or a look at the digest of what was written. Else as cst_store_changes; CST_ENOTSUP (a compression other than plain,
 * gzip and zstd), CST_EINVAL (`verify` of what has no digest, or no tar-split), CST_ECANCELED, what the sink fails with. `options`
 * may be NULL. */
CST_PUBLIC int cst_store_diff(cst_store *store, const char *from, const char *id, const cst_diff_options *options,
			      const cst_sink *sink, cst_error **error);
/* Bytes of regular files that the layer adds or changes. */
CST_PUBLIC int cst_store_diff_size(cst_store *store, const char *from, const char *id, int64_t *size, cst_error **error);
/* Bytes of the uncompressed tar as recorded, -1 unknown. CST_ELAYER_UNKNOWN. */
CST_PUBLIC int cst_store_layer_size(cst_store *store, const char *id, int64_t *size, cst_error **error);

/* *fd is an O_PATH descriptor of the directory with the layer's own content, close-on-exec, the caller's to close. On overlay that
 * is what the layer adds and changes, with the kernel's whiteouts, and nothing of its parents; on vfs it is the whole tree. It is
 * for reading: who writes there changes the layer behind its record. It stays valid, but not the files of a layer that is deleted,
 * and a layer that a diff is applied to may get another directory. CST_ELAYER_UNKNOWN, CST_ENOTSUP (content of another kind than
 * a directory). L r. */
CST_PUBLIC int cst_store_layer_fd(cst_store *store, const char *id, int *fd, cst_error **error);

/* Owners of the directories above the layer's mount point that its id maps do not cover; sorted; none for a layer without
 * id maps. Caller frees *uids and *gids with cst_free. CST_ELAYER_UNKNOWN, CST_ECONTAINER_UNKNOWN,
 * CST_ELAYER_NOT_MOUNTED. */
CST_PUBLIC int cst_store_layer_parent_owners(cst_store *store, const char *id, uint32_t **uids, size_t *n_uids, uint32_t **gids,
				       size_t *n_gids, cst_error **error);
CST_PUBLIC int cst_store_container_parent_owners(cst_store *store, const char *id, uint32_t **uids, size_t *n_uids,
					   uint32_t **gids, size_t *n_gids, cst_error **error);

/* Layers of the storage driver, with or without a record; sorted. */
CST_PUBLIC int cst_store_driver_layers(cst_store *store, cst_strings **ids, cst_error **error);
/* A layer of the storage driver alone, without a record: of `options` the ID, the parent, the maps, mount_label and
 * writable count, and its parent is the ID of such a layer. *id (may be NULL) is freed with cst_free. Anything that cleans
 * up what has no record may delete it. CST_EDUPLICATE_ID, CST_EINVAL. L w. */
CST_PUBLIC int cst_store_create_driver_layer(cst_store *store, const cst_layer_options *options, char **id,
					cst_error **error);

/* ---- copying ---- */

/* One end of a copy. A value type. */
typedef struct cst_copy_place {
	const char *layer; /* ID, name or prefix; NULL or "": the caller's file system */
	const char *path;  /* in a layer resolved as inside of it: neither ".." nor symlinks leave it */
} cst_copy_place;

typedef struct cst_copy_options {
	size_t size;
	bool chown;   /* all copies belong to uid and gid, ids of the target's container */
	bool measure; /* `progress` has bytes_total, for which each source is looked through first */
	char unused[6];
	uint32_t uid, gid;
	const cst_progress *progress; /* what: "copy"; counts anew for each source */
} cst_copy_options;
#define CST_COPY_OPTIONS_INIT { .size = sizeof(cst_copy_options) }

/* Copies one source after the other to `target`. A directory's content goes into the directory `target`, a file becomes
 * the file `target`; missing directories are made. Owners go through the id maps of both layers; modes, times, hard
 * links, and inside directories the attributes that a layer tar carries stay. Layers are mounted for the time it takes
 * (G w, L w, M w for a moment). In a layer the copies are durable when this returns. `options` may be NULL. On failure
 * what was copied stays. CST_ELAYER_UNKNOWN (deleted meanwhile, too), CST_ELAYER_NOT_MOUNTED (unmounted meanwhile: out of
 * such a layer the copy may be incomplete), CST_EINVAL (a directory in the way of a file, a directory into itself, an owner
 * that the maps do not know), CST_ECANCELED. */
CST_PUBLIC int cst_store_copy(cst_store *store, const cst_copy_place *sources, size_t n_sources, const cst_copy_place *target,
			const cst_copy_options *options, cst_error **error);

/* ---- mounting ---- */

typedef struct cst_mount_options {
	size_t size;
	const char *label; /* SELinux mount label */
	const char *const *options;
	size_t n_options;
} cst_mount_options;
#define CST_MOUNT_OPTIONS_INIT { .size = sizeof(cst_mount_options) }

/* Mounts a layer or a container's layer, or counts one more user of a mount; *path is where, freed by the caller with
 * cst_free. CST_ELAYER_UNKNOWN, CST_ESTORE_READ_ONLY. G w, L w, M w. */
CST_PUBLIC int cst_store_mount(cst_store *store, const char *id, const cst_mount_options *options, char **path,
			       cst_error **error);
/* The top layer of an image, read-only. CST_EIMAGE_UNKNOWN, CST_EINVAL (the option "rw"). The same locks. */
CST_PUBLIC int cst_store_mount_image(cst_store *store, const char *id, const cst_mount_options *options, char **path,
			       cst_error **error);
/* One user less; *still_mounted (may be NULL) tells if others remain. `force`: none remain. CST_ELAYER_UNKNOWN,
 * CST_EIMAGE_UNKNOWN. L w, M w. */
CST_PUBLIC int cst_store_unmount(cst_store *store, const char *id, bool force, bool *still_mounted, cst_error **error);
CST_PUBLIC int cst_store_unmount_image(cst_store *store, const char *id, bool force, bool *still_mounted, cst_error **error);
/* *fd is an O_PATH descriptor of the root of a layer or a container that the caller has mounted, close-on-exec, the caller's to
 * close; of an image that is mounted give the ID of its layer. It is no user of the mount: the last cst_store_unmount does not wait
 * for it and takes the mount point away, but what was mounted there lives on until the descriptor is closed, in use for the kernel.
 * So close it before unmounting, or the next mount of a container has two that write to its files. On vfs it is the layer's
 * directory. CST_ELAYER_NOT_MOUNTED (the store counts no mount, or this layer is not what is mounted there now),
 * CST_ELAYER_UNKNOWN. C r, L r, M r. */
CST_PUBLIC int cst_store_mount_fd(cst_store *store, const char *id, int *fd, cst_error **error);
/* How often it is mounted. CST_ELAYER_UNKNOWN. */
CST_PUBLIC int cst_store_mounted(cst_store *store, const char *id, int *count, cst_error **error);

/* ---- images ---- */

typedef struct cst_image_options {
	size_t size;
	const char *id;    /* NULL or "": random */
	const char *layer; /* top layer: ID, name or prefix; NULL or "": none */
	const char *const *names;
	size_t n_names;
	const char *metadata;
	const char *digest;
	int64_t created; /* seconds since 1970, if has_created */
	int32_t created_nanoseconds;
	bool has_created;
	char unused[3];
	const cst_data_item *data;
	size_t n_data;
	const char *const *names_history; /* names it had before, newest first */
	size_t n_names_history;
	const cst_flag *flags;
	size_t n_flags;
} cst_image_options;
#define CST_IMAGE_OPTIONS_INIT { .size = sizeof(cst_image_options) }

/* *image (may be NULL) is the new record. Record and data appear at once and are durable. What is not given comes from the
 * image of an additional store that has this ID, if one has, and so do its data items, names and history. CST_EDUPLICATE_ID,
 * CST_EDUPLICATE_NAME, CST_ELAYER_UNKNOWN, CST_EINVAL (ID, digest, data item, flag), CST_EINVALID_BIG_DATA_NAME. L r,
 * I w. */
CST_PUBLIC int cst_store_create_image(cst_store *store, const cst_image_options *options, cst_image **image, cst_error **error);
/* Deletes an image and the layers nobody else uses; their IDs, top first, in *layers (may be NULL). `commit` false: only
 * tells. CST_ENOT_AN_IMAGE, CST_EIMAGE_USED_BY_CONTAINER. L w, I w, C r. */
CST_PUBLIC int cst_store_delete_image(cst_store *store, const char *id, bool commit, cst_strings **layers, cst_error **error);
/* Bytes of its layers and data items, those of each layer once. CST_EIMAGE_UNKNOWN, CST_ELAYER_UNKNOWN (one of its layers
 * is missing). */
CST_PUBLIC int cst_store_image_size(cst_store *store, const char *id, int64_t *size, cst_error **error);
/* The same of all images of a list, in one go: sizes[i] is that of number i, or -1 where it cannot be told. A layer of several images is
 * looked up and, if no record has its size, measured once. L r, once for all sizes that are recorded. */
CST_PUBLIC int cst_store_image_sizes(cst_store *store, const cst_image_list *images, int64_t *sizes, cst_error **error);
/* Private directories of an image or container, made if missing; caller frees *path with cst_free. A symlink in the place of one
 * is not followed: CST_ESYS. CST_EIMAGE_UNKNOWN, CST_ECONTAINER_UNKNOWN. */
CST_PUBLIC int cst_store_image_directory(cst_store *store, const char *id, char **path, cst_error **error);
CST_PUBLIC int cst_store_image_run_directory(cst_store *store, const char *id, char **path, cst_error **error);

/* ---- containers ---- */

/* Maps that the store chooses, of ids that no container of it uses. */
typedef struct cst_auto_userns_options {
	size_t size;
	uint32_t ids;         /* so many container ids from 0 on, whatever the configuration's bounds are; 0: as many as are needed */
	uint32_t initial_ids; /* with ids 0: at least so many */
	/* Read in place of /etc/passwd and /etc/group of the image, since something is to be mounted there; NULL or "": those. */
	const char *passwd_file, *group_file;
	const cst_idmap *uid_map, *gid_map; /* taken over as they are; the store chooses for the other ids */
	size_t n_uid_map, n_gid_map;
} cst_auto_userns_options;
#define CST_AUTO_USERNS_OPTIONS_INIT { .size = sizeof(cst_auto_userns_options) }

typedef struct cst_container_options {
	size_t size;
	const char *id;    /* NULL or "": random */
	const char *image; /* ID, name or prefix; NULL or "": no image */
	const char *layer; /* ID of the container's own layer; NULL or "": random */
	const char *const *names;
	size_t n_names;
	const char *metadata;
	bool host_uid_map, host_gid_map, is_volatile;
	char unused[5];
	const cst_idmap *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
	const char *mount_label, *process_label;
	const char *const *mount_options;
	size_t n_mount_options;
	const cst_data_item *data;
	size_t n_data;
	const cst_flag *flags; /* "MountLabel", "ProcessLabel", "MountOpts", "Volatile" give way to the members for them */
	size_t n_flags;
	const char *const *storage_options; /* "size=1g", "inodes=1000": limits of its own layer, where the file system has quotas */
	size_t n_storage_options;
	/* An automatic user namespace: the maps are the store's choice, of the subordinate ids of root_auto_userns_user, or of the user who
	 * runs this; the record has them. Not together with maps. NULL: none. */
	const cst_auto_userns_options *auto_userns;
	/* What its SELinux labels differ in from the policy's, where process_label and mount_label are not given: "disable", or "user:",
	 * "role:", "type:", "level:" (of processes and files both), "filetype:" and a value. Nothing on a machine without SELinux. */
	const char *const *label_options;
	size_t n_label_options;
} cst_container_options;
#define CST_CONTAINER_OPTIONS_INIT { .size = sizeof(cst_container_options) }

/* *container (may be NULL) is the new record. Layer and record appear together or not at all. CST_EIMAGE_UNKNOWN,
 * CST_EDUPLICATE_ID, CST_EDUPLICATE_NAME, CST_EINVALID_MAPPINGS, CST_EINVALID_BIG_DATA_NAME, CST_EINVAL (ID, data item,
 * flag, storage option, label option, one of the two labels without the other, or an automatic user namespace above the configuration's size),
 * CST_ENOTSUP (a quota), CST_ENO_AVAILABLE_IDS, CST_EBUSY (no SELinux level is free). L w, I r, C w; with maps userns.lock around them. */
CST_PUBLIC int cst_store_create_container(cst_store *store, const cst_container_options *options, cst_container **container,
				    cst_error **error);
/* With its layer and its directories. CST_ENOT_A_CONTAINER. L w, C w. */
CST_PUBLIC int cst_store_delete_container(cst_store *store, const char *id, cst_error **error);
/* Bytes that its layer changes, of its data items, and of what is in its private directories.
 * CST_ECONTAINER_UNKNOWN. */
CST_PUBLIC int cst_store_container_size(cst_store *store, const char *id, int64_t *size, cst_error **error);
CST_PUBLIC int cst_store_container_directory(cst_store *store, const char *id, char **path, cst_error **error);
CST_PUBLIC int cst_store_container_run_directory(cst_store *store, const char *id, char **path, cst_error **error);

typedef struct cst_delete_options {
	size_t size;
	int kind;     /* enum cst_kind: that kind only, with its safety checks; 0: any kind, without */
	bool dry_run; /* images only: report what would go */
	char unused[3];
	const cst_progress *progress; /* what: "delete"; counts names as they are removed */
} cst_delete_options;
#define CST_DELETE_OPTIONS_INIT { .size = sizeof(cst_delete_options) }

/* Deletes a layer, an image or a container. Without options, or with kind 0: a container with its layer, else an image
 * without its layers, else a layer, without safety checks; CST_ELAYER_UNKNOWN if there is none. With a kind: what the
 * function for the kind does, its errors and its locks; *layers (may be NULL) is as of cst_store_delete_image, and untouched
 * for other kinds. With a progress the files are counted before they are removed; the first call of it, before anything is
 * deleted, can cancel; later it only stops being called. CST_ECANCELED, CST_EINVAL (not a kind; a dry run of anything but
 * an image). */
CST_PUBLIC int cst_store_delete(cst_store *store, const char *id, const cst_delete_options *options, cst_strings **layers,
				cst_error **error);

/* ---- names and metadata of layers, images and containers, looked for in that order ---- */

/* CST_ELAYER_UNKNOWN, whatever was looked for. */
CST_PUBLIC int cst_store_names(cst_store *store, const char *id, cst_strings **names, cst_error **error);
/* A name held by another item of the same kind moves. CST_ELAYER_UNKNOWN. w lock of the kind. */
CST_PUBLIC int cst_store_set_names(cst_store *store, const char *id, const char *const *names, size_t n, cst_error **error);
CST_PUBLIC int cst_store_add_names(cst_store *store, const char *id, const char *const *names, size_t n, cst_error **error);
CST_PUBLIC int cst_store_remove_names(cst_store *store, const char *id, const char *const *names, size_t n,
				      cst_error **error);
/* CST_ENOT_AN_ID. Caller frees *metadata with cst_free. */
CST_PUBLIC int cst_store_metadata(cst_store *store, const char *id, char **metadata, cst_error **error);
CST_PUBLIC int cst_store_set_metadata(cst_store *store, const char *id, const char *metadata, cst_error **error);

/* ---- data items ---- */

enum cst_kind { CST_KIND_LAYER = 1, CST_KIND_IMAGE = 2, CST_KIND_CONTAINER = 3 };

/* Names of the items in order of creation. */
CST_PUBLIC int cst_store_data_names(cst_store *store, enum cst_kind kind, const char *id, cst_strings **names, cst_error **error);
/* Whole content; caller frees *data with cst_free. CST_EDATA_UNKNOWN, CST_E..._UNKNOWN of the kind,
 * CST_EINVALID_BIG_DATA_NAME (an empty key of a container), CST_EINVAL (not a kind). */
CST_PUBLIC int cst_store_data(cst_store *store, enum cst_kind kind, const char *id, const char *key, void **data,
			    size_t *size, cst_error **error);
/* The same without reading it: *fd is open for reading, at the start of a regular file, and the caller's to close. It stays
 * readable, and the content that it was, whatever becomes of the item. */
CST_PUBLIC int cst_store_open_data(cst_store *store, enum cst_kind kind, const char *id, const char *key, int *fd,
				   cst_error **error);
/* Replaces or adds one, durably. CST_EINVALID_BIG_DATA_NAME, CST_EINVAL (a key whose file name would clash, not a kind),
 * CST_E..._UNKNOWN of the kind. w lock of the kind. */
CST_PUBLIC int cst_store_set_data(cst_store *store, enum cst_kind kind, const char *id, const char *key, const void *data,
			    size_t size, cst_error **error);
/* The same from a source, which is read to its end before any lock is taken, and not kept in memory. Also what the source fails
 * with: the item stays as it was then. */
CST_PUBLIC int cst_store_set_data_from(cst_store *store, enum cst_kind kind, const char *id, const char *key,
				       const cst_source *source, cst_error **error);
/* Images and containers only. CST_ESIZE_UNKNOWN, CST_EDIGEST_UNKNOWN. */
CST_PUBLIC int cst_store_data_size(cst_store *store, enum cst_kind kind, const char *id, const char *key, int64_t *size,
			     cst_error **error);
CST_PUBLIC int cst_store_data_digest(cst_store *store, enum cst_kind kind, const char *id, const char *key, char **digest,
			       cst_error **error);

/* ---- files in the private directories of images and containers ---- */

enum cst_directory {
	CST_DIRECTORY = 0,     /* that of cst_store_image_directory, cst_store_container_directory */
	CST_RUN_DIRECTORY = 1, /* that of cst_store_image_run_directory, cst_store_container_run_directory */
};

/* Writes a file of the directory anew, whole or not at all, durably, mode 0600; `file` is a relative path without "..",
 * directories in it are made (0700). Nothing outside of the directory is ever written, whatever links are in it.
 * CST_EINVAL (the path, or a kind without directories), CST_EIMAGE_UNKNOWN, CST_ECONTAINER_UNKNOWN,
 * CST_ESTORE_READ_ONLY. w lock of the kind. */
CST_PUBLIC int cst_store_set_directory_file(cst_store *store, enum cst_kind kind, const char *id, enum cst_directory directory,
				      const char *file, const void *data, size_t size, cst_error **error);
/* The whole content of a regular file; the caller frees *data with cst_free, a NUL that does not count in *size follows
 * it. CST_EDATA_UNKNOWN (there is no such file), else as above. */
CST_PUBLIC int cst_store_directory_file(cst_store *store, enum cst_kind kind, const char *id, enum cst_directory directory,
				      const char *file, void **data, size_t *size, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
