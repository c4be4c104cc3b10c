/* SPDX-License-Identifier: Apache-2.0 */
/* Layer tars of plain directories for the users of the library. */
#include "archive/pack/pack.h"
#include "archive/unpack/unpack.h"
#include "base/types.h"
#include "codec/compress.h"
#include <cstorage/archive.h>
#include <errno.h>
#include <sys/stat.h>

_Static_assert(sizeof(((cst_apply_result *)0)->diff_digest) == DIGEST_TEXT_MAX, "digests fit");

static int copy_maps(const cst_idmap *uid_map, size_t n_uid_map, const cst_idmap *gid_map,
                     size_t n_gid_map, struct idmaps *maps, cst_error **error)
{
	if (!idmap_copy(&maps->uids, uid_map, n_uid_map) ||
	    !idmap_copy(&maps->gids, gid_map, n_gid_map))
		return error_oom(error);
	return idmap_check_overlap(maps, error);
}
#define _cleanup_idmaps_ _cleanup_(idmaps_free)

static int check_directory(int fd, cst_error **error)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat descriptor %d", fd);
	return S_ISDIR(st.st_mode) ? 0 : error_sys(error, ENOTDIR, "descriptor %d", fd);
}

/* ---- apply ---- */

static int whiteouts_of(enum cst_whiteouts given, enum unpack_whiteouts *ret, cst_error **error)
{
	switch (given) {
	case CST_WHITEOUTS_APPLY: *ret = UNPACK_WHITEOUT_APPLY; return 0;
	case CST_WHITEOUTS_OVERLAY: *ret = UNPACK_WHITEOUT_OVERLAY; return 0;
	case CST_WHITEOUTS_KEEP: *ret = UNPACK_WHITEOUT_KEEP; return 0;
	}
	return error_set(error, CST_EINVAL, "unknown treatment of whiteouts: %d", (int)given);
}

static void hand_out(const struct unpack_result *from, cst_apply_result *to)
{
	cst_apply_result all = {
	        .compression = (int)from->compression,
	        .compressed_size = from->compressed_size,
	        .diff_size = from->diff_size,
	        .content_size = from->content_size,
	        .entries = from->entries,
	};
	memcpy(all.compressed_digest, from->compressed_digest, sizeof(all.compressed_digest));
	memcpy(all.diff_digest, from->diff_digest, sizeof(all.diff_digest));
	result_give(to, &all, sizeof(all));
}

int cst_archive_apply(int dirfd, const cst_source *source, const cst_apply_options *given,
                      cst_apply_result *result, cst_error **error)
{
	cst_apply_options options = CST_APPLY_OPTIONS_INIT;
	_cleanup_idmaps_ struct idmaps maps = {0};
	_cleanup_(unpack_result_free) struct unpack_result unpacked = {0};
	_cleanup_pool_ struct pool *pool = NULL;
	struct unpack_options unpack = {.maps = &maps, .force_mask = -1, .tarsplit_fd = -1};
	int r = options_take(&options, sizeof(options), given, "cst_apply_options", error);
	if (r == 0)
		r = result_check(result, "cst_apply_result", error);
	if (r == 0)
		r = check_directory(dirfd, error);
	if (r == 0)
		r = whiteouts_of(options.whiteouts, &unpack.whiteouts, error);
	if (r == 0)
		r = copy_maps(options.uid_map, options.n_uid_map, options.gid_map,
		              options.n_gid_map, &maps, error);
	if (r == 0)
		r = pool_new(pool_cpu_count(), &pool, error);
	if (r < 0)
		return r;
	unpack.pool = pool;
	unpack.userns = options.rootless;
	unpack.ignore_chown_errors = options.ignore_chown_errors;
	unpack.in_use = options.in_use;
	unpack.sync = options.sync;
	unpack.progress = options.progress;
	r = unpack_layer(dirfd, source, &unpack, &unpacked, error);
	if (r == 0)
		hand_out(&unpacked, result);
	return r;
}

/* ---- pack ---- */

struct packing {
	cst_pack_options options;
	struct idmaps maps;
	struct pack_options pack;
	struct compressor *compressor;
	cst_sink sink;
};

static void packing_free(struct packing *packing)
{
	compressor_free(packing->compressor);
	idmaps_free(&packing->maps);
}
#define _cleanup_packing_ _cleanup_(packing_free)

static int packing_options(struct packing *packing, const cst_pack_options *given,
                           cst_error **error)
{
	packing->options = (cst_pack_options)CST_PACK_OPTIONS_INIT;
	const cst_pack_options *options = &packing->options;
	int r = options_take(&packing->options, sizeof(*options), given, "cst_pack_options", error);
	if (r == 0)
		r = copy_maps(options->uid_map, options->n_uid_map, options->gid_map,
		              options->n_gid_map, &packing->maps, error);
	packing->pack = (struct pack_options){.maps = &packing->maps,
	                                      .old_maps = &packing->maps,
	                                      .userns = options->rootless,
	                                      .progress = options->progress};
	return r;
}

static int compressed_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	const struct packing *packing = userdata;
	return compressor_write(packing->compressor, data, size, error);
}

static int packing_sink(struct packing *packing, const cst_sink *sink, cst_error **error)
{
	packing->sink = *sink;
	if (packing->options.compression == CST_PLAIN)
		return 0;
	packing->sink = (cst_sink){.write = compressed_write, .userdata = packing};
	return compressor_new((enum cst_compression)packing->options.compression, sink,
	                      &packing->compressor, error);
}

static int packing_finish(struct packing *packing, cst_error **error)
{
	return packing->compressor ? compressor_finish(packing->compressor, error) : 0;
}

int cst_archive_pack(int dirfd, const cst_sink *sink, const cst_pack_options *options,
                     cst_error **error)
{
	_cleanup_packing_ struct packing packing = {0};
	int r = packing_options(&packing, options, error);
	if (r == 0)
		r = check_directory(dirfd, error);
	if (r == 0)
		r = packing_sink(&packing, sink, error);
	if (r == 0)
		r = pack_tree(dirfd, &packing.pack, &packing.sink, error);
	return r == 0 ? packing_finish(&packing, error) : r;
}

/* ---- compare ---- */

static int compare(int old_dirfd, int new_dirfd, const struct packing *packing,
                   struct cst_changes *ret, cst_error **error)
{
	int r = old_dirfd == -1 ? 0 : check_directory(old_dirfd, error);
	if (r == 0)
		r = check_directory(new_dirfd, error);
	return r < 0 ? r : changes_trees(old_dirfd, new_dirfd, &packing->pack, ret, error);
}

int cst_archive_changes(int old_dirfd, int new_dirfd, const cst_pack_options *options,
                        cst_changes **ret, cst_error **error)
{
	_cleanup_packing_ struct packing packing = {0};
	_cleanup_free_ cst_changes *changes = new0(cst_changes, 1);
	int r = changes ? packing_options(&packing, options, error) : error_oom(error);
	if (r == 0)
		r = compare(old_dirfd, new_dirfd, &packing, changes, error);
	if (r == 0)
		*ret = steal_ptr(&changes);
	return r;
}

int cst_archive_diff(int old_dirfd, int new_dirfd, const cst_sink *sink,
                     const cst_pack_options *options, cst_error **error)
{
	_cleanup_packing_ struct packing packing = {0};
	_cleanup_changes_ struct cst_changes changes = {0};
	int r = packing_options(&packing, options, error);
	if (r == 0)
		r = compare(old_dirfd, new_dirfd, &packing, &changes, error);
	if (r == 0)
		r = packing_sink(&packing, sink, error);
	if (r == 0)
		r = pack_changes(new_dirfd, &changes, &packing.pack, &packing.sink, error);
	return r == 0 ? packing_finish(&packing, error) : r;
}

/* ---- changes ---- */

size_t cst_changes_size(const cst_changes *changes)
{
	return changes ? changes->len : 0;
}

const char *cst_changes_path(const cst_changes *changes, size_t index)
{
	return changes && index < changes->len ? changes->items[index].path : NULL;
}

int cst_changes_kind(const cst_changes *changes, size_t index)
{
	return changes && index < changes->len ? (int)changes->items[index].kind : CST_EINVAL;
}

void cst_changes_free(cst_changes *changes)
{
	if (!changes)
		return;
	for (size_t i = 0; i < changes->len; i++)
		free(changes->items[i].path);
	free(changes->items);
	free(changes);
}
