/* SPDX-License-Identifier: Apache-2.0 */
/* The public view of the records: <cstorage/records.h>. */
#include "records/record.h"

static size_t give_strings(const struct strings *strings, const char *const **ret)
{
	if (ret)
		*ret = strings->items;
	return strings->len;
}

static size_t give_map(const struct idranges *ranges, const cst_idmap **ret)
{
	if (ret)
		*ret = ranges->items;
	return ranges->len;
}

static size_t give_ids(const struct uint32s *ids, const uint32_t **ret)
{
	if (ret)
		*ret = ids->items;
	return ids->len;
}

static int64_t give_time(const struct timestamp *time, int32_t *nanoseconds)
{
	if (nanoseconds)
		*nanoseconds = time->nsec;
	return time->sec;
}

static const struct data_item *find_item(const struct data_items *items, const char *name)
{
	for (size_t i = 0; i < items->len; i++) {
		if (streq(items->items[i].name, name))
			return &items->items[i];
	}
	return NULL;
}

static size_t give_names(const struct data_items *items, const char *const **ret)
{
	if (ret)
		*ret = items->names;
	return items->len;
}

static int64_t give_size(const struct data_items *items, const char *name)
{
	const struct data_item *item = find_item(items, name);
	return item ? item->size : -1;
}

static const char *give_digest(const struct data_items *items, const char *name)
{
	const struct data_item *item = find_item(items, name);
	return item ? strempty(item->digest) : "";
}

/* ---- layers ---- */

const char *cst_layer_id(const cst_layer *layer)
{
	return strempty(layer->id);
}

size_t cst_layer_names(const cst_layer *layer, const char *const **names)
{
	return give_strings(&layer->names, names);
}

const char *cst_layer_parent(const cst_layer *layer)
{
	return strempty(layer->parent);
}

const char *cst_layer_metadata(const cst_layer *layer)
{
	return strempty(layer->metadata);
}

const char *cst_layer_mount_label(const cst_layer *layer)
{
	return strempty(layer->mount_label);
}

const char *cst_layer_mount_point(const cst_layer *layer)
{
	return strempty(layer->mount_point);
}

int cst_layer_mount_count(const cst_layer *layer)
{
	return layer->mount_count;
}

int64_t cst_layer_created(const cst_layer *layer, int32_t *nanoseconds)
{
	return give_time(&layer->created, nanoseconds);
}

const char *cst_layer_compressed_digest(const cst_layer *layer)
{
	return strempty(layer->compressed_digest);
}

int64_t cst_layer_compressed_size(const cst_layer *layer)
{
	return isempty(layer->compressed_digest) ? -1 : layer->compressed_size;
}

const char *cst_layer_diff_digest(const cst_layer *layer)
{
	return strempty(layer->diff_digest);
}

int64_t cst_layer_uncompressed_size(const cst_layer *layer)
{
	return isempty(layer->diff_digest) ? -1 : layer->diff_size;
}

const char *cst_layer_toc_digest(const cst_layer *layer)
{
	return strempty(layer->toc_digest);
}

int cst_layer_compression(const cst_layer *layer)
{
	return (int)layer->compression;
}

size_t cst_layer_uid_map(const cst_layer *layer, const cst_idmap **map)
{
	return give_map(&layer->uid_map, map);
}

size_t cst_layer_gid_map(const cst_layer *layer, const cst_idmap **map)
{
	return give_map(&layer->gid_map, map);
}

size_t cst_layer_uids(const cst_layer *layer, const uint32_t **uids)
{
	return give_ids(&layer->uids, uids);
}

size_t cst_layer_gids(const cst_layer *layer, const uint32_t **gids)
{
	return give_ids(&layer->gids, gids);
}

size_t cst_layer_data_names(const cst_layer *layer, const char *const **names)
{
	return give_strings(&layer->data_names, names);
}

bool cst_layer_read_only(const cst_layer *layer)
{
	return layer->read_only;
}

/* ---- images ---- */

const char *cst_image_id(const cst_image *image)
{
	return strempty(image->id);
}

const char *cst_image_digest(const cst_image *image)
{
	return strempty(image->digest);
}

size_t cst_image_digests(const cst_image *image, const char *const **digests)
{
	return give_strings(&image->digests, digests);
}

size_t cst_image_names(const cst_image *image, const char *const **names)
{
	return give_strings(&image->names, names);
}

size_t cst_image_names_history(const cst_image *image, const char *const **names)
{
	return give_strings(&image->names_history, names);
}

const char *cst_image_top_layer(const cst_image *image)
{
	return strempty(image->layer);
}

size_t cst_image_mapped_layers(const cst_image *image, const char *const **ids)
{
	return give_strings(&image->mapped_layers, ids);
}

const char *cst_image_metadata(const cst_image *image)
{
	return strempty(image->metadata);
}

int64_t cst_image_data_size(const cst_image *image, const char *name)
{
	return give_size(&image->data, name);
}

const char *cst_image_data_digest(const cst_image *image, const char *name)
{
	return give_digest(&image->data, name);
}

size_t cst_image_data_names(const cst_image *image, const char *const **names)
{
	return give_names(&image->data, names);
}

int64_t cst_image_created(const cst_image *image, int32_t *nanoseconds)
{
	return give_time(&image->created, nanoseconds);
}

bool cst_image_read_only(const cst_image *image)
{
	return image->read_only;
}

/* ---- containers ---- */

const char *cst_container_id(const cst_container *container)
{
	return strempty(container->id);
}

size_t cst_container_names(const cst_container *container, const char *const **names)
{
	return give_strings(&container->names, names);
}

const char *cst_container_image(const cst_container *container)
{
	return strempty(container->image);
}

const char *cst_container_layer(const cst_container *container)
{
	return strempty(container->layer);
}

const char *cst_container_metadata(const cst_container *container)
{
	return strempty(container->metadata);
}

int64_t cst_container_data_size(const cst_container *container, const char *name)
{
	return give_size(&container->data, name);
}

const char *cst_container_data_digest(const cst_container *container, const char *name)
{
	return give_digest(&container->data, name);
}

size_t cst_container_data_names(const cst_container *container, const char *const **names)
{
	return give_names(&container->data, names);
}

int64_t cst_container_created(const cst_container *container, int32_t *nanoseconds)
{
	return give_time(&container->created, nanoseconds);
}

size_t cst_container_uid_map(const cst_container *container, const cst_idmap **map)
{
	return give_map(&container->uid_map, map);
}

size_t cst_container_gid_map(const cst_container *container, const cst_idmap **map)
{
	return give_map(&container->gid_map, map);
}

bool cst_container_volatile(const cst_container *container)
{
	return container->file == CONTAINER_VOLATILE ||
	       flags_get_bool(&container->flags, "Volatile");
}

const char *cst_container_mount_label(const cst_container *container)
{
	return strempty(container->mount_label);
}

const char *cst_container_process_label(const cst_container *container)
{
	return strempty(container->process_label);
}

size_t cst_container_mount_options(const cst_container *container, const char *const **options)
{
	return give_strings(&container->mount_options, options);
}

/* ---- flags ---- */

static int give_flag_json(const struct raw_members *flags, const char *key, char **json,
                          cst_error **error)
{
	const struct raw_member *flag = flags_find(flags, key);
	if (!flag)
		return error_set(error, CST_EDATA_UNKNOWN, "there is no flag \"%s\"", key);
	char *copy = strndup(flag->json, flag->len);
	if (!copy)
		return error_oom(error);
	*json = copy;
	return 0;
}

static int give_flag_string(const struct raw_members *flags, const char *key, char **value,
                            cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	const char *text = flags_get_string(&arena, flags, key);
	if (!text)
		return arena.failed ? error_oom(error)
		                    : error_set(error, CST_EDATA_UNKNOWN,
		                                "there is no flag \"%s\" with a text", key);
	char *copy = strdup(text);
	if (!copy)
		return error_oom(error);
	*value = copy;
	return 0;
}

bool cst_layer_flag_bool(const cst_layer *layer, const char *key)
{
	return flags_get_bool(&layer->flags, key);
}

int cst_layer_flag_string(const cst_layer *layer, const char *key, char **value, cst_error **error)
{
	return give_flag_string(&layer->flags, key, value, error);
}

int cst_layer_flag_json(const cst_layer *layer, const char *key, char **json, cst_error **error)
{
	return give_flag_json(&layer->flags, key, json, error);
}

bool cst_image_flag_bool(const cst_image *image, const char *key)
{
	return flags_get_bool(&image->flags, key);
}

int cst_image_flag_string(const cst_image *image, const char *key, char **value, cst_error **error)
{
	return give_flag_string(&image->flags, key, value, error);
}

int cst_image_flag_json(const cst_image *image, const char *key, char **json, cst_error **error)
{
	return give_flag_json(&image->flags, key, json, error);
}

bool cst_container_flag_bool(const cst_container *container, const char *key)
{
	return flags_get_bool(&container->flags, key);
}

int cst_container_flag_string(const cst_container *container, const char *key, char **value,
                              cst_error **error)
{
	return give_flag_string(&container->flags, key, value, error);
}

int cst_container_flag_json(const cst_container *container, const char *key, char **json,
                            cst_error **error)
{
	return give_flag_json(&container->flags, key, json, error);
}

/* ---- JSON ---- */

/* Hands over what a writer made. */
static int give_json(struct strbuf *text, char **json, size_t *size, cst_error **error)
{
	size_t len = text->len;
	char *stolen = strbuf_steal(text);
	if (!stolen)
		return error_oom(error);
	*json = stolen;
	if (size)
		*size = len;
	return 0;
}

int cst_layer_json(const cst_layer *layer, char **json, size_t *size, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	struct json_writer w;
	json_writer_init(&w, &text, JSON_OUTPUT);
	layer_write(&w, layer);
	return give_json(&text, json, size, error);
}

int cst_image_json(const cst_image *image, char **json, size_t *size, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	struct json_writer w;
	json_writer_init(&w, &text, JSON_OUTPUT);
	image_write(&w, image);
	return give_json(&text, json, size, error);
}

int cst_container_json(const cst_container *container, char **json, size_t *size, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	struct json_writer w;
	json_writer_init(&w, &text, JSON_OUTPUT);
	container_write(&w, container);
	return give_json(&text, json, size, error);
}
