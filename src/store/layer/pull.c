/* SPDX-License-Identifier: Apache-2.0 */
/* A layer of a blob that is fetched in parts, or if that cannot be done, as a whole (<cstorage/pull.h>). In parts or not, what is
 * unpacked is the plain tar. */
#include "base/log.h"
#include "base/types.h"
#include "chunked/match.h"
#include "chunked/place.h"
#include "chunked/toc_stream.h"
#include "store/layer/convert.h"
#include "store/layer/donors.h"
#include "store/layer/ostree.h"
#include "store/layer/staged.h"
#include <cstorage/pull.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Of a tar-split, unpacked. A TOC of the largest size has fewer entries than fill it. */
#define TARSPLIT_SIZE_MAX ((uint64_t)2 << 30)

struct pull {
	cst_store *store;
	const cst_range_source *blob;
	const cst_pull_options *options;
	struct fetch fetch;
	struct toc_place place;
	struct toc *toc;
	cst_memory tarsplit; /* compressed */
	struct donors donors;
	pthread_mutex_t
	        donors_lock; /* of their descriptors: files are cloned while others are read */
	cst_staged_layer *staged;
	cst_pull_result result;
};

static void pull_done(struct pull *pull)
{
	pthread_mutex_destroy(&pull->donors_lock);
	fetch_done(&pull->fetch);
	toc_free(pull->toc);
	free(pull->tarsplit.data);
	donors_free(&pull->donors);
	cst_staged_layer_free(pull->staged);
}

static int stage(struct pull *pull, cst_error **error)
{
	cst_staged_layer_free(steal_ptr(&pull->staged));
	return cst_store_stage_layer(pull->store, pull->options->stage, &pull->staged, error);
}

/* ---- TOC and tar-split ---- */

/* Without a tar-split nobody knows the plain tar, nor its digest, before all of the blob is there. */
static int place_toc(const uint8_t footer[CHUNKED_FOOTER_SIZE], uint64_t size,
                     struct toc_place *ret, cst_error **error)
{
	const uint8_t *short_one = footer + CHUNKED_FOOTER_SIZE - ESTARGZ_FOOTER_SIZE;
	if (place_from_estargz_footer(short_one, size, ret, NULL) == 0)
		return error_set(error, CST_ENOTSUP, "it is eStargz, which has no tar-split");
	return place_from_footer(footer, size, ret, error);
}

static int read_footer(struct pull *pull, cst_error **error)
{
	uint8_t footer[CHUNKED_FOOTER_SIZE];
	uint64_t size = pull->blob->blob_size;
	if (size < sizeof(footer))
		return error_set(error, CST_EARCHIVE, "the blob is too short to have a footer");
	uint64_t offset = size - sizeof(footer);
	fetch_begin(&pull->fetch);
	int r = fetch_add(&pull->fetch, offset, size, error);
	if (r == 0)
		r = fetch_request(&pull->fetch, error);
	if (r == 0)
		r = fetch_read(&pull->fetch, offset, footer, sizeof(footer), error);
	if (r == 0)
		r = place_toc(footer, size, &pull->place, error);
	if (r == 0)
		strcpy(pull->place.digest, pull->options->toc_digest);
	return r;
}

static int find_toc(struct pull *pull, cst_error **error)
{
	const cst_pull_options *options = pull->options;
	if (isempty(options->toc_digest))
		return error_set(error, CST_ENOTSUP, "the digest of its TOC is not known");
	if (!digest_is_sha256(options->toc_digest))
		return error_set(error, CST_ENOTSUP, "\"%s\" is no digest of a TOC",
		                 options->toc_digest);
	int r = isempty(options->toc_position)
	                ? read_footer(pull, error)
	                : place_from_annotations(options->toc_digest, options->toc_position,
	                                         options->tarsplit_position, pull->blob->blob_size,
	                                         &pull->place, error);
	if (r < 0)
		return r;
	const struct chunked_part *split = &pull->place.tarsplit;
	if (split->size == 0)
		return error_set(error, CST_ENOTSUP, "it has no tar-split");
	if (split->size > TOC_SIZE_MAX || split->plain_size > TARSPLIT_SIZE_MAX)
		return error_set(error, CST_ENOTSUP, "its tar-split is larger than is read");
	return 0;
}

static int read_part(struct pull *pull, const struct chunked_part *part, void **ret,
                     cst_error **error)
{
	*ret = malloc(part->size);
	return *ret ? fetch_read(&pull->fetch, part->offset, *ret, part->size, error)
	            : error_oom(error);
}

/* Both in one request. The tar-split lies behind the TOC. */
static int fetch_toc(struct pull *pull, void **toc, cst_error **error)
{
	const struct chunked_part *parts[] = {&pull->place.toc, &pull->place.tarsplit};
	void *data = NULL;
	int r = 0;
	fetch_begin(&pull->fetch);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = fetch_add(&pull->fetch, parts[i]->offset, parts[i]->offset + parts[i]->size,
		              error);
	if (r == 0)
		r = fetch_request(&pull->fetch, error);
	if (r == 0)
		r = read_part(pull, parts[0], toc, error);
	if (r == 0)
		r = read_part(pull, parts[1], &data, error);
	pull->tarsplit.data = data;
	pull->tarsplit.size = r == 0 ? parts[1]->size : 0;
	return r;
}

static int check_tarsplit(const struct pull *pull, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	cst_memory packed = pull->tarsplit;
	const cst_source source = cst_source_memory(&packed);
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	if (!*pull->toc->tarsplit_digest)
		return error_set(error, CST_ENOTSUP, "its TOC does not say which tar-split it has");
	int r = digest_buffer(DIGEST_SHA256, packed.data, packed.size, digest, error);
	if (r == 0 && !streq(digest, pull->toc->tarsplit_digest))
		r = error_set(error, CST_EARCHIVE,
		              "the tar-split has the digest %s, and should have %s", digest,
		              pull->toc->tarsplit_digest);
	if (r == 0)
		r = recipe_open_source(&source, CST_ZSTD, &recipe, error);
	if (r == 0)
		recipe_limit(recipe, pull->place.tarsplit.plain_size);
	return r == 0 ? toc_match_recipe(pull->toc, recipe, error) : r;
}

static int read_toc(struct pull *pull, cst_error **error)
{
	_cleanup_free_ void *data = NULL;
	int r = find_toc(pull, error);
	if (r == 0)
		r = fetch_toc(pull, &data, error);
	if (r == 0)
		r = toc_from_bytes(&pull->place, data, &pull->toc, error);
	return r == 0 ? check_tarsplit(pull, error) : r;
}

/* ---- in parts ---- */

static int donors_open(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size,
                       uint64_t *offset)
{
	struct pull *pull = userdata;
	struct cache_place place;
	struct donor *donor = donors_find(&pull->donors, digest, &place);
	int fd = -1;
	if (donor && place.size == size && place.offset <= INT64_MAX - size) {
		pthread_mutex_lock(&pull->donors_lock);
		fd = donor_open(pull->store, donor, &place);
		pthread_mutex_unlock(&pull->donors_lock);
	}
	*offset = fd < 0 ? 0 : place.offset;
	return fd < 0 ? ostree_open(&pull->store->ostree_repositories, digest, size) : fd;
}

static bool donors_have(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size)
{
	const struct pull *pull = userdata;
	struct cache_place place;
	if (donors_find(&pull->donors, digest, &place) && place.size == size)
		return true;
	_cleanup_close_ int fd = ostree_open(&pull->store->ostree_repositories, digest, size);
	return fd >= 0;
}

static int describe_parts(const struct pull *pull, cst_error **error)
{
	cst_staged_results results = CST_STAGED_RESULTS_INIT;
	results.toc_digest = pull->toc->digest;
	results.compressed_digest = "";
	results.compressed_size = 0;
	results.compression = CST_PLAIN;
	int r = cst_staged_layer_describe(pull->staged, &results, error);
	return r == 0 ? new_layer_stage_toc(pull->store, &pull->staged->layer, pull->toc->json,
	                                    pull->toc->json_size, error)
	              : r;
}

static int apply(struct pull *pull, const cst_source *source, const struct unpack_clone *clone,
                 enum toc_wanted toc, cst_error **error)
{
	cst_staged_apply_options options = CST_STAGED_APPLY_OPTIONS_INIT;
	const char *digest = pull->options->diff_digest;
	options.expected_digest = isempty(digest) ? NULL : digest;
	options.progress = pull->options->progress;
	return staged_unpack(pull->staged, source, clone, &options, toc, error);
}

static int pull_parts(struct pull *pull, enum stream_trust trust, cst_error **error)
{
	_cleanup_(toc_stream_freep) struct toc_stream *stream = NULL;
	const struct stream_donors donors = {
	        .has = donors_have, .open = donors_open, .userdata = pull};
	int r = toc_stream_new(pull->toc, &pull->tarsplit, CST_ZSTD, &pull->fetch, &donors, trust,
	                       &stream, error);
	if (r < 0)
		return r;
	const cst_source source = {.read = toc_stream_read, .userdata = stream};
	/* At the second attempt nothing is shared that stood in the way of the first. */
	bool link = pull->store->use_hard_links && trust != STREAM_SURE;
	const struct unpack_clone clone = {.clone = toc_stream_clone,
	                                   .open = link ? toc_stream_open_file : NULL,
	                                   .userdata = stream};
	r = apply(pull, &source, &clone, TOC_KNOWN, error);
	if (r == 0)
		r = describe_parts(pull, error);
	const struct stream_counts counts = toc_stream_counts(stream);
	pull->result.bytes_reused = counts.bytes_reused;
	pull->result.files_reused = counts.files_reused;
	return r;
}

/* Another layer seldom has not what its cache says. So its content counts at first, and only what comes out is held against a digest. If
 * that is wrong, all is done again, and content of other layers is hashed before it counts. */
static int pull_with_donors(struct pull *pull, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	bool known = !isempty(pull->options->diff_digest);
	int r = donors_load(pull->store, &pull->donors, error);
	if (r < 0)
		return r;
	r = pull_parts(pull, known ? STREAM_TAR : STREAM_FILES, &problem);
	if (r != CST_EARCHIVE || pull->result.bytes_reused == 0)
		return r == 0 ? 0 : error_propagate(error, steal_ptr(&problem));
	log_debug("content of other layers is looked at: %s", cst_error_message(problem));
	r = pull->staged->state == STAGED_EMPTY ? 0 : stage(pull, error);
	return r == 0 ? pull_parts(pull, STREAM_SURE, error) : r;
}

/* ---- as a whole ---- */

static int64_t read_whole(void *userdata, void *buffer, size_t size, cst_error **error)
{
	return fetch_some(userdata, buffer, size, error);
}

static int check_blob(const struct pull *pull, cst_error **error)
{
	const char *wanted = pull->options->blob_digest,
	           *digest = cst_staged_layer_record(pull->staged)->compressed_digest;
	if (isempty(wanted) || streq(wanted, digest))
		return 0;
	return error_set(error, CST_EARCHIVE, "the blob has the digest %s, and should have %s",
	                 digest, wanted);
}

static int pull_whole(struct pull *pull, cst_error **error)
{
	fetch_begin(&pull->fetch);
	int r = fetch_add(&pull->fetch, 0, pull->blob->blob_size, error);
	if (r == 0)
		r = fetch_request(&pull->fetch, error);
	if (r == 0)
		r = apply(pull, &(cst_source){.read = read_whole, .userdata = &pull->fetch}, NULL,
		          TOC_AS_CONFIGURED, error);
	return r == 0 ? check_blob(pull, error) : r;
}

/* ---- both ---- */

/* What fetching the whole blob would not help against. */
static bool is_final(int code, const cst_error *problem)
{
	return code == CST_ECANCELED || code == CST_ENOMEM || code == CST_ELAYER_UNKNOWN ||
	       error_is_full(problem);
}

static int pull_content(struct pull *pull, cst_error **error)
{
	cst_error *problem = NULL;
	int r = read_toc(pull, &problem);
	if (r == 0)
		r = pull_with_donors(pull, &problem);
	pull->result.in_parts = r == 0;
	if (r == 0 || is_final(r, problem))
		return r == 0 ? 0 : error_propagate(error, problem);
	snprintf(pull->result.reason, sizeof(pull->result.reason), "%s",
	         cst_error_message(problem));
	cst_error_free(problem);
	pull->result.bytes_reused = pull->result.files_reused = 0;
	r = pull->staged->state == STAGED_EMPTY ? 0 : stage(pull, error);
	return r == 0 ? pull_whole(pull, error) : r;
}

static void tell(const struct pull *pull)
{
	const cst_pull_result *result = &pull->result;
	log_debug("%llu of %llu bytes of the blob were fetched, %llu bytes came from other "
	          "layers%s%s",
	          (unsigned long long)result->bytes_fetched,
	          (unsigned long long)pull->blob->blob_size,
	          (unsigned long long)result->bytes_reused,
	          result->in_parts ? "" : "; all of it, because: ", result->reason);
}

static int check_options(const cst_range_source *blob, const cst_pull_options *options,
                         const cst_pull_result *result, cst_error **error)
{
	const char *const digests[] = {options->blob_digest, options->diff_digest};
	int r = result_check(result, "cst_pull_result", error);
	if (r == 0 && !(blob && blob->request && blob->read))
		r = error_set(error, CST_EINVAL, "no source of the blob is given");
	if (r == 0 && blob->blob_size > INT64_MAX)
		r = error_set(error, CST_EINVAL, "no blob is so large");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(digests); i++)
		if (!isempty(digests[i]) && !digest_is_sha256(digests[i]))
			r = error_set(error, CST_EINVAL, "\"%s\" is not a sha256 digest",
			              digests[i]);
	return r;
}

int cst_store_pull_layer(cst_store *store, const cst_range_source *blob,
                         const cst_pull_options *given, cst_layer **layer, cst_pull_result *result,
                         cst_error **error)
{
	cst_pull_options options = CST_PULL_OPTIONS_INIT;
	_cleanup_(pull_done) struct pull pull = {
	        .store = store, .blob = blob, .options = &options, .result = CST_PULL_RESULT_INIT};
	pthread_mutex_init(&pull.donors_lock, NULL);
	int r = options_take(&options, sizeof(options), given, "cst_pull_options", error);
	if (r == 0)
		r = check_options(blob, &options, result, error);
	if (r < 0)
		return r;
	fetch_init(&pull.fetch, blob);
	r = stage(&pull, error);
	if (r == 0)
		r = pull_content(&pull, error);
	if (r == 0)
		r = cst_staged_layer_commit(pull.staged, options.commit, layer, error);
	pull.result.bytes_fetched = pull.fetch.bytes;
	pull.result.requests = pull.fetch.requests;
	pull.result.ranges = pull.fetch.n_ranges;
	tell(&pull);
	result_give(result, &pull.result, sizeof(pull.result));
	return r;
}
