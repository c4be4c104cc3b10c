/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of a store that were fetched in parts, or made as such: which of them has a file or a chunk of a digest? */
#include "store/layer/donors.h"
#include "base/fs.h"
#include "base/log.h"
#include "records/record.h"
#include <cstorage/chunked.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

void donors_free(struct donors *donors)
{
	for (size_t i = 0; i < donors->len; i++) {
		closep(&donors->items[i].fd);
		free(donors->items[i].layer);
		free(donors->items[i].data);
	}
	free(donors->items);
	*donors = (struct donors){0};
}

/* False: the layer has no such item, or it cannot be read. */
static bool read_item(cst_store *store, const char *id, const char *key, char **data, size_t *size)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (cst_store_data(store, CST_KIND_LAYER, id, key, (void **)data, size, &problem) == 0)
		return true;
	if (cst_error_code(problem) != CST_EDATA_UNKNOWN)
		log_debug("layer %s: %s", id, cst_error_message(problem));
	return false;
}

/* *objects: format 1, that of composefs. A layer that does not say it has format 0. False: another one. */
static bool read_format(cst_store *store, const char *id, bool *objects)
{
	_cleanup_free_ char *text = NULL;
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	const char *key;
	size_t size = 0;
	int64_t format = 0;
	*objects = false;
	if (!read_item(store, id, LAYER_DATA_KEY, &text, &size))
		return true;
	json_reader_init(&r, text, size, &arena);
	if (json_object_begin(&r))
		while (json_object_next(&r, &key))
			if (!(streq(key, "format") ? json_int64(&r, &format) : json_skip(&r)))
				break;
	*objects = format == 1;
	return json_ok(&r) && (format == 0 || format == 1);
}

/* Both formats are kept under the same key. */
static struct toc *parse(const char *id, const char *json, size_t size)
{
	static const enum cst_toc_format formats[] = {CST_TOC_ZSTD_CHUNKED, CST_TOC_ESTARGZ};
	struct toc *toc = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(formats) && !toc; i++) {
		_cleanup_error_ cst_error *problem = NULL;
		char *copy = malloc(size + 1);
		if (!copy)
			return NULL;
		memcpy(copy, json, size);
		if (toc_parse(copy, size, formats[i], UINT64_MAX, &toc, &problem) < 0)
			log_debug("layer %s: its TOC: %s", id, cst_error_message(problem));
	}
	return toc;
}

static void keep(cst_store *store, const char *id, const struct strbuf *made)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (!store->read_only && cst_store_set_data(store, CST_KIND_LAYER, id, CACHE_KEY,
	                                            made->data, made->len, &problem) < 0)
		log_debug("the cache of layer %s is not kept: %s", id, cst_error_message(problem));
}

/* 0 with *data NULL: none can be made. */
static int make(cst_store *store, const cst_layer *layer, bool objects, char **data, size_t *size,
                cst_error **error)
{
	_cleanup_free_ char *json = NULL;
	_cleanup_strbuf_ struct strbuf made = {0};
	size_t json_size = 0;
	if (!read_item(store, layer->id, MANIFEST_KEY, &json, &json_size))
		return 0;
	_cleanup_(toc_freep) struct toc *toc = parse(layer->id, json, json_size);
	if (!toc)
		return 0;
	int r = cache_make(toc, objects, &made, error);
	if (r < 0)
		return r;
	if (!layer->read_only)
		keep(store, layer->id, &made);
	*size = made.len;
	*data = strbuf_steal(&made);
	return *data ? 0 : error_oom(error);
}

static int add(struct donors *donors, const char *id, bool objects, char *data,
               const struct cache *cache, cst_error **error)
{
	struct donor *grown =
	        grow_array(donors->items, &donors->capacity, donors->len + 1, sizeof(*grown));
	char *copy = grown ? strdup(id) : NULL;
	if (grown)
		donors->items = grown;
	if (!copy) {
		free(data);
		return error_oom(error);
	}
	grown[donors->len++] = (struct donor){
	        .layer = copy, .data = data, .cache = *cache, .objects = objects, .fd = -1};
	return 0;
}

static int load(cst_store *store, const cst_layer *layer, struct donors *donors, cst_error **error)
{
	_cleanup_free_ char *data = NULL;
	struct cache cache;
	size_t size = 0;
	bool objects;
	if (!read_format(store, layer->id, &objects))
		return 0;
	if (read_item(store, layer->id, CACHE_KEY, &data, &size) && cache_open(data, size, &cache))
		return add(donors, layer->id, objects, steal_ptr(&data), &cache, error);
	free(steal_ptr(&data));
	int r = make(store, layer, objects, &data, &size, error);
	if (r < 0 || !data || !cache_open(data, size, &cache))
		return r;
	return add(donors, layer->id, objects, steal_ptr(&data), &cache, error);
}

static bool has_toc(const cst_layer *layer)
{
	for (size_t i = 0; i < layer->data_names.len; i++)
		if (streq(layer->data_names.items[i], MANIFEST_KEY))
			return true;
	return false;
}

int donors_load(cst_store *store, struct donors *ret, cst_error **error)
{
	_cleanup_donors_ struct donors donors = {0};
	cst_layer_list *layers = NULL;
	int r = cst_store_layers(store, &layers, error);
	for (size_t i = 0; r == 0 && i < cst_layer_list_size(layers); i++) {
		const cst_layer *layer = cst_layer_list_get(layers, i);
		if (has_toc(layer))
			r = load(store, layer, &donors, error);
	}
	cst_layer_list_free(layers);
	if (r < 0)
		return r;
	*ret = donors;
	donors = (struct donors){0};
	return 0;
}

struct donor *donors_find(const struct donors *donors, const uint8_t digest[TOC_DIGEST_SIZE],
                          struct cache_place *place)
{
	for (size_t i = 0; i < donors->len; i++)
		if (cache_find(&donors->items[i].cache, digest, place))
			return &donors->items[i];
	return NULL;
}

static bool open_content(const cst_store *store, struct donor *donor)
{
	_cleanup_error_ cst_error *problem = NULL;
	const struct driver_ops *ops = store->driver->ops;
	int (*open)(struct driver *, const char *, int *, cst_error **) =
	        donor->objects && ops->objects_open ? ops->objects_open : ops->content_open;
	if (donor->fd == -1 && open(store->driver, donor->layer, &donor->fd, &problem) < 0) {
		log_debug("layer %s: its content: %s", donor->layer, cst_error_message(problem));
		donor->fd = -2;
	}
	return donor->fd >= 0;
}

int donor_open(const cst_store *store, struct donor *donor, const struct cache_place *place)
{
	struct stat st;
	_cleanup_free_ char *name = strndup(place->name, place->name_len);
	if (!name || !open_content(store, donor))
		return -1;
	const char *path = name + strspn(name, "/");
	_cleanup_close_ int fd =
	        fs_open_beneath(donor->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	return steal_fd(&fd);
}

int cst_store_find_content(cst_store *store, const char *digest, cst_content_place *ret,
                           cst_error **error)
{
	_cleanup_donors_ struct donors donors = {0};
	cst_content_place all = CST_CONTENT_PLACE_INIT;
	struct cache_place place;
	uint8_t raw[TOC_DIGEST_SIZE];
	int r = ret ? result_check(ret, "cst_content_place", error)
	            : error_set(error, CST_EINVAL, "no struct cst_content_place is given");
	if (r == 0 && !toc_digest_parse(digest, raw))
		r = error_set(error, CST_EINVAL, "\"%s\" is no sha256 digest", digest);
	if (r == 0)
		r = donors_load(store, &donors, error);
	if (r < 0)
		return r;
	const struct donor *donor = donors_find(&donors, raw, &place);
	if (!donor)
		return error_set(error, CST_EDATA_UNKNOWN, "no layer is known to have %s", digest);
	all.layer = strdup(donor->layer);
	all.name = strndup(place.name, place.name_len);
	all.offset = place.offset;
	all.length = place.size;
	if (!all.layer || !all.name) {
		free(all.layer);
		free(all.name);
		return error_oom(error);
	}
	result_give(ret, &all, sizeof(all));
	return 0;
}
