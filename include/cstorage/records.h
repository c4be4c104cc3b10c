/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers, images and containers as the store remembers them. A record is an immutable copy: what a getter returns
 * belongs to the record and lives until the record, or the list it came from, is freed. Strings are never NULL
 * ("" if absent) unless said otherwise.
 */
#ifndef CSTORAGE_RECORDS_H
#define CSTORAGE_RECORDS_H

#include <cstorage/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cst_layer cst_layer;
typedef struct cst_image cst_image;
typedef struct cst_container cst_container;
typedef struct cst_layer_list cst_layer_list;
typedef struct cst_image_list cst_image_list;
typedef struct cst_container_list cst_container_list;

enum cst_compression { CST_PLAIN = 0, CST_BZIP2 = 1, CST_GZIP = 2, CST_XZ = 3, CST_ZSTD = 4 };

/* A flag to be remembered with a new record: its value is JSON text. A value type. */
typedef struct cst_flag {
	const char *key, *json;
} cst_flag;

/* ---- layers ---- */
/* What cst_store_layers_with lists. */
enum cst_layer_fields {
	CST_LAYER_FIELD_NAMES = 1,
	CST_LAYER_FIELD_PARENT = 2,
	CST_LAYER_FIELD_CREATED = 4,
	CST_LAYER_FIELD_DIFF = 8 /* diff digest, TOC digest, uncompressed size */
};
CST_PUBLIC const char *cst_layer_id(const cst_layer *layer);
CST_PUBLIC size_t cst_layer_names(const cst_layer *layer, const char *const **names); /* returns how many */
CST_PUBLIC const char *cst_layer_parent(const cst_layer *layer);        /* an ID, "" for a base layer */
CST_PUBLIC const char *cst_layer_metadata(const cst_layer *layer);
CST_PUBLIC const char *cst_layer_mount_label(const cst_layer *layer);
CST_PUBLIC const char *cst_layer_mount_point(const cst_layer *layer);   /* "" unless mounted */
CST_PUBLIC int cst_layer_mount_count(const cst_layer *layer);
CST_PUBLIC int64_t cst_layer_created(const cst_layer *layer, int32_t *nanoseconds); /* seconds since 1970; NULL allowed */
CST_PUBLIC const char *cst_layer_compressed_digest(const cst_layer *layer); /* of the stream as it was given */
CST_PUBLIC int64_t cst_layer_compressed_size(const cst_layer *layer);   /* bytes, -1 unknown */
CST_PUBLIC const char *cst_layer_diff_digest(const cst_layer *layer);   /* the DiffID */
CST_PUBLIC int64_t cst_layer_uncompressed_size(const cst_layer *layer); /* bytes of the uncompressed tar, -1 unknown */
CST_PUBLIC const char *cst_layer_toc_digest(const cst_layer *layer);
CST_PUBLIC int cst_layer_compression(const cst_layer *layer);           /* enum cst_compression */
CST_PUBLIC size_t cst_layer_uid_map(const cst_layer *layer, const cst_idmap **map);
CST_PUBLIC size_t cst_layer_gid_map(const cst_layer *layer, const cst_idmap **map);
CST_PUBLIC size_t cst_layer_uids(const cst_layer *layer, const uint32_t **uids); /* in the tar, sorted */
CST_PUBLIC size_t cst_layer_gids(const cst_layer *layer, const uint32_t **gids);
CST_PUBLIC size_t cst_layer_data_names(const cst_layer *layer, const char *const **names);
CST_PUBLIC bool cst_layer_read_only(const cst_layer *layer);            /* lives in an additional image store */
CST_PUBLIC void cst_layer_free(cst_layer *layer);

/* ---- images ---- */
CST_PUBLIC const char *cst_image_id(const cst_image *image);
CST_PUBLIC const char *cst_image_digest(const cst_image *image);        /* of its first manifest, "" if none */
CST_PUBLIC size_t cst_image_digests(const cst_image *image, const char *const **digests); /* all it can be found by */
CST_PUBLIC size_t cst_image_names(const cst_image *image, const char *const **names);
CST_PUBLIC size_t cst_image_names_history(const cst_image *image, const char *const **names); /* newest first */
CST_PUBLIC const char *cst_image_top_layer(const cst_image *image);     /* an ID or "" */
CST_PUBLIC size_t cst_image_mapped_layers(const cst_image *image, const char *const **ids);
CST_PUBLIC const char *cst_image_metadata(const cst_image *image);
CST_PUBLIC size_t cst_image_data_names(const cst_image *image, const char *const **names);
CST_PUBLIC int64_t cst_image_data_size(const cst_image *image, const char *name);      /* -1 unknown */
CST_PUBLIC const char *cst_image_data_digest(const cst_image *image, const char *name); /* "" unknown */
CST_PUBLIC int64_t cst_image_created(const cst_image *image, int32_t *nanoseconds);
CST_PUBLIC bool cst_image_read_only(const cst_image *image);
CST_PUBLIC void cst_image_free(cst_image *image);

/* ---- containers ---- */
CST_PUBLIC const char *cst_container_id(const cst_container *container);
CST_PUBLIC size_t cst_container_names(const cst_container *container, const char *const **names);
CST_PUBLIC const char *cst_container_image(const cst_container *container); /* an ID or "" */
CST_PUBLIC const char *cst_container_layer(const cst_container *container); /* an ID */
CST_PUBLIC const char *cst_container_metadata(const cst_container *container);
CST_PUBLIC size_t cst_container_data_names(const cst_container *container, const char *const **names);
CST_PUBLIC int64_t cst_container_data_size(const cst_container *container, const char *name);
CST_PUBLIC const char *cst_container_data_digest(const cst_container *container, const char *name);
CST_PUBLIC int64_t cst_container_created(const cst_container *container, int32_t *nanoseconds);
CST_PUBLIC size_t cst_container_uid_map(const cst_container *container, const cst_idmap **map);
CST_PUBLIC size_t cst_container_gid_map(const cst_container *container, const cst_idmap **map);
CST_PUBLIC bool cst_container_volatile(const cst_container *container);
CST_PUBLIC const char *cst_container_mount_label(const cst_container *container);
CST_PUBLIC const char *cst_container_process_label(const cst_container *container);
CST_PUBLIC size_t cst_container_mount_options(const cst_container *container, const char *const **options);
CST_PUBLIC void cst_container_free(cst_container *container);

/* ---- flags: what the makers of records remember with them ---- */

/* _bool: is the flag there and true? _string: its text, _json: its value as JSON; the caller frees both with cst_free.
 * CST_EDATA_UNKNOWN: there is no such flag, or it is no string. */
CST_PUBLIC bool cst_layer_flag_bool(const cst_layer *layer, const char *key);
CST_PUBLIC int cst_layer_flag_string(const cst_layer *layer, const char *key, char **value, cst_error **error);
CST_PUBLIC int cst_layer_flag_json(const cst_layer *layer, const char *key, char **json, cst_error **error);
CST_PUBLIC bool cst_image_flag_bool(const cst_image *image, const char *key);
CST_PUBLIC int cst_image_flag_string(const cst_image *image, const char *key, char **value, cst_error **error);
CST_PUBLIC int cst_image_flag_json(const cst_image *image, const char *key, char **json, cst_error **error);
CST_PUBLIC bool cst_container_flag_bool(const cst_container *container, const char *key);
CST_PUBLIC int cst_container_flag_string(const cst_container *container, const char *key, char **value, cst_error **error);
CST_PUBLIC int cst_container_flag_json(const cst_container *container, const char *key, char **json, cst_error **error);

/* The record as one JSON object, member for member what the containers-storage command prints with --json; unknown
 * members that a newer version wrote follow the known ones. The caller frees *json with cst_free. */
CST_PUBLIC int cst_layer_json(const cst_layer *layer, char **json, size_t *size, cst_error **error);
CST_PUBLIC int cst_image_json(const cst_image *image, char **json, size_t *size, cst_error **error);
CST_PUBLIC int cst_container_json(const cst_container *container, char **json, size_t *size, cst_error **error);

/* ---- lists: one arena owns all records of a list ---- */
CST_PUBLIC size_t cst_layer_list_size(const cst_layer_list *list); /* NULL: 0 */
CST_PUBLIC const cst_layer *cst_layer_list_get(const cst_layer_list *list, size_t index); /* NULL out of range */
CST_PUBLIC void cst_layer_list_free(cst_layer_list *list);
CST_PUBLIC size_t cst_image_list_size(const cst_image_list *list);
CST_PUBLIC const cst_image *cst_image_list_get(const cst_image_list *list, size_t index);
CST_PUBLIC void cst_image_list_free(cst_image_list *list);
CST_PUBLIC size_t cst_container_list_size(const cst_container_list *list);
CST_PUBLIC const cst_container *cst_container_list_get(const cst_container_list *list, size_t index);
CST_PUBLIC void cst_container_list_free(cst_container_list *list);

#ifdef __cplusplus
}
#endif
#endif
