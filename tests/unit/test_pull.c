/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling a layer in parts: what is fetched and what is not, that the layer is the one that was meant, and what becomes of blobs and
 * sources that are not as they should be. */
#include "pull_fixture.h"

static void only_what_is_new_is_fetched(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	assert_int_equal(pull(api, &s, "one", &result), 0);
	assert_true(result.in_parts);
	assert_string_equal(result.reason, "");
	assert_int_equal(result.requests, 2);
	assert_int_equal(result.bytes_reused, 0);
	assert_true(result.bytes_fetched < one.size);
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused,
	                 FILES); /* all small ones but one, and the one with a hole */
	assert_true(result.bytes_fetched < 150000);
	assert_true(result.bytes_reused > BIG + FILES * SMALL - 150000);
	assert_int_equal(result.requests, 2);
	assert_is(api, "one", &one, true);
	assert_is(api, "two", &two, true);
	assert_clean(api);
}

static void few_ranges_at_a_time(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two, .max = 1};
	cst_pull_result result;
	assert_int_equal(pull(api, &s, "one", &result), 0);
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_true(result.in_parts);
	assert_true(result.requests > 2);
	assert_true(result.bytes_fetched < two.size);
	assert_is(api, "two", &two, true);
	assert_clean(api);
}

static void source_that_cannot(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	cst_pull_result result;
	for (unsigned from = 1; from <= 2; from++) {
		struct source s = {.blob = &one, .fail_from = from, .fail_with = CST_ENOTSUP},
		              t = {.blob = &one, .fail_from = from, .fail_with = CST_EIO_CALLBACK};
		const char *id = from == 1 ? "one" : "two";
		assert_int_equal(pull(api, &s, id, &result), 0);
		assert_false(result.in_parts);
		assert_true(*result.reason);
		assert_is(api, id, &one, false);
		assert_int_equal(pull(api, &t, "none", &result), CST_EIO_CALLBACK);
		assert_false(cst_store_exists(api->store, "none"));
	}
	struct source u = {.blob = &one, .short_read = true};
	assert_int_equal(pull(api, &u, "three", &result), 0);
	assert_false(result.in_parts);
	assert_is(api, "three", &one, false);
	assert_clean(api);
}

static void unknown_or_wrong_toc(void **state)
{
	static const char nothing[] = ONES;
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	struct source s = {.blob = &one};
	cst_pull_options options = annotated(&one);
	cst_pull_result result;
	options.toc_position = options.tarsplit_position = NULL; /* the footer tells */
	assert_int_equal(pull_with(api, &s, "footer", NULL, &options, &result), 0);
	assert_true(result.in_parts);
	assert_is(api, "footer", &one, true);
	options.toc_digest = nothing;
	assert_int_equal(pull_with(api, &s, "forged", NULL, &options, &result), 0);
	assert_false(result.in_parts);
	assert_is(api, "forged", &one, false);
	options.toc_digest = NULL;
	assert_int_equal(pull_with(api, &s, "plain", NULL, &options, &result), 0);
	assert_int_equal(result.bytes_fetched, one.size);
	assert_is(api, "plain", &one, false);
	options = annotated(&one);
	options.diff_digest = nothing;
	assert_int_equal(pull_with(api, &s, "other", NULL, &options, &result), CST_EARCHIVE);
	options.toc_digest = options.diff_digest = NULL;
	options.blob_digest = nothing;
	assert_int_equal(pull_with(api, &s, "other", NULL, &options, &result), CST_EARCHIVE);
	options.blob_digest = "x";
	assert_int_equal(pull_with(api, &s, "other", NULL, &options, &result), CST_EINVAL);
	assert_false(cst_store_exists(api->store, "other"));
	assert_clean(api);
}

/* A tar-split that says it is smaller than it is, or larger than any is, is not unpacked. */
static void size_of_tarsplit(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	struct source s = {.blob = &one};
	cst_pull_options options = annotated(&one);
	cst_pull_result result;
	unsigned long offset, size, plain;
	char position[64];
	assert_int_equal(sscanf(one.made.tarsplit_position, "%lu:%lu:%lu", &offset, &size, &plain),
	                 3);
	const struct {
		unsigned long size;
		const char *reason;
	} sizes[] = {{plain - 1, "larger than it is said to be"},
	             {0, "larger than it is said to be"},
	             {3UL << 30, "larger than is read"}};
	options.tarsplit_position = position;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char id[] = {'s', (char)('0' + i), '\0'};
		snprintf(position, sizeof(position), "%lu:%lu:%lu", offset, size, sizes[i].size);
		assert_int_equal(pull_with(api, &s, id, NULL, &options, &result), 0);
		assert_false(result.in_parts);
		assert_non_null(strstr(result.reason, sizes[i].reason));
		assert_is(api, id, &one, false);
	}
	assert_clean(api);
}

/* Each byte that is wrong is noticed, wherever it is: what comes out is the layer, or nothing. */
static void damaged_blob(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	struct source s = {.blob = &one};
	cst_pull_result result;
	for (size_t at = 200; at < one.size; at += one.size / 20) {
		one.data[at] ^= 1;
		assert_int_equal(pull(api, &s, "none", &result), CST_EARCHIVE);
		assert_true(*result.reason);
		assert_false(cst_store_exists(api->store, "none"));
		one.data[at] ^= 1;
	}
	assert_clean(api);
}

/* ---- forged ---- */

static void append(cst_memory *to, const void *data, size_t n)
{
	const cst_sink sink = cst_sink_memory(to);
	assert_int_equal(sink.write(sink.userdata, data, n, NULL), 0);
}

/* That decoders skip. */
static void append_frame(cst_memory *to, size_t n)
{
	const unsigned char frame[] = {0x50,
	                               0x2a,
	                               0x4d,
	                               0x18,
	                               (unsigned char)n,
	                               (unsigned char)(n >> 8),
	                               (unsigned char)(n >> 16),
	                               0};
	append(to, frame, sizeof(frame));
}

/* The blob with another TOC behind it, and the tar-split behind that. Its annotations are true. */
static struct blob forge(const struct blob *blob, const char *from, const char *to)
{
	struct blob forged = {.version = blob->version, .made = blob->made};
	cst_memory all = {0}, packed = {0};
	cst_toc_options options = CST_TOC_OPTIONS_INIT;
	cst_toc *toc = NULL;
	FILE *file = tmpfile();
	size_t size;
	assert_int_equal(fwrite(blob->data, 1, blob->size, file), blob->size);
	assert_int_equal(fflush(file), 0);
	assert_int_equal(cst_toc_read(fileno(file), &options, &toc, NULL), 0);
	fclose(file);
	const char *json = cst_toc_json(toc, &size),
	           *found = memmem(json, size, from, strlen(from));
	assert_non_null(found);
	_cleanup_strbuf_ struct strbuf text = {0};
	strbuf_add(&text, json, (size_t)(found - json));
	strbuf_adds(&text, to);
	found += strlen(from);
	strbuf_add(&text, found, size - (size_t)(found - json));
	struct compressor *zstd = NULL;
	const cst_sink sink = cst_sink_memory(&packed);
	assert_int_equal(compressor_new(CST_ZSTD, &sink, &zstd, NULL), 0);
	assert_int_equal(compressor_write(zstd, text.data, text.len, NULL), 0);
	assert_int_equal(compressor_finish(zstd, NULL), 0);
	compressor_free(zstd);
	const cst_blob_part split = cst_toc_tarsplit_place(toc);
	append(&all, blob->data, blob->size);
	append_frame(&all, packed.size);
	snprintf(forged.made.position, sizeof(forged.made.position), "%zu:%zu:%zu:1", all.size,
	         packed.size, text.len);
	append(&all, packed.data, packed.size);
	append_frame(&all, split.size);
	snprintf(forged.made.tarsplit_position, sizeof(forged.made.tarsplit_position),
	         "%zu:%zu:%zu", all.size, (size_t)split.size, (size_t)split.plain_size);
	append(&all, blob->data + split.offset, split.size);
	assert_int_equal(digest_buffer(DIGEST_SHA256, packed.data, packed.size,
	                               forged.made.toc_digest, NULL),
	                 0);
	assert_int_equal(
	        digest_buffer(DIGEST_SHA256, all.data, all.size, forged.made.blob_digest, NULL), 0);
	free(packed.data);
	cst_toc_free(toc);
	forged.data = all.data;
	forged.size = all.size;
	return forged;
}

/* The tar in the blob is still the right one. */
static void forged_toc(void **state)
{
	static const struct {
		const char *from, *to, *reason;
	} forgeries[] = {
	        {"\"name\":\"d/7\"", "\"name\":\"d/x\"", "tar"},
	        {"\"mode\":488", "\"mode\":511", "d/"},
	        {"\"chunkDigest\":\"", "\"chunkDigest\":\"" ONES "\",\"x\":\"",
	         "should have " ONES},
	        {"\"digest\":\"", "\"digest\":\"" ONES "\",\"x\":\"", "should have " ONES},
	        {"\"digest\":\"", "\"digest\":\"x", "not sha256"},
	        {"\"size\":5000", "\"size\":5001", ""},
	        {"\"linkName\":\"d/1\"", "\"linkName\":\"/etc\"", "link"},
	        {"\"chunkType\":\"zeros\"", "\"chunkType\":\"x\"", "unknown type"},
	};
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	cst_pull_result result;
	_cleanup_blob_ struct blob same = forge(&one, "\"version\":1", "\"version\":1");
	struct source t = {.blob = &same};
	assert_int_equal(pull(api, &t, "same", &result), 0);
	assert_true(result.in_parts);
	ok(cst_store_delete_layer(api->store, "same", NULL), NULL); /* it has the right content */
	for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
		_cleanup_blob_ struct blob bad = forge(&one, forgeries[i].from, forgeries[i].to);
		struct source s = {.blob = &bad};
		char id[] = {'f', (char)('0' + i), '\0'};
		assert_int_equal(pull(api, &s, id, &result), 0);
		assert_false(result.in_parts);
		if (!strstr(result.reason, forgeries[i].reason))
			fail_msg("%s", result.reason);
		assert_is(api, id, &bad, false);
	}
	assert_clean(api);
}

static void file_as_source(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	cst_range_file file = {0};
	cst_range_source source;
	cst_pull_options options = annotated(&one);
	cst_staged_commit_options commit = CST_STAGED_COMMIT_OPTIONS_INIT;
	cst_pull_result result = CST_PULL_RESULT_INIT;
	FILE *stream = tmpfile();
	assert_int_equal(cst_range_source_fd(STDIN_FILENO + 1000, &file, &source, NULL), CST_ESYS);
	assert_int_equal(fwrite(one.data, 1, one.size, stream), one.size);
	assert_int_equal(fflush(stream), 0);
	assert_int_equal(cst_range_source_fd(fileno(stream), &file, &source, NULL), 0);
	commit.id = "one";
	options.commit = &commit;
	assert_int_equal(cst_store_pull_layer(api->store, &source, &options, NULL, &result, NULL),
	                 0);
	assert_true(result.in_parts);
	assert_is(api, "one", &one, true);
	fclose(stream);
}

#define EACH(X)                        \
	X(only_what_is_new_is_fetched) \
	X(few_ranges_at_a_time)        \
	X(source_that_cannot)          \
	X(unknown_or_wrong_toc)        \
	X(size_of_tarsplit)            \
	X(damaged_blob)                \
	X(forged_toc)                  \
	X(file_as_source)
DEFINE_RUN_ON_DRIVERS("pull", EACH)

int main(void)
{
	return run_on_drivers();
}
