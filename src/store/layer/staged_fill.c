/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a staged layer: by an archive, by a copy of a directory, or by somebody else who says what it holds. */
#include "archive/pack/pack.h"
#include "base/digest.h"
#include "codec/gzip_writer.h"
#include "store/core/store.h"
#include "store/layer/staged.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

/* ---- an archive ---- */

static int unpack(cst_staged_layer *staged, const cst_source *diff,
                  const cst_staged_apply_options *options, cst_error **error)
{
	cst_layer_options unpacking = CST_LAYER_OPTIONS_INIT;
	cst_error *problem = NULL;
	unpacking.original_digest = options->original_digest;
	unpacking.original_size = options->original_size;
	unpacking.uncompressed_digest = options->uncompressed_digest;
	unpacking.expected_digest = options->expected_digest;
	unpacking.progress = options->progress;
	staged->state = STAGED_SPENT;
	int r = new_layer_unpack(staged->store,
	                         &(struct layer_unpacking){.options = &unpacking, .diff = diff},
	                         &staged->layer, &problem);
	if (r < 0)
		return new_layer_explain(staged->store, &staged->layer, problem, error);
	staged->state = STAGED_FILLED;
	return 0;
}

static int begin_apply(const cst_staged_layer *staged, const cst_staged_apply_options *given,
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
	int r = begin_apply(staged, given, &options, error);
	return r == 0 ? unpack(staged, diff, &options, error) : r;
}

/* ---- a directory ---- */

/* A thread packs the directory into a pipe, whose other end is unpacked. */
struct packing {
	int dirfd, read_fd, write_fd;
	pthread_t thread;
	bool joined;
	int result;
	cst_error *problem;
};

static int write_pipe(void *userdata, const void *data, size_t n, cst_error **error)
{
	const struct packing *packing = userdata;
	return sys_write_all(packing->write_fd, data, n) < 0
	               ? error_sys(error, errno, "passing on the packed directory")
	               : 0;
}

/* The reader may go away early. SIGPIPE is blocked here, so the write fails instead. */
static void *pack(void *arg)
{
	struct packing *packing = arg;
	const cst_sink sink = {.write = write_pipe, .userdata = packing};
	const struct pack_options options = {.with_whiteouts = true};
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	packing->result = pack_tree(packing->dirfd, &options, &sink, &packing->problem);
	closep(&packing->write_fd);
	packing->write_fd = -1;
	return NULL;
}

static int join(struct packing *packing)
{
	if (!packing->joined)
		pthread_join(packing->thread, NULL);
	packing->joined = true;
	return packing->result;
}

/* The end of the pipe is the end of the archive only if packing succeeded. */
static int64_t read_packed(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct packing *packing = userdata;
	ssize_t n = read(packing->read_fd, buffer, size);
	if (n < 0)
		return error_sys(error, errno, "read the packed directory");
	return n == 0 && join(packing) < 0 ? error_propagate(error, steal_ptr(&packing->problem))
	                                   : n;
}

static int start_packing(struct packing *packing, cst_error **error)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(error, errno, "pipe");
	packing->read_fd = fds[0];
	packing->write_fd = fds[1];
	int errnum = pthread_create(&packing->thread, NULL, pack, packing);
	if (errnum == 0)
		return 0;
	closep(&packing->read_fd);
	closep(&packing->write_fd);
	return error_sys(error, errnum, "starting a thread");
}

static int unpack_directory(cst_staged_layer *staged, int dirfd,
                            const cst_staged_apply_options *options, cst_error **error)
{
	struct packing packing = {.dirfd = dirfd};
	int r = start_packing(&packing, error);
	if (r < 0)
		return r;
	r = unpack(staged, &(cst_source){.read = read_packed, .userdata = &packing}, options,
	           error);
	closep(&packing.read_fd);
	(void)join(&packing);
	cst_error_free(packing.problem);
	return r;
}

/* An archive of no bytes, as the Go command makes of a directory that it cannot find. */
static int unpack_nothing(cst_staged_layer *staged, const cst_staged_apply_options *options,
                          cst_error **error)
{
	cst_memory nothing = {0};
	const cst_source source = cst_source_memory(&nothing);
	return unpack(staged, &source, options, error);
}

/* No blob was there, so that none is noted. */
static void forget_blob(cst_layer *record)
{
	record->compressed_digest = "";
	record->compressed_size = 0;
	record->compression = CST_PLAIN;
}

int cst_staged_layer_apply_directory(cst_staged_layer *staged, int dirfd,
                                     const cst_staged_apply_options *given, cst_error **error)
{
	cst_staged_apply_options options, plain = CST_STAGED_APPLY_OPTIONS_INIT;
	int r = begin_apply(staged, given, &options, error);
	if (r < 0)
		return r;
	plain.progress = options.progress;
	r = dirfd < 0 ? unpack_nothing(staged, &plain, error)
	              : unpack_directory(staged, dirfd, &plain, error);
	if (r == 0)
		forget_blob(&staged->layer.record);
	return r;
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
	if (staged->layer.data.len)
		return error_set(error, CST_EINVAL, "data items were given before");
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
