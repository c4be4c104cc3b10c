/* SPDX-License-Identifier: Apache-2.0 */
/* Imports an image of one layer, tar:FILE. This file writes its configuration and manifest. */
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "oci/import.h"
#include <errno.h>

#define OCI "application/vnd.oci.image."

static void put(struct json_writer *w, const char *key, const char *value)
{
	json_put_key(w, key);
	json_put_string(w, value);
}

static void put_descriptor(struct json_writer *w, const char *type, const char *digest,
                           int64_t size)
{
	json_object_open(w);
	put(w, "mediaType", type);
	put(w, "digest", digest);
	json_put_key(w, "size");
	json_put_int64(w, size);
	json_object_close(w);
}

static void write_config(struct import *import, const char *path, const char *diff_id,
                         const struct timestamp *now, struct strbuf *out)
{
	char created[TIMESTAMP_MAX];
	struct json_writer w;
	_cleanup_free_ char *how = str_printf("cstorage import tar:%s", path_base(path));
	const cst_import_options *options = import->options;
	timestamp_format(now, created);
	json_writer_init(&w, out, JSON_OUTPUT);
	json_object_open(&w);
	put(&w, "created", created);
	put(&w, "architecture",
	    isempty(options->architecture) ? import_architecture() : options->architecture);
	put(&w, "os", isempty(options->os) ? "linux" : options->os);
	json_put_key(&w, "config");
	json_put_raw(&w, "{}", 2);
	json_put_key(&w, "rootfs");
	json_object_open(&w);
	put(&w, "type", "layers");
	json_put_key(&w, "diff_ids");
	json_put_strings(&w, &diff_id, 1);
	json_object_close(&w);
	json_put_key(&w, "history");
	json_array_open(&w);
	json_object_open(&w);
	put(&w, "created", created);
	put(&w, "created_by", strempty(how));
	json_object_close(&w);
	json_array_close(&w);
	json_object_close(&w);
	out->failed = out->failed || !how;
}

/* The manifest names the layer by its plain tar, which the store can give back however the file was
 * compressed. */
static void write_manifest(const cst_layer *layer, const char *config, size_t config_size,
                           struct strbuf *out)
{
	struct json_writer w;
	json_writer_init(&w, out, JSON_OUTPUT);
	json_object_open(&w);
	json_put_key(&w, "schemaVersion");
	json_put_int64(&w, 2);
	put(&w, "mediaType", OCI "manifest.v1+json");
	json_put_key(&w, "config");
	put_descriptor(&w, OCI "config.v1+json", config, (int64_t)config_size);
	json_put_key(&w, "layers");
	json_array_open(&w);
	put_descriptor(&w, OCI "layer.v1.tar", cst_layer_diff_digest(layer),
	               cst_layer_uncompressed_size(layer));
	json_array_close(&w);
	json_object_close(&w);
}

static int record(struct import *import, const char *path, const cst_layer *layer, cst_image **ret,
                  cst_error **error)
{
	char config_digest[DIGEST_TEXT_MAX], manifest_digest[DIGEST_TEXT_MAX];
	_cleanup_strbuf_ struct strbuf config = {0}, manifest = {0};
	struct timestamp now = timestamp_now();
	write_config(import, path, cst_layer_diff_digest(layer), &now, &config);
	int r = config.failed ? error_oom(error)
	                      : digest_buffer(DIGEST_SHA256, config.data, config.len, config_digest,
	                                      error);
	if (r < 0)
		return r;
	write_manifest(layer, config_digest, config.len, &manifest);
	r = manifest.failed ? error_oom(error)
	                    : digest_buffer(DIGEST_SHA256, manifest.data, manifest.len,
	                                    manifest_digest, error);
	_cleanup_free_ char *key = r == 0 ? str_printf("manifest-%s", manifest_digest) : NULL;
	if (r == 0 && !key)
		r = error_oom(error);
	if (r < 0)
		return r;
	const cst_data_item data[] = {
	        {config_digest, config.data, config.len, config_digest},
	        {key, manifest.data, manifest.len, manifest_digest},
	        {"manifest", manifest.data, manifest.len, manifest_digest},
	};
	const struct new_image new = {.id = digest_hex(config_digest),
	                              .layer = cst_layer_id(layer),
	                              .created = &now,
	                              .data = data,
	                              .n_data = ARRAY_SIZE(data)};
	return import_record(import, &new, ret, error);
}

DEFINE_CLEANUP(cst_layer *, cst_layer_free)

int import_tar(struct import *import, const char *path, cst_image **ret, cst_error **error)
{
	struct stat st;
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(error, errno, "open %s", path);
	cst_source source = cst_source_fd(fd);
	import->bytes_total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	options.progress = &import->progress;
	options.archive_name = path;
	int r = cst_store_create_layer(import->store, &options, &source, &layer, error);
	if (r == 0 && !strv_add(&import->made, cst_layer_id(layer)))
		r = error_oom(error);
	return r == 0 ? record(import, path, layer, ret, error) : r;
}
