/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer changes: as a list, as a size, as the layer tar. */
#include "archive/tarsplit/tarsplit.h"
#include "base/digest.h"
#include "codec/compress.h"
#include "store/layer/view.h"
#include <inttypes.h>
#include <string.h>

/* ---- changes and size ---- */

int cst_store_changes(cst_store *store, const char *from, const char *id, cst_changes **ret,
                      cst_error **error)
{
	_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
	_cleanup_error_ cst_error *problem = NULL;
	int r = layer_view_open(store, from, id, &view, error);
	if (r < 0)
		return r;
	cst_changes *changes = new0(cst_changes, 1);
	if (!changes)
		return error_oom(error);
	r = store->driver->ops->view_changes(view.driver_view, changes, &problem);
	if (r < 0) {
		cst_changes_free(changes);
		return layer_view_explain(store, &view, r, &problem, error);
	}
	*ret = changes;
	return 0;
}

int cst_store_diff_size(cst_store *store, const char *from, const char *id, int64_t *size,
                        cst_error **error)
{
	_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
	_cleanup_error_ cst_error *problem = NULL;
	int r = layer_view_open(store, from, id, &view, error);
	if (r < 0)
		return r;
	r = store->driver->ops->view_size(view.driver_view, size, &problem);
	return layer_view_explain(store, &view, r, &problem, error);
}

/* ---- the tar ---- */

/* A sink that counts the bytes. */
struct counted {
	const cst_sink *next;
	const cst_progress *progress;
	uint64_t done;
	bool stopped; /* by the caller's sink or progress: no damage of the layer */
};

static int report_progress(struct counted *counted, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state), .what = "diff", .bytes_done = counted->done};
	return progress_tell(counted->progress, &state, error);
}

static int counted_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	struct counted *counted = userdata;
	counted->done += size;
	int r = report_progress(counted, error);
	if (r == 0)
		r = sink_write(counted->next, data, size, error);
	counted->stopped = r < 0;
	return r;
}

/* Readers of a tar-split or of a file do not know whose it is. */
static int name_layer(const struct layer_view *view, int code, cst_error **error)
{
	bool damage = code == CST_ECORRUPT || code == CST_ESYS;
	if (!damage || !error || strstr(cst_error_message(*error), view->id))
		return code;
	return error_own_prefix(error, code, "the layer \"%s\" cannot be given out", view->id);
}

static int check_digest(const struct layer_view *view, struct digester *digester,
                        const char *recorded, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	int r = digester_finish(digester, digest, error);
	if (r == 0 && !streq(digest, recorded))
		return error_set(error, CST_ECORRUPT,
		                 "layer %s gives a diff with digest %s, but %s is recorded",
		                 view->id, digest, recorded);
	return r;
}

/* What costs nothing to compare. It tells the tar-split of another layer. Of a layer pulled in parts Go's 1.46 to 1.53 recorded what
 * its files hold. */
static int check_size(const struct layer_view *view, uint64_t size, cst_error **error)
{
	if (view->tarsplit_fd < 0 || view->in_parts || !digest_is_sha256(view->diff_digest) ||
	    view->diff_size <= 0 || size == (uint64_t)view->diff_size)
		return 0;
	return error_set(error, CST_ECORRUPT,
	                 "layer %s gives a diff of %" PRIu64 " bytes, but %" PRId64 " are recorded",
	                 view->id, size, view->diff_size);
}

/* A digester where the digest is to be looked at: on demand, since the sums in the tar-split find damage for a tenth of the time;
 * always for what an additional layer store gives, which has no such sums. */
static int new_proof(const struct layer_view *view, bool verify, struct digester **ret,
                     cst_error **error)
{
	bool imported = view->tarsplit_fd >= 0 || view->foreign;
	bool recorded = digest_is_sha256(view->diff_digest);
	if (verify && !(imported && recorded))
		return error_set(error, CST_EINVAL, "the layer \"%s\" cannot be verified: %s",
		                 view->id,
		                 recorded ? "its tar-split is not there, or not of use here"
		                          : "no sha256 digest of it is recorded");
	return recorded && (verify || view->foreign) ? digester_new(DIGEST_SHA256, ret, error) : 0;
}

static int write_tar(struct layer_view *view, bool verify, const cst_sink *sink,
                     const cst_progress *progress, cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	struct counted counted = {.next = sink, .progress = progress};
	cst_sink through = {.write = counted_write, .userdata = &counted};
	int r = new_proof(view, verify, &digester, error);
	if (r == 0)
		r = layer_view_write_tar(view, TARSPLIT_ALL_CPUS, digester, &through, error);
	if (r == 0)
		r = digester ? check_digest(view, digester, view->diff_digest, error)
		             : check_size(view, counted.done, error);
	return counted.stopped ? r : name_layer(view, r, error);
}

/* The blob of an additional layer store is given out byte for byte if that is what is wanted, and its digest is known. */
static bool is_the_blob(const struct layer_view *view, enum cst_compression compression)
{
	return view->foreign && compression != CST_PLAIN && compression == view->compression &&
	       digest_is_sha256(view->compressed_digest);
}

static int write_blob(struct layer_view *view, const cst_sink *sink, const cst_progress *progress,
                      cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	struct counted counted = {.next = sink, .progress = progress};
	cst_sink through = {.write = counted_write, .userdata = &counted};
	int r = digester_new(DIGEST_SHA256, &digester, error);
	if (r == 0)
		r = layer_view_write_blob(view, digester, &through, error);
	if (r == 0)
		r = check_digest(view, digester, view->compressed_digest, error);
	return counted.stopped ? r : name_layer(view, r, error);
}

static int packing_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	return compressor_write(userdata, data, size, error);
}

/* bzip2 and xz can only be read. A layer that was imported so is given out plain, unless the caller
 * chose another compression. */
static enum cst_compression choose_compression(const struct layer_view *view, int wanted)
{
	if (wanted >= 0)
		return (enum cst_compression)wanted;
	return view->compression == CST_BZIP2 || view->compression == CST_XZ ? CST_PLAIN
	                                                                     : view->compression;
}

static int write_packed(struct layer_view *view, enum cst_compression compression, bool verify,
                        const cst_sink *sink, const cst_progress *progress, cst_error **error)
{
	_cleanup_(compressor_freep) struct compressor *compressor = NULL;
	int r = compressor_new(compression, sink, &compressor, error);
	if (r < 0)
		return r;
	const cst_sink packing = {.write = packing_write, .userdata = compressor};
	r = write_tar(view, verify, &packing, progress, error);
	return r == 0 ? compressor_finish(compressor, error) : r;
}

int cst_store_diff(cst_store *store, const char *from, const char *id,
                   const cst_diff_options *given, const cst_sink *sink, cst_error **error)
{
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
	_cleanup_error_ cst_error *problem = NULL;
	int r = options_take(&options, sizeof(options), given, "cst_diff_options", error);
	if (r == 0)
		r = layer_view_open(store, from, id, &view, error);
	if (r < 0)
		return r;
	const cst_progress *progress = options.progress;
	enum cst_compression compression = choose_compression(&view, options.compression);
	if (is_the_blob(&view, compression))
		r = write_blob(&view, sink, progress, &problem);
	else if (compression == CST_PLAIN)
		r = write_tar(&view, options.verify, sink, progress, &problem);
	else
		r = write_packed(&view, compression, options.verify, sink, progress, &problem);
	return layer_view_explain(store, &view, r, &problem, error);
}
