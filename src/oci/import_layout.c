/* SPDX-License-Identifier: Apache-2.0 */
/* Imports an image of an OCI layout, oci:DIR[:REF] (docs/format/config.md, "Import recipe"). */
#include "base/id.h"
#include "oci/import.h"
#include "oci/manifest.h"
#include <cstorage/lock.h>
#include <stdio.h>

#define DATA_MAX 4 /* configuration, index, manifest twice */

struct layout_image {
	struct arena arena;
	struct layout layout;
	struct descriptor index; /* its digest is NULL if the layout names the manifest itself */
	struct descriptor manifest_at;
	char *index_text, *manifest_text, *config_text;
	size_t index_len, manifest_len, config_len;
	struct manifest manifest;
	struct image_config config;
};

static void layout_image_free(struct layout_image *image)
{
	image_config_free(&image->config);
	manifest_free(&image->manifest);
	free(image->index_text);
	free(image->manifest_text);
	free(image->config_text);
	layout_close(&image->layout);
	arena_clear(&image->arena);
}

/* ---- which image ---- */

static int which_one(const struct layout *layout, const struct descriptors *list,
                     const char *reference, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf names = {0};
	for (size_t i = 0; i < list->len; i++)
		if (*list->items[i].reference)
			strbuf_addf(&names, "%s\"%s\"", names.len ? ", " : "",
			            list->items[i].reference);
	if (names.failed)
		return error_oom(error);
	const char *known = names.len ? strbuf_str(&names) : "none with a name";
	if (*reference)
		return error_set(error, CST_EINVAL, "%s has no image called \"%s\"; it has %s",
		                 layout->path, reference, known);
	return error_set(error, CST_EINVAL,
	                 "%s has %zu images, say which one: oci:%s:REF; it has %s", layout->path,
	                 list->len, layout->path, known);
}

static const struct descriptor *by_reference(const struct descriptors *list, const char *reference)
{
	if (!*reference)
		return list->len == 1 ? &list->items[0] : NULL;
	for (size_t i = 0; i < list->len; i++)
		if (streq(list->items[i].reference, reference))
			return &list->items[i];
	return NULL;
}

static int by_platform(const struct import *import, const struct layout_image *image,
                       const struct descriptors *list, const struct descriptor **ret,
                       cst_error **error)
{
	const char *os = isempty(import->options->os) ? "linux" : import->options->os;
	const char *architecture = isempty(import->options->architecture)
	                                   ? import_architecture()
	                                   : import->options->architecture;
	for (size_t i = 0; i < list->len; i++)
		if (streq(list->items[i].architecture, architecture) &&
		    streq(list->items[i].os, os)) {
			*ret = &list->items[i];
			return 0;
		}
	return error_set(error, CST_EINVAL, "the image in %s does not exist for %s on %s",
	                 image->layout.path, os, architecture);
}

/* An image for several platforms is an index of its own: choose the one for this machine. */
static int choose_platform(const struct import *import, struct layout_image *image,
                           cst_error **error)
{
	const struct descriptor *chosen = NULL;
	_cleanup_(descriptors_free) struct descriptors list = {0};
	if (!is_index(&image->manifest_at))
		return 0;
	image->index = image->manifest_at;
	int r = layout_read_blob(&image->layout, &image->index, &image->index_text,
	                         &image->index_len, error);
	if (r == 0)
		r = index_parse(image->index_text, image->index_len, image->index.digest,
		                &image->arena, &list, error);
	if (r == 0)
		r = by_platform(import, image, &list, &chosen, error);
	if (r == 0)
		image->manifest_at = *chosen;
	return r;
}

static int find_manifest(const struct import *import, const char *reference,
                         struct layout_image *image, cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	_cleanup_(descriptors_free) struct descriptors list = {0};
	int r = layout_read_index(&image->layout, &text, &len, error);
	if (r == 0)
		r = index_parse(text, len, "index.json", &image->arena, &list, error);
	if (r < 0)
		return r;
	const struct descriptor *chosen = by_reference(&list, reference);
	if (!chosen)
		return which_one(&image->layout, &list, reference, error);
	image->manifest_at = *chosen;
	return choose_platform(import, image, error);
}

/* ---- its documents ---- */

static int check_documents(const struct layout_image *image, cst_error **error)
{
	const struct manifest *manifest = &image->manifest;
	if (!digest_is_sha256(manifest->config.digest))
		return error_set(error, CST_ENOTSUP,
		                 "the configuration %s cannot give the image its ID: that takes a "
		                 "sha256 digest",
		                 manifest->config.digest);
	if (manifest->layers.len != image->config.diff_ids.len)
		return error_set(error, CST_EARCHIVE,
		                 "the manifest %s lists %zu layers, its configuration %zu",
		                 image->manifest_at.digest, manifest->layers.len,
		                 image->config.diff_ids.len);
	for (size_t i = 0; i < image->config.diff_ids.len; i++)
		if (!digest_is_sha256(image->config.diff_ids.items[i]))
			return error_set(error, CST_ENOTSUP,
			                 "the configuration %s names a layer \"%s\", which is not "
			                 "a sha256 digest",
			                 manifest->config.digest, image->config.diff_ids.items[i]);
	return 0;
}

static int read_documents(struct layout_image *image, cst_error **error)
{
	int r = layout_read_blob(&image->layout, &image->manifest_at, &image->manifest_text,
	                         &image->manifest_len, error);
	if (r == 0)
		r = manifest_parse(image->manifest_text, image->manifest_len,
		                   image->manifest_at.digest, &image->arena, &image->manifest,
		                   error);
	if (r == 0)
		r = layout_read_blob(&image->layout, &image->manifest.config, &image->config_text,
		                     &image->config_len, error);
	if (r == 0)
		r = image_config_parse(image->config_text, image->config_len,
		                       image->manifest.config.digest, &image->config, error);
	return r == 0 ? check_documents(image, error) : r;
}

/* ---- its layers ---- */

typedef char layer_id[ID_HEX_LEN + 1];

/* The ID of a layer stands for all layers up to it. That of the first is its DiffID; that of every
 * other is the digest of "ID+DiffID". */
static int next_id(const char *parent, const char *diff_id, char ret[ID_HEX_LEN + 1],
                   cst_error **error)
{
	char digest[DIGEST_TEXT_MAX], text[2 * ID_HEX_LEN + 2];
	if (!*parent) {
		memcpy(ret, digest_hex(diff_id), ID_HEX_LEN + 1);
		return 0;
	}
	int n = snprintf(text, sizeof(text), "%s+%s", parent, digest_hex(diff_id));
	int r = digest_buffer(DIGEST_SHA256, text, (size_t)n, digest, error);
	if (r == 0)
		memcpy(ret, digest_hex(digest), ID_HEX_LEN + 1);
	return r;
}

/* Those of an image that the store does not have, from one of them on. */
struct missing_layers {
	size_t n;
	cst_layer_options *options;
	struct blob_stream *streams;
	cst_new_layer *layers;
};

static void missing_layers_free(struct missing_layers *missing)
{
	for (size_t i = 0; missing->streams && i < missing->n; i++)
		blob_stream_close(&missing->streams[i]);
	free(missing->streams);
	free(missing->options);
	free(missing->layers);
}

static int missing_layers_init(const struct layout_image *image, const layer_id *ids, size_t first,
                               struct missing_layers *ret, cst_error **error)
{
	const struct descriptors *blobs = &image->manifest.layers;
	size_t n = blobs->len - first;
	ret->options = new0(cst_layer_options, n);
	ret->streams = new0(struct blob_stream, n);
	ret->layers = new0(cst_new_layer, n);
	if (!ret->options || !ret->streams || !ret->layers)
		return error_oom(error);
	for (; ret->n < n; ret->n++) {
		size_t i = ret->n, number = first + i;
		cst_layer_options *options = &ret->options[i];
		blob_stream_init(&image->layout, &blobs->items[number], &ret->streams[i]);
		*options = (cst_layer_options)CST_LAYER_OPTIONS_INIT;
		options->id = ids[number];
		options->parent = i == 0 && first > 0 ? ids[first - 1] : NULL;
		/* The stream compares it with the content. */
		options->original_digest = blobs->items[number].digest;
		options->archive_name = blobs->items[number].digest;
		options->expected_diff_digest = image->config.diff_ids.items[number];
		ret->layers[i] = (cst_new_layer){options, &ret->streams[i].source};
	}
	return 0;
}

static uint64_t bytes_of(const struct descriptors *layers, size_t n)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += layers->items[i].size > 0 ? (uint64_t)layers->items[i].size : 0;
	return sum;
}

static int make_missing(struct import *import, const struct layout_image *image,
                        const layer_id *ids, size_t first, cst_error **error)
{
	_cleanup_(missing_layers_free) struct missing_layers missing = {0};
	cst_layers_options options = CST_LAYERS_OPTIONS_INIT;
	int r = missing_layers_init(image, ids, first, &missing, error);
	if (r < 0)
		return r;
	import->bytes_before = bytes_of(&image->manifest.layers, first);
	options.layers = missing.layers;
	options.n_layers = missing.n;
	options.progress = &import->progress;
	r = cst_store_create_layers(import->store, &options, NULL, error);
	bool noted = true;
	for (size_t i = first; r == 0 && i < image->manifest.layers.len; i++)
		noted = strv_add(&import->made, ids[i]) && noted;
	return noted ? r : error_oom(error);
}

static int on_wait(const cst_wait_state *state, void *userdata)
{
	const struct import *import = userdata;
	const cst_progress_state waiting = {.size = sizeof(waiting), .what = "wait"};
	const cst_progress *to = import->options->progress;
	return to && to->callback ? to->callback(&waiting, to->userdata) : 0;
}

/* Who imports the image at the same time waits here for the first, and finds its layers then. There
 * is one claim at a time, on the lowest layer that is missing, so that nobody waits in a circle. */
static int claim(struct import *import, const char *diff_id, cst_lock **ret, cst_error **error)
{
	const cst_wait wait = {.callback = on_wait, .userdata = import};
	int r = cst_store_digest_lock(import->store, diff_id, ret, error);
	if (r < 0)
		return r;
	r = cst_lock_lock_for(*ret, CST_LOCK_WRITE, 0, &wait, error);
	if (r < 0) {
		cst_lock_free(*ret);
		*ret = NULL;
	}
	return r;
}

static void claim_end(cst_lock **lock)
{
	if (*lock)
		cst_lock_unlock(*lock);
	cst_lock_free(*lock);
}

static int find_first_missing(struct import *import, const layer_id *ids, size_t n, size_t *found,
                              cst_error **error)
{
	bool there = true;
	int r = 0;
	for (; r == 0 && there && *found < n; *found += r == 0 && there)
		r = import_has_layer(import, ids[*found], &there, error);
	return r;
}

/* Makes the layers that the store does not have. If another process makes some of them at the same
 * time, and is faster, the rest is made again on top of those. */
static int make_layers(struct import *import, const struct layout_image *image, const layer_id *ids,
                       cst_error **error)
{
	size_t n = image->manifest.layers.len, found = 0, tried = SIZE_MAX;
	for (;;) {
		_cleanup_(claim_end) cst_lock *lock = NULL;
		_cleanup_error_ cst_error *problem = NULL;
		int r = find_first_missing(import, ids, n, &found, error);
		if (r < 0 || found == n)
			return r;
		size_t claimed = found;
		r = claim(import, image->config.diff_ids.items[found], &lock, error);
		if (r == 0)
			r = find_first_missing(import, ids, n, &found, error);
		if (r < 0 || found == n)
			return r;
		if (found > claimed)
			continue;
		bool again = found == tried;
		r = make_missing(import, image, ids, found, &problem);
		if (r != CST_EDUPLICATE_ID || again)
			return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
		tried = found;
	}
}

static int import_layers(struct import *import, const struct layout_image *image,
                         char top[ID_HEX_LEN + 1], cst_error **error)
{
	size_t n = image->manifest.layers.len;
	_cleanup_free_ layer_id *ids = new0(layer_id, n + 1);
	if (!ids)
		return error_oom(error);
	import->bytes_total = bytes_of(&image->manifest.layers, n);
	for (size_t i = 0; i < n; i++) {
		int r = next_id(i ? ids[i - 1] : "", image->config.diff_ids.items[i], ids[i],
		                error);
		if (r < 0)
			return r;
	}
	int r = make_layers(import, image, ids, error);
	if (r == 0 && n)
		memcpy(top, ids[n - 1], sizeof(*ids));
	return r;
}

/* ---- its record ---- */

static void add_data(cst_data_item *items, size_t *n, const char *key, const char *text, size_t len,
                     const char *digest)
{
	items[*n] = (cst_data_item){.key = key, .data = text, .data_size = len, .digest = digest};
	++*n;
}

static int record_image(struct import *import, struct layout_image *image, const char *top,
                        cst_image **ret, cst_error **error)
{
	cst_data_item data[DATA_MAX];
	size_t n = 0;
	const char *config = image->manifest.config.digest, *manifest = image->manifest_at.digest;
	_cleanup_free_ char *index_key =
	        str_printf("manifest-%s", image->index_text ? image->index.digest : "");
	_cleanup_free_ char *manifest_key = str_printf("manifest-%s", manifest);
	if (!index_key || !manifest_key)
		return error_oom(error);
	add_data(data, &n, config, image->config_text, image->config_len, config);
	if (image->index_text)
		add_data(data, &n, index_key, image->index_text, image->index_len,
		         image->index.digest);
	add_data(data, &n, manifest_key, image->manifest_text, image->manifest_len, manifest);
	add_data(data, &n, "manifest", image->manifest_text, image->manifest_len, manifest);
	const struct new_image new = {.id = digest_hex(config),
	                              .layer = top,
	                              .created = image->config.has_created ? &image->config.created
	                                                                   : NULL,
	                              .data = data,
	                              .n_data = n};
	return import_record(import, &new, ret, error);
}

int import_oci(struct import *import, const char *place, cst_image **ret, cst_error **error)
{
	char top[ID_HEX_LEN + 1] = "";
	_cleanup_(layout_image_free) struct layout_image image = {.layout.fd = -1};
	const char *colon = strchr(place, ':');
	_cleanup_free_ char *path = strndup(place, colon ? (size_t)(colon - place) : strlen(place));
	if (!path)
		return error_oom(error);
	int r = layout_open(path, &image.layout, error);
	if (r == 0)
		r = find_manifest(import, colon ? colon + 1 : "", &image, error);
	if (r == 0)
		r = read_documents(&image, error);
	if (r == 0)
		r = import_layers(import, &image, top, error);
	return r == 0 ? record_image(import, &image, top, ret, error) : r;
}
