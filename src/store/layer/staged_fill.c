/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a staged layer: by an archive, or by somebody else who says what it holds. */
#include "base/digest.h"
#include "codec/gzip_writer.h"
#include "store/core/store.h"
#include "store/layer/staged.h"
#include <errno.h>
#include <unistd.h>

/* ---- an archive ---- */

int staged_unpack(cst_staged_layer *staged, const cst_source *diff,
                  const struct unpack_clone *clone, const cst_staged_apply_options *options,
                  enum toc_wanted toc, cst_error **error)
{
	cst_layer_options unpacking = CST_LAYER_OPTIONS_INIT;
	cst_error *problem = NULL;
	unpacking.original_digest = options->original_digest;
	unpacking.original_size = options->original_size;
	unpacking.uncompressed_digest = options->uncompressed_digest;
	unpacking.expected_digest = options->expected_digest;
	unpacking.progress = options->progress;
	staged->state = STAGED_SPENT;
	int r = new_layer_unpack(
	        staged->store,
	        &(struct layer_unpacking){
	                .options = &unpacking, .diff = diff, .clone = clone, .toc = toc},
	        &staged->layer, &problem);
	if (r < 0)
		return new_layer_explain(staged->store, &staged->layer, problem, error);
	staged->state = STAGED_FILLED;
	return 0;
}

int staged_begin_apply(const cst_staged_layer *staged, const cst_staged_apply_options *given,
                       cst_staged_apply_options *options, cst_error **error)
{
	*options = (cst_staged_apply_options)CST_STAGED_APPLY_OPTIONS_INIT;
	int r = options_take(options, sizeof(*options), given, "cst_staged_apply_options", error);
	return r == 0 ? staged_must_be(staged, STAGED_EMPTY, STAGED_EMPTY, error) : r;
}

int cst_staged_layer_apply(cst_staged_layer *staged, const cst_source *diff,
                           const cst_staged_apply_options *given, cst_error **error)
{
	cst_staged_apply_options options;
	int r = staged_begin_apply(staged, given, &options, error);
	return r == 0 ? staged_unpack(staged, diff, NULL, &options, TOC_AS_CONFIGURED, error) : r;
}

/* ---- somebody else ---- */

static int whiteouts_for(enum unpack_whiteouts how)
{
	switch (how) {
	case UNPACK_WHITEOUT_OVERLAY: return CST_WHITEOUTS_OVERLAY;
	case UNPACK_WHITEOUT_KEEP: return CST_WHITEOUTS_KEEP;
	case UNPACK_WHITEOUT_APPLY: break;
	}
	return CST_WHITEOUTS_APPLY;
}

int cst_staged_layer_content(cst_staged_layer *staged, cst_staged_content *ret, cst_error **error)
{
	const struct new_layer *layer = &staged->layer;
	const struct driver_ops *ops = layer->driver->ops;
	struct driver_filling filling = {.fd = -1};
	int r = ret ? result_check(ret, "cst_staged_content", error)
	            : error_set(error, CST_EINVAL, "no struct cst_staged_content is given");
	if (r == 0)
		r = staged_must_be(staged, STAGED_EMPTY, STAGED_OPENED, error);
	if (r == 0 && !ops->stage_open)
		r = error_set(error, CST_ENOTSUP, "a layer of the driver %s is filled by it alone",
		              ops->name);
	if (r == 0)
		r = ops->stage_open(layer->staged, &filling, error);
	if (r < 0)
		return r;
	const cst_staged_content all = {
	        .fd = filling.fd,
	        .whiteouts = whiteouts_for(filling.whiteouts),
	        .force_mask = filling.force_mask,
	        .rootless = filling.userns,
	        .ignore_chown_errors = filling.ignore_chown_errors,
	        .uid_map = layer->maps.uids.ranges,
	        .n_uid_map = layer->maps.uids.len,
	        .gid_map = layer->maps.gids.ranges,
	        .n_gid_map = layer->maps.gids.len,
	};
	result_give(ret, &all, sizeof(all));
	staged->state = STAGED_OPENED;
	return 0;
}

static int check_digests(const cst_staged_results *results, cst_error **error)
{
	const char *const digests[] = {results->diff_digest, results->compressed_digest,
	                               results->toc_digest};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(digests); i++)
		if (!isempty(digests[i]))
			r = digest_validate(digests[i], error);
	return r;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static void take_ids(struct arena *arena, const uint32_t *ids, size_t n, struct uint32s *ret)
{
	uint32_t *copy = ids ? arena_alloc(arena, (n + 1) * sizeof(*copy)) : NULL;
	if (!copy)
		return;
	if (n)
		memcpy(copy, ids, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), by_number);
	*ret = (struct uint32s){.items = copy, .len = n};
}

static void take_text(struct arena *arena, const char *text, const char **ret)
{
	if (text)
		*ret = arena_strdup(arena, text);
}

static int write_file(void *userdata, const void *data, size_t n, cst_error **error)
{
	const int *fd = userdata;
	return sys_write_all(*fd, data, n) < 0 ? error_sys(error, errno, "write tar-split") : 0;
}

static int compress(const cst_source *source, struct gzip_writer *gzip, cst_error **error)
{
	char buffer[16384];
	for (;;) {
		int64_t n = source_read(source, buffer, sizeof(buffer), error);
		if (n <= 0)
			return n < 0 ? (int)n : gzip_writer_finish(gzip, error);
		int r = gzip_writer_write(gzip, buffer, (size_t)n, error);
		if (r < 0)
			return r;
	}
}

static int take_tarsplit(cst_staged_layer *staged, const cst_source *source, cst_error **error)
{
	struct new_layer *layer = &staged->layer;
	int r = metadata_stage(staged->store, &layer->metadata, error);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = sys_openat(layer->metadata->fd, layer->tarsplit,
	                                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", layer->metadata->shown,
		                 layer->tarsplit);
	_cleanup_(gzip_writer_freep) struct gzip_writer *gzip = NULL;
	r = gzip_writer_new(&(cst_sink){.write = write_file, .userdata = &fd}, &gzip, error);
	layer->has_tarsplit = false;
	if (r == 0)
		r = compress(source, gzip, error);
	if (r == 0 && sys_fsync(fd) < 0)
		r = error_sys(error, errno, "fsync %s/%s", layer->metadata->shown, layer->tarsplit);
	layer->has_tarsplit = r == 0;
	return r;
}

static int take_data(cst_staged_layer *staged, const cst_staged_results *results, cst_error **error)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	options.data = results->data;
	options.n_data = results->n_data;
	return new_layer_stage_data(staged->store, &options, &staged->layer, error);
}

static int take_record(cst_staged_layer *staged, const cst_staged_results *results,
                       cst_error **error)
{
	cst_layer *record = &staged->layer.record;
	struct arena *arena = &staged->layer.arena;
	take_text(arena, results->diff_digest, &record->diff_digest);
	take_text(arena, results->compressed_digest, &record->compressed_digest);
	take_text(arena, results->toc_digest, &record->toc_digest);
	take_text(arena, results->metadata, &record->metadata);
	take_ids(arena, results->uids, results->n_uids, &record->uids);
	take_ids(arena, results->gids, results->n_gids, &record->gids);
	if (results->diff_size >= 0)
		record->diff_size = results->diff_size;
	if (results->compressed_size >= 0)
		record->compressed_size = results->compressed_size;
	if (results->compression >= 0)
		record->compression = results->compression;
	return arena->failed ? error_oom(error) : 0;
}

int cst_staged_layer_describe(cst_staged_layer *staged, const cst_staged_results *given,
                              cst_error **error)
{
	cst_staged_results results = CST_STAGED_RESULTS_INIT;
	int r = options_take(&results, sizeof(results), given, "cst_staged_results", error);
	if (r == 0)
		r = staged_must_be(staged, STAGED_EMPTY, STAGED_FILLED, error);
	if (r == 0)
		r = check_digests(&results, error);
	if (r == 0 && results.n_data)
		r = take_data(staged, &results, error);
	if (r == 0 && results.tarsplit)
		r = take_tarsplit(staged, results.tarsplit, error);
	return r == 0 ? take_record(staged, &results, error) : r;
}
