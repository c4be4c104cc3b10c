/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs of three versions of a layer, a source of ranges that counts and can fail, and the pull of one in parts. */
#ifndef CST_TESTS_UNIT_PULL_FIXTURE_H
#define CST_TESTS_UNIT_PULL_FIXTURE_H

#include "api_fixture.h"
#include "base/digest.h"
#include "codec/compress.h"

#define BIG   (1 << 20)
#define SMALL 5000
#define FILES 40
#define ONES  "sha256:1111111111111111111111111111111111111111111111111111111111111111"

static inline void ok(int r, cst_error *error)
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

static inline void blob_free(struct blob *blob)
{
	free(blob->data);
}
#define _cleanup_blob_ _cleanup_(blob_free)

static inline void noise(char *to, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		to[i] = (char)(seed >> 16);
	}
}

/* Three versions of a layer: in the second one 10 bytes of a large file, and one of many small ones, are others; in the third one
 * the hard link has another time. */
static inline void make_tar(struct strbuf *tar, unsigned version)
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

static inline struct blob make_blob(unsigned version)
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

static inline int request(void *userdata, const cst_range *ranges, size_t n, cst_error **error)
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

static inline int64_t read_ranges(void *userdata, void *buffer, size_t size, cst_error **error)
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

static inline int pull_with(const struct api *api, struct source *s, const char *id, const char *parent,
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

static inline cst_pull_options annotated(const struct blob *blob)
{
	cst_pull_options options = CST_PULL_OPTIONS_INIT;
	options.toc_digest = blob->made.toc_digest;
	options.toc_position = blob->made.position;
	options.tarsplit_position = blob->made.tarsplit_position;
	options.blob_digest = blob->made.blob_digest;
	options.diff_digest = blob->made.diff_digest;
	return options;
}

static inline int pull(const struct api *api, struct source *s, const char *id, cst_pull_result *result)
{
	const cst_pull_options options = annotated(s->blob);
	return pull_with(api, s, id, NULL, &options, result);
}

static inline void assert_clean(const struct api *api)
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
static inline void assert_is(const struct api *api, const char *id, const struct blob *blob, bool in_parts)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_memory memory = plain_tar(api, id);
	cst_error *error = NULL;
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

#endif
