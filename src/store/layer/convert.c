/* SPDX-License-Identifier: Apache-2.0 */
/* TOCs of layers that come as archives (convert.h). */
#include "store/layer/convert.h"
#include "base/log.h"
#include "chunked/cache.h"
#include "chunked/writer.h"
#include "store/core/store.h"

/* A TOC whose digest is recorded is that of a blob, and compressed. The blob itself goes nowhere. */
#define BLOB_LEVEL 1

static int drop(void *userdata, const void *data, size_t n, cst_error **error)
{
	return 0;
}

void converter_free(struct converter *converter)
{
	chunked_writer_free(converter->writer);
	converter->writer = NULL;
}

static void give_up(struct converter *converter, cst_error *problem)
{
	log_debug("the layer gets no TOC: %s", cst_error_message(problem));
	cst_error_free(problem);
	converter_free(converter);
}

static int take(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct converter *converter = userdata;
	cst_error *problem = NULL;
	if (converter->writer && chunked_writer_write(converter->writer, data, n, &problem) < 0)
		give_up(converter, problem);
	return 0;
}

int converter_begin(const cst_store *store, const struct layer_unpacking *how,
                    struct converter *ret, cst_error **error)
{
	const cst_sink nowhere = {.write = drop};
	bool of_blob = how->toc == TOC_OF_BLOB;
	bool wanted = how->toc == TOC_AS_CONFIGURED && store->convert_images;
	*ret = (struct converter){.of_blob = of_blob, .sink = {.write = take, .userdata = ret}};
	if (!wanted && !of_blob)
		return 0;
	return chunked_writer_new(BLOB_LEVEL, of_blob ? &nowhere : NULL, &ret->writer, error);
}

int new_layer_stage_toc(cst_store *store, struct new_layer *layer, const char *json, size_t size,
                        cst_error **error)
{
	static const char format[] = LAYER_DATA_NAMES; /* of an image, staged_sync() says so */
	const cst_data_item items[] = {
	        {.key = MANIFEST_KEY, .data = json, .data_size = size},
	        {.key = LAYER_DATA_KEY, .data = format, .data_size = strlen(format)},
	};
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	options.data = items;
	options.n_data = 2;
	return new_layer_stage_data(store, &options, layer, error);
}

int converter_end(struct converter *converter, cst_store *store, struct new_layer *layer,
                  cst_error **error)
{
	struct chunked_written written;
	cst_error *problem = NULL;
	size_t size;
	if (!converter->writer)
		return 0;
	if (chunked_writer_finish(converter->writer, &written, &problem) < 0) {
		give_up(converter, problem);
		return 0;
	}
	if (converter->of_blob)
		layer->record.toc_digest = arena_strdup(&layer->arena, written.place.digest);
	const char *json = chunked_writer_json(converter->writer, &size);
	return layer->arena.failed ? error_oom(error)
	                           : new_layer_stage_toc(store, layer, json, size, error);
}
