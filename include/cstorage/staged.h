/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staged layers: a layer that is made step by step, where nobody sees it, until it is committed.
 *
 *     cst_store_stage_layer       an empty layer on top of a parent
 *     cst_staged_layer_apply      fills it from a layer tar;  or
 *     cst_staged_layer_content    lets the caller fill it, who then says what it holds:
 *     cst_staged_layer_describe
 *     cst_staged_layer_commit     a new layer of the store, or the new content of one that exists
 *     cst_staged_layer_free       what was not committed is removed
 *
 * Nothing of it holds a lock of the store but the commit. If the process dies, whoever opens the store next removes what it
 * staged, unless it was kept: then any process can adopt it by its ID. A staged layer belongs to its store object, and is freed before that is closed. One thread at a time may use it.
 */
#ifndef CSTORAGE_STAGED_H
#define CSTORAGE_STAGED_H

#include <cstorage/archive.h>
#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cst_staged_layer cst_staged_layer;

typedef struct cst_stage_options {
	size_t size; /* sizeof(cst_stage_options), set by CST_STAGE_OPTIONS_INIT */
	const char *parent; /* ID, name or prefix; NULL or "": none */
	/* ID, name or prefix of a layer that exists, which gets the staged content in place of its own. The parent, the label and
	 * the maps are that layer's: none of the others is given. NULL or "": it becomes a new layer. */
	const char *layer;
	const char *mount_label;
	const cst_idmap *uid_map, *gid_map; /* none: those of the parent, or without one those of the store */
	size_t n_uid_map, n_gid_map;
	bool host_uid_map, host_gid_map; /* no mapping, whatever the parent or store has */
	bool writable;    /* of a container: with an image store it stays in the graph root */
	bool is_volatile;
	char unused[4];
} cst_stage_options;
#define CST_STAGE_OPTIONS_INIT { .size = sizeof(cst_stage_options) }

/* An empty layer that nobody sees. CST_ELAYER_UNKNOWN (parent, layer), CST_EPARENT_IS_CONTAINER, CST_EINVAL (options). L r,
 * C r. */
CST_PUBLIC int cst_store_stage_layer(cst_store *store, const cst_stage_options *options, cst_staged_layer **staged,
				     cst_error **error);

typedef struct cst_staged_apply_options {
	size_t size;
	const char *original_digest;     /* of the stream as it is given, trusted if sha256 */
	int64_t original_size;           /* bytes that it is of; -1 unknown */
	const char *uncompressed_digest; /* trusted if sha256 */
	const char *expected_digest;     /* sha256 of the stream as it is given or as plain tar, or it fails; NULL or "": any */
	const cst_progress *progress;    /* what: "import" */
	/* Of a directory: the layer gets the TOC that it would have as a zstd:chunked blob, with its digest, as the data items of a layer
	 * that was fetched in parts. If there is something that no TOC can hold it gets none. */
	bool with_toc;
	char unused[7];
} cst_staged_apply_options;
#define CST_STAGED_APPLY_OPTIONS_INIT { .size = sizeof(cst_staged_apply_options), .original_size = -1 }

/* Fills it from a layer tar, plain or compressed, once. Digests, sizes, ids and the tar-split are noted. `options` may be
 * NULL. After a failure the staged layer can only be freed. CST_EARCHIVE, CST_ELAYER_UNKNOWN (the parent was deleted
 * meanwhile), CST_EINVAL (it was filled before), CST_ECANCELED, what the source fails with. */
CST_PUBLIC int cst_staged_layer_apply(cst_staged_layer *staged, const cst_source *diff,
				      const cst_staged_apply_options *options, cst_error **error);
/* The same with a copy of a directory (-1: an empty one): with what cst_archive_pack writes of it, but a file .wh.NAME is the
 * whiteout of NAME. `dirfd` is opened O_RDONLY | O_DIRECTORY and stays the caller's. Of the options `progress` and `with_toc` count. */
CST_PUBLIC int cst_staged_layer_apply_directory(cst_staged_layer *staged, int dirfd, const cst_staged_apply_options *options,
						cst_error **error);

/* Where somebody else fills the layer, and by what rules. Filled in by the library as far as `size` reaches. */
typedef struct cst_staged_content {
	size_t size; /* sizeof(cst_staged_content), set by CST_STAGED_CONTENT_INIT */
	int fd;         /* the root directory, O_RDONLY | O_DIRECTORY; the caller closes it */
	int whiteouts;  /* enum cst_whiteouts: what a whiteout has to become */
	int force_mask; /* the mode that every file gets; -1: its own */
	bool rootless;            /* as in cst_apply_options */
	bool ignore_chown_errors;
	char unused[2];
	const cst_idmap *uid_map, *gid_map; /* files get the host ids of their ids; they belong to the staged layer */
	size_t n_uid_map, n_gid_map;
} cst_staged_content;
#define CST_STAGED_CONTENT_INIT { .size = sizeof(cst_staged_content), .fd = -1 }

/* The root directory has the owner and the mode that it gets if nothing else is said: on most drivers the parent's. On a
 * driver whose layers are whole trees it holds the parent's files. What is written there is on disk when the commit returns.
 * CST_ENOTSUP (this driver fills its layers by itself only). */
CST_PUBLIC int cst_staged_layer_content(cst_staged_layer *staged, cst_staged_content *content, cst_error **error);

/* What is staged. Of text NULL, of numbers -1, and of lists NULL mean: as it was, which is what was applied, or nothing. */
typedef struct cst_staged_results {
	size_t size;
	const char *diff_digest;       /* of the plain tar: the DiffID; "": unknown */
	int64_t diff_size;             /* bytes of it */
	const char *compressed_digest; /* of the blob as it was fetched; "": unknown */
	int64_t compressed_size;
	const char *toc_digest;
	const char *metadata;
	const uint32_t *uids, *gids;   /* in the tar, before any mapping; in any order */
	size_t n_uids, n_gids;
	const cst_source *tarsplit;    /* the tar-split, not compressed */
	const cst_data_item *data;     /* data items of the layer; of one key the last counts */
	size_t n_data;
	int compression;               /* enum cst_compression, of the blob */
	char unused[4];
} cst_staged_results;
#define CST_STAGED_RESULTS_INIT { .size = sizeof(cst_staged_results), .diff_size = -1, .compressed_size = -1, .compression = -1 }

/* Notes what whoever filled the layer knows of it. CST_EINVAL (a digest, a data item), CST_EINVALID_BIG_DATA_NAME, what a
 * source fails with. */
CST_PUBLIC int cst_staged_layer_describe(cst_staged_layer *staged, const cst_staged_results *results, cst_error **error);

typedef struct cst_staged_commit_options {
	size_t size;
	/* Of a new layer only. */
	const char *id; /* NULL or "": a random one */
	const char *const *names;
	size_t n_names;
	const cst_flag *flags; /* any but "incomplete" */
	size_t n_flags;
} cst_staged_commit_options;
#define CST_STAGED_COMMIT_OPTIONS_INIT { .size = sizeof(cst_staged_commit_options) }

/* Makes it a layer: content, tar-split, data items and record appear together, durable, or not at all. *layer (may be NULL) is
 * the record. `options` may be NULL. Of a layer that exists the content, the digests, the ids and the metadata are replaced, and the
 * data items are added to those it has; it needs a tar-split. Afterwards the staged layer can only be freed, and so it is after
 * CST_ESYS; after the other errors it is as it was. CST_EDUPLICATE_ID, CST_EDUPLICATE_NAME, CST_ELAYER_UNKNOWN (the parent,
 * or the layer that was to be replaced, was deleted or changed meanwhile), CST_EBUSY (that layer is mounted), CST_EINVAL (ID, flag,
 * no tar-split; it cannot be committed). L w. */
CST_PUBLIC int cst_staged_layer_commit(cst_staged_layer *staged, const cst_staged_commit_options *options, cst_layer **layer,
				       cst_error **error);

/* The record as far as it is known; a new layer has no ID of its own yet. It belongs to the staged layer. */
CST_PUBLIC const cst_layer *cst_staged_layer_record(const cst_staged_layer *staged);

/* ---- outliving the process ---- */

/* Keeps a layer that is filled: from now on neither cst_staged_layer_free nor the end of this process removes it, but a
 * commit, cst_store_discard_staged_layer or cst_store_wipe. It is on disk when the call returns. *id (may be NULL) is its ID,
 * which the caller frees with cst_free. Programs of before containers/storage 1.54 that end while nothing is mounted remove it all the
 * same. What is described afterwards is not kept. CST_EINVAL (it is not filled, or is kept already), CST_ENOTSUP (this driver, or this file system, cannot keep it). */
CST_PUBLIC int cst_staged_layer_keep(cst_staged_layer *staged, char **id, cst_error **error);
/* The IDs of all that are kept, some of which other processes may be at work with; *ids is the caller's. */
CST_PUBLIC int cst_store_staged_layers(cst_store *store, cst_strings **ids, cst_error **error);
/* Takes one that is kept, to look at it, describe it and commit it. It stays kept until the commit is done. CST_ELAYER_UNKNOWN (no
 * staged layer has the ID), CST_EBUSY (another process has it, or this one), CST_ECORRUPT. */
CST_PUBLIC int cst_store_adopt_staged_layer(cst_store *store, const char *id, cst_staged_layer **staged, cst_error **error);
/* Removes one that is kept. CST_ELAYER_UNKNOWN, CST_EBUSY. */
CST_PUBLIC int cst_store_discard_staged_layer(cst_store *store, const char *id, cst_error **error);

/* Removes what was not committed, and is not kept. NULL allowed. */
CST_PUBLIC void cst_staged_layer_free(cst_staged_layer *staged);

#ifdef __cplusplus
}
#endif
#endif
