/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling a layer in parts: what is fetched and what is not, that the layer is the one that was meant, and what becomes of blobs and
 * sources that are not as they should be. */
#include "api_fixture.h"
#include "base/digest.h"
#include "base/fs.h"
#include "codec/compress.h"

#define BIG   (1 << 20)
#define SMALL 5000
#define FILES 40
#define ONES  "sha256:1111111111111111111111111111111111111111111111111111111111111111"

static void ok(int r, cst_error *error)
{
	if (r < 0)
		print_message("%s\n", cst_error_message(error));
	assert_int_equal(r, 0);
}

/* ---- a blob ---- */

struct blob {
	unsigned version;
	char *data;
	size_t size;
	cst_chunked_result made;
};

static void blob_free(struct blob *blob)
{
	free(blob->data);
}
#define _cleanup_blob_ _cleanup_(blob_free)

static void noise(char *to, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		to[i] = (char)(seed >> 16);
	}
}

/* Three versions of a layer: in the second one 10 bytes of a large file, and one of many small ones, are others; in the third one
 * the hard link has another time. */
static void make_tar(struct strbuf *tar, unsigned version)
{
	static char big[BIG], small[SMALL], hole[100000];
	unsigned uid = getuid(), gid = getgid();
	char name[32];
	noise(big, sizeof(big), 7);
	if (version == 2)
		memset(big + BIG / 2, 'x', 10);
	TAR_ADD(tar, .name = "d/", .type = '5', .mode = 0750, .uid = uid, .gid = gid, .mtime = 1);
	TAR_ADD(tar, .name = "d/big", .data = big, .len = BIG, .uid = uid, .gid = gid);
	for (unsigned i = 0; i < FILES; i++) {
		noise(small, SMALL, 1000 + 10 * i + (i == 11 ? version : 0));
		snprintf(name, sizeof(name), "d/%u", i);
		TAR_ADD(tar, .name = name, .data = small, .len = SMALL, .mode = 04755, .uid = uid,
		        .gid = gid);
	}
	memset(hole, 0, sizeof(hole));
	memcpy(hole, "begin", 5);
	TAR_ADD(tar, .name = "hole", .data = hole, .len = sizeof(hole), .uid = uid, .gid = gid);
	TAR_ADD(tar, .name = "empty", .uid = uid, .gid = gid);
	TAR_ADD(tar, .name = "same", .link = "d/big", .type = '1', .uid = uid, .gid = gid,
	        .mtime = version == 3 ? 5 : 0);
	TAR_ADD(tar, .name = "link", .link = "d/1", .type = '2', .uid = uid, .gid = gid);
	TAR_ADD(tar, .name = "fifo", .type = '6', .uid = uid, .gid = gid);
	TAR_ADD(tar, .name = ".wh.etc", .uid = uid, .gid = gid);
	tar_add_end(tar);
}

static struct blob make_blob(unsigned version)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	struct blob blob = {.version = version, .made = CST_CHUNKED_RESULT_INIT};
	cst_memory out = {0};
	cst_error *error = NULL;
	make_tar(&tar, version);
	cst_memory in = {.data = tar.data, .size = tar.len};
	const cst_source source = cst_source_memory(&in);
	const cst_sink sink = cst_sink_memory(&out);
	ok(cst_chunked_create(&source, &sink, NULL, &blob.made, &error), error);
	blob.data = out.data;
	blob.size = out.size;
	return blob;
}

/* ---- a source ---- */

struct source {
	const struct blob *blob;
	const cst_range *ranges;
	size_t n, max; /* max: so many ranges at once, if it is not 0 */
	uint64_t done;
	unsigned requests, fail_from; /* this request and all that follow fail, if it is not 0 */
	int fail_with;
	bool short_read; /* only parts of two ranges and more */
};

static int request(void *userdata, const cst_range *ranges, size_t n, cst_error **error)
{
	struct source *s = userdata;
	uint64_t end = 0;
	s->requests++;
	for (size_t i = 0; i < n; i++) {
		assert_true(ranges[i].length > 0);
		assert_true(i == 0 || ranges[i].offset > end);
		end = ranges[i].offset + ranges[i].length;
		assert_true(end <= s->blob->size);
	}
	if (s->max && n > s->max)
		return CST_ENOTSUP;
	if (s->fail_from && s->requests >= s->fail_from &&
	    !(s->fail_with == CST_ENOTSUP && ranges[0].length == s->blob->size))
		return s->fail_with;
	s->ranges = ranges;
	s->n = n;
	s->done = 0;
	return 0;
}

static int64_t read_ranges(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct source *s = userdata;
	while (s->n > 0 && s->done == s->ranges->length) {
		s->ranges++;
		s->n--;
		s->done = 0;
	}
	if (s->n == 0)
		return 0;
	if (s->short_read && s->done > 0 && s->ranges->length < s->blob->size)
		return 0;
	size_t left = (size_t)(s->ranges->length - s->done), n = MIN(size, left);
	memcpy(buffer, s->blob->data + s->ranges->offset + s->done, n);
	s->done += n;
	return (int64_t)n;
}

/* ---- pulling ---- */

static int pull_with(const struct api *api, struct source *s, const char *id, const char *parent,
                     const cst_pull_options *given, cst_pull_result *result)
{
	cst_pull_options options = *given;
	cst_stage_options stage = CST_STAGE_OPTIONS_INIT;
	cst_staged_commit_options commit = CST_STAGED_COMMIT_OPTIONS_INIT;
	_cleanup_error_ cst_error *problem = NULL;
	const cst_range_source source = {
	        .blob_size = s->blob->size, .request = request, .read = read_ranges, .userdata = s};
	stage.parent = parent;
	commit.id = id;
	options.stage = &stage;
	options.commit = &commit;
	*result = (cst_pull_result)CST_PULL_RESULT_INIT;
	int r = cst_store_pull_layer(api->store, &source, &options, NULL, result, &problem);
	if (r < 0)
		print_message("%s: %s\n", id, cst_error_message(problem));
	return r;
}

static cst_pull_options annotated(const struct blob *blob)
{
	cst_pull_options options = CST_PULL_OPTIONS_INIT;
	options.toc_digest = blob->made.toc_digest;
	options.toc_position = blob->made.position;
	options.tarsplit_position = blob->made.tarsplit_position;
	options.blob_digest = blob->made.blob_digest;
	options.diff_digest = blob->made.diff_digest;
	return options;
}

static int pull(const struct api *api, struct source *s, const char *id, cst_pull_result *result)
{
	const cst_pull_options options = annotated(s->blob);
	return pull_with(api, s, id, NULL, &options, result);
}

static void assert_clean(const struct api *api)
{
	cst_findings *findings = NULL;
	cst_error *error = NULL;
	ok(cst_store_check(api->store, NULL, &findings, &error), error);
	assert_int_equal(cst_findings_size(findings), 0);
	cst_findings_free(findings);
	_cleanup_free_ char *command =
	        str_printf("test -z \"$(find %s -path '*/staging/*' -o -path '*/tempdirs/*' -o "
	                   "-path '*-layers/tmp/*')\"",
	                   api->root);
	assert_int_equal(system(command), 0);
}

/* The layer gives back the tar, and has the record of a layer that was pulled like that. */
static void assert_is(const struct api *api, const char *id, const struct blob *blob, bool in_parts)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_memory memory = {0};
	const cst_sink sink = cst_sink_memory(&memory);
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	cst_error *error = NULL;
	options.compression = CST_PLAIN;
	ok(cst_store_diff(api->store, NULL, id, &options, &sink, &error), error);
	make_tar(&tar, blob->version);
	assert_int_equal(memory.size, tar.len);
	assert_memory_equal(memory.data, tar.data, tar.len);
	free(memory.data);
	ok(cst_store_layer(api->store, id, &layer, &error), error);
	assert_string_equal(cst_layer_diff_digest(layer), blob->made.diff_digest);
	assert_string_equal(cst_layer_toc_digest(layer), in_parts ? blob->made.toc_digest : "");
	assert_string_equal(cst_layer_compressed_digest(layer),
	                    in_parts ? "" : blob->made.blob_digest);
}

/* ---- tests ---- */

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

/* ---- composefs ---- */

static void open_with(struct api *api, const char *option)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_error *error = NULL;
	options.graph_root = api->root;
	options.run_root = api->run;
	options.driver = api->driver;
	options.driver_options = &option;
	options.n_driver_options = 1;
	cst_store_close(steal_ptr(&api->store));
	ok(cst_store_open(&options, &api->store, &error), error);
}

static void assert_objects(const struct api *api, const char *id)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	cst_error *error = NULL;
	ok(cst_store_data(api->store, CST_KIND_LAYER, id, "zstd-chunked-layer-data", (void **)&text,
	                  &size, &error),
	   error);
	assert_int_equal(size, strlen("{\"format\":1}"));
	assert_memory_equal(text, "{\"format\":1}", size);
}

/* What lies in objects is found there, from layers of either kind. */
static void images_are_donors(void **state)
{
	struct api *api = api_of(state);
	if (strcmp(api->driver, "overlay") != 0 || geteuid() != 0)
		skip_because("composefs is for root and overlay");
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	open_with(api, "overlay.use_composefs=true");
	assert_int_equal(pull(api, &s, "one", &result), 0);
	assert_objects(api, "one");
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_objects(api, "two");
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES);
	assert_true(result.bytes_fetched < 150000);
	open_with(api, "overlay.use_composefs=false");
	assert_int_equal(pull(api, &t, "three", &result), 0);
	assert_true(result.bytes_fetched < 50000);
	assert_is(api, "one", &one, true);
	assert_is(api, "two", &two, true);
	assert_is(api, "three", &two, true);
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

/* A file of the other layer was changed since: what was counted on is fetched. */
static void other_layer_was_changed(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	assert_int_equal(pull(api, &s, "one", &result), 0);
	_cleanup_free_ char *command = str_printf(
	        "for name in 3 5 big; do file=$(find %s -path '*one*/d/'$name); echo x | "
	        "dd of=$file bs=1 seek=3000 conv=notrunc status=none; "
	        "test $name = 5 && rm $file && mkfifo $file; done; true",
	        api->root);
	assert_int_equal(system(command), 0);
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES - 2);
	assert_is(api, "two", &two, true);
	ok(cst_store_delete_layer(api->store, "two", NULL), NULL);
	/* Nobody says which tar it should be. */
	cst_pull_options options = annotated(&two);
	options.diff_digest = NULL;
	assert_int_equal(pull_with(api, &t, "three", NULL, &options, &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES - 2);
	assert_is(api, "three", &two, true);
	ok(cst_store_delete_layer(api->store, "one", NULL), NULL);
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

/* ---- hard links ---- */

/* The file in the layer's own content; the layer is a new one of the overlay driver. */
static struct stat file_of(const struct api *api, const char *layer, const char *name)
{
	struct stat st;
	_cleanup_free_ char *path = str_printf("%s/overlay/%s/diff/%s", api->root, layer, name);
	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static unsigned files_shared(const struct api *api, const char *one, const char *two)
{
	unsigned n = 0;
	char name[32];
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d/%u", i);
		n += file_of(api, one, name).st_ino == file_of(api, two, name).st_ino;
	}
	return n;
}

static bool is_overlay_of_root(const struct api *api)
{
	return strcmp(api->driver, "overlay") == 0 && geteuid() == 0;
}

static void files_are_linked_if_asked(void **state)
{
	struct api *api = api_of(state);
	if (!is_overlay_of_root(api))
		skip_because("files are shared by overlay");
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	assert_int_equal(pull(api, &s, "one", &result), 0);
	assert_int_equal(pull(api, &t, "copy", &result), 0);
	assert_int_equal(files_shared(api, "one", "copy"), 0);
	ok(cst_store_delete_layer(api->store, "copy", NULL), NULL);
	reopen_with_pull_option(api, "use_hard_links=TRUE", false);
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES);
	/* The changed one is not; that whose header ends a piece of the stream may be written. */
	assert_in_range(files_shared(api, "one", "two"), FILES - 2, FILES - 1);
	assert_int_not_equal(file_of(api, "one", "d/11").st_ino,
	                     file_of(api, "two", "d/11").st_ino);
	assert_is(api, "one", &one, true);
	assert_is(api, "two", &two, true);
	assert_clean(api);
	ok(cst_store_delete_layer(api->store, "one", NULL), NULL);
	assert_is(api, "two", &two, true);
	assert_clean(api);
}

/* A hard link of the archive goes to the shared file, which gets no attributes from it. */
static void links_to_linked_files(void **state)
{
	struct api *api = api_of(state);
	if (!is_overlay_of_root(api))
		skip_because("files are shared by overlay");
	_cleanup_blob_ struct blob one = make_blob(1), three = make_blob(3);
	struct source s = {.blob = &one}, t = {.blob = &three};
	cst_pull_result result;
	reopen_with_pull_option(api, "use_hard_links=true", false);
	assert_int_equal(pull(api, &s, "one", &result), 0);
	const struct stat big = file_of(api, "one", "d/big");
	assert_int_equal(pull(api, &s, "again", &result), 0);
	assert_int_equal(file_of(api, "again", "d/big").st_ino, big.st_ino);
	assert_int_equal(file_of(api, "again", "same").st_ino, big.st_ino);
	assert_int_equal(pull(api, &t, "three", &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(file_of(api, "three", "same").st_mtime, 5);
	assert_int_not_equal(file_of(api, "three", "d/big").st_ino, big.st_ino);
	assert_int_equal(file_of(api, "one", "d/big").st_mtime, big.st_mtime);
	assert_is(api, "again", &one, true);
	assert_is(api, "three", &three, true);
	assert_clean(api);
}

/* A file that differs in anything but its content is written. */
static void other_attributes_are_not_linked(void **state)
{
	static const char *const changes[] = {"chmod 600 %s", "chown 7 %s", "chgrp 7 %s",
	                                      "touch -d @77 %s", "setfattr -n user.x -v y %s"};
	struct api *api = api_of(state);
	if (!is_overlay_of_root(api))
		skip_because("files are shared by overlay");
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	reopen_with_pull_option(api, "use_hard_links=true", false);
	assert_int_equal(pull(api, &s, "one", &result), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_free_ char *path =
		        str_printf("%s/overlay/one/diff/d/%u", api->root, 20 + i);
		_cleanup_free_ char *command = str_printf(changes[i], path);
		assert_int_equal(system(command), 0);
	}
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_int_equal(result.files_reused, FILES);
	assert_in_range(files_shared(api, "one", "two"), FILES - 2 - ARRAY_SIZE(changes),
	                FILES - 1 - ARRAY_SIZE(changes));
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		char name[16];
		snprintf(name, sizeof(name), "d/%u", 20 + i);
		assert_int_not_equal(file_of(api, "one", name).st_ino,
		                     file_of(api, "two", name).st_ino);
	}
	assert_is(api, "two", &two, true);
}

/* ---- ostree ---- */

/* The store of the test, opened again to take files from two repositories, of which the second one exists. */
static void open_with_repository(struct api *api)
{
	_cleanup_free_ char *option =
	        str_printf("ostree_repos=%s/none:%s/repo", api->dir.path, api->dir.path);
	const char *given = option;
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_error *error = NULL;
	(void)cst_store_shutdown(api->store, true, NULL, NULL);
	cst_store_close(steal_ptr(&api->store));
	options.graph_root = api->root;
	options.run_root = api->run;
	options.driver = api->driver;
	options.pull_options = &given;
	options.n_pull_options = 1;
	ok(cst_store_open(&options, &api->store, &error), error);
}

/* The large file of the first version in the repository: the object `at` has it, or what it should not have. */
static void fill_repository(const struct api *api, const char *at, const char *content, size_t n)
{
	static char big[BIG];
	char digest[DIGEST_TEXT_MAX];
	noise(big, sizeof(big), 7);
	assert_int_equal(digest_buffer(DIGEST_SHA256, big, sizeof(big), digest, NULL), 0);
	const char *hex = strchr(digest, ':') + 1;
	_cleanup_free_ char *text = str_printf(
	        "cd %s && rm -rf repo && mkdir -p repo/objects/%.2s repo/objects/aa out && "
	        "ln -s ../%s repo/objects/%.2s/%s.payload-link",
	        api->dir.path, hex, at, hex, hex + 2);
	assert_int_equal(system(text), 0);
	_cleanup_free_ char *path =
	        str_printf("%s/repo/objects/%.2s/../%s", api->dir.path, hex, at);
	assert_int_equal(
	        fs_write_file(AT_FDCWD, path, content ? content : big, n, 0644, path, NULL), 0);
}

static void ostree_gives_files(void **state)
{
	static char other[BIG];
	static const struct {
		const char *at, *content;
		size_t size;
		uint64_t reused;
	} cases[] = {
	        {"aa/bb.file", NULL, BIG, BIG},
	        {"aa/bb.file", other, BIG, 0},       /* has another content */
	        {"aa/bb.file", NULL, BIG - 1, 0},    /* another size */
	        {"../../out/bb.file", NULL, BIG, 0}, /* is outside of it */
	};
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	open_with_repository(api);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct source s = {.blob = &one};
		char id[] = {(char)('a' + i), 'x', '\0'};
		cst_pull_result result;
		fill_repository(api, cases[i].at, cases[i].content, cases[i].size);
		assert_int_equal(pull(api, &s, id, &result), 0);
		assert_int_equal(result.bytes_reused, cases[i].reused);
		assert_is(api, id, &one, true);
		assert_int_equal(cst_store_delete(api->store, id, NULL, NULL, NULL),
		                 0); /* or it is the donor */
	}
}

#define EACH(X)                        \
	X(ostree_gives_files)          \
	X(only_what_is_new_is_fetched) \
	X(few_ranges_at_a_time)        \
	X(source_that_cannot)          \
	X(unknown_or_wrong_toc)        \
	X(size_of_tarsplit)            \
	X(damaged_blob)                \
	X(images_are_donors)           \
	X(forged_toc)                  \
	X(other_layer_was_changed)     \
	X(file_as_source)              \
	X(files_are_linked_if_asked)   \
	X(links_to_linked_files)       \
	X(other_attributes_are_not_linked)
DEFINE_RUN_ON_DRIVERS("pull", EACH)

int main(void)
{
	return run_on_drivers();
}
