/* SPDX-License-Identifier: Apache-2.0 */
/* Finding blobs by their digests: hashing, the order of the search, and what is no blob. */
#include "api_fixture.h"
#include "base/digest.h"
#include "codec/compress.h"
#include "codec/plain_source.h"
#include "store/check/blob_sum.h"
#include "store/check/blobs.h"

static void digest_of(const void *data, size_t n, char digest[DIGEST_TEXT_MAX])
{
	assert_int_equal(digest_buffer(DIGEST_SHA256, data, n, digest, NULL), 0);
}

static cst_memory packed(enum cst_compression kind, const void *data, size_t n)
{
	cst_memory out = {0};
	const cst_sink sink = cst_sink_memory(&out);
	struct compressor *compressor = NULL;
	assert_int_equal(compressor_new(kind, &sink, &compressor, NULL), 0);
	assert_int_equal(compressor_write(compressor, data, n, NULL), 0);
	assert_int_equal(compressor_finish(compressor, NULL), 0);
	compressor_free(compressor);
	return out;
}

/* ---- hashing ---- */

/* Hashed in pieces of this size: which digests come out? */
static void sum(const cst_memory *blob, size_t piece, uint64_t plain_max,
                char bytes[DIGEST_TEXT_MAX], char plain[DIGEST_TEXT_MAX])
{
	_cleanup_blob_sum_ struct blob_sum s = {0};
	assert_int_equal(blob_sum_begin(&s, DIGEST_SHA256, plain_max, NULL), 0);
	for (size_t at = 0; at < blob->size; at += piece)
		assert_int_equal(
		        blob_sum_add(&s, blob->data + at, MIN(piece, blob->size - at), NULL), 0);
	assert_int_equal(blob_sum_end(&s, bytes, plain, NULL), 0);
}

static void test_sums(void **state)
{
	static const enum cst_compression kinds[] = {CST_PLAIN, CST_GZIP, CST_ZSTD};
	static const size_t pieces[] = {1, 7, 4096, 1 << 20};
	char text[50000], wanted[DIGEST_TEXT_MAX], bytes[DIGEST_TEXT_MAX], plain[DIGEST_TEXT_MAX];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * i >> 7);
	digest_of(text, sizeof(text), wanted);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		cst_memory blob = packed(kinds[k], text, sizeof(text));
		char own[DIGEST_TEXT_MAX];
		digest_of(blob.data, blob.size, own);
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			sum(&blob, pieces[i], sizeof(text), bytes, plain);
			assert_string_equal(bytes, own);
			assert_string_equal(plain, wanted);
		}
		sum(&blob, 4096, sizeof(text) - 1, bytes, plain); /* more comes out than may */
		assert_string_equal(bytes, own);
		assert_string_equal(plain, "");
		sum(&blob, 4096, 0, bytes, plain); /* not wanted */
		assert_string_equal(plain, "");
		blob.size -= 5; /* cut */
		sum(&blob, 4096, sizeof(text), bytes, plain);
		assert_string_not_equal(bytes, own);
		assert_string_not_equal(plain, wanted);
		cst_free(blob.data);
	}
	cst_memory nothing = {0};
	sum(&nothing, 1, 10, bytes, plain);
	assert_string_equal(bytes, plain);
}

static void test_plain_source(void **state)
{
	static const enum cst_compression kinds[] = {CST_PLAIN, CST_GZIP, CST_ZSTD};
	char text[300000], buffer[1000];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * i >> 9);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		cst_memory blob = packed(kinds[k], text, sizeof(text)), read = blob;
		read.offset = 0;
		const cst_source from = cst_source_memory(&read);
		_cleanup_(plain_source_freep) struct plain_source *source = NULL;
		assert_int_equal(plain_source_new(&from, &source, NULL), 0);
		assert_int_equal(plain_source_decompresses(source), kinds[k] != CST_PLAIN);
		assert_int_equal(plain_source_read(source, buffer, 0, NULL), 0);
		assert_int_equal(plain_source_skip(source, 200000, NULL), 0);
		int64_t n = plain_source_read(source, buffer, sizeof(buffer), NULL);
		assert_true(n > 0);
		assert_memory_equal(buffer, text + 200000, (size_t)n);
		assert_int_equal(plain_source_skip(source, 200000, NULL), CST_EARCHIVE);
		cst_free(blob.data);
	}
}

/* ---- the search ---- */

struct finding {
	struct test_dir dir;
	struct api *api;
	char compressed[DIGEST_TEXT_MAX], plain[DIGEST_TEXT_MAX];
	cst_memory blob;      /* of the text */
	char got[64];         /* what a blob that was tried begins with */
	size_t tried, refuse; /* the first ones */
	uint64_t plain_max;
};

static const char text[] = "what a layer was made of";

static struct finding finding_begin(void **state)
{
	struct finding f = {.api = api_of(state), .dir = test_dir_make(), .plain_max = 4096};
	f.blob = packed(CST_GZIP, text, sizeof(text));
	digest_of(f.blob.data, f.blob.size, f.compressed);
	digest_of(text, sizeof(text), f.plain);
	return f;
}

static void finding_end(struct finding *f)
{
	cst_free(f->blob.data);
	test_dir_remove(&f->dir);
}
#define _cleanup_finding_ _cleanup_(finding_end)

static void put(const struct finding *f, const char *name, const void *data, size_t n)
{
	_cleanup_free_ char *path = path_join(f->dir.path, name);
	_cleanup_free_ char *parent = strndup(path, (size_t)(path_base(path) - path - 1));
	assert_int_equal(fs_mkdir_p(parent, 0700, NULL), 0);
	assert_int_equal(fs_write_file(AT_FDCWD, path, data, n, 0600, NULL, NULL), 0);
}

static int use(void *arg, const cst_source *blob, cst_error **error)
{
	struct finding *f = arg;
	int64_t n = blob->read(blob->userdata, f->got, sizeof(f->got), error);
	assert_true(n > 0);
	return f->tried++ < f->refuse ? cst_error_set(error, CST_EARCHIVE, 0, "refused") : 0;
}

/* Looks in these places below the directory. The caller frees *said: the blob, or why there is none. */
static int find(struct finding *f, const char *const *names, size_t n, char **said)
{
	const char *places[4];
	char paths[4][128];
	struct blobs *blobs = NULL;
	cst_error *error = NULL;
	for (size_t i = 0; i < n; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", f->dir.path, names[i]);
		places[i] = paths[i];
	}
	const struct blobs_options options = {
	        .places = places, .n_places = n, .plain_max = f->plain_max};
	f->tried = 0;
	assert_int_equal(blobs_new(f->api->store, &options, &blobs, NULL), 0);
	const struct wanted_blob wanted = {f->compressed, f->plain};
	int r = blobs_find(blobs, &wanted, use, f, said, &error);
	if (r < 0)
		*said = strdup(cst_error_message(error));
	cst_error_free(error);
	blobs_free(blobs);
	return r;
}

#define assert_finds(f, name, ...)                                                \
	do {                                                                      \
		const char *const names_[] = {__VA_ARGS__};                       \
		_cleanup_free_ char *said_ = NULL;                                \
		assert_int_equal(find(f, names_, ARRAY_SIZE(names_), &said_), 0); \
		if (!has_suffix(said_, name))                                     \
			fail_msg("%s is found", said_);                           \
	} while (0)
#define assert_refuses(f, words, ...)                                                             \
	do {                                                                                      \
		const char *const names_[] = {__VA_ARGS__};                                       \
		_cleanup_free_ char *said_ = NULL;                                                \
		assert_int_equal(find(f, names_, ARRAY_SIZE(names_), &said_), CST_EDATA_UNKNOWN); \
		if (!strstr(said_, words))                                                        \
			fail_msg("it says: %s", said_);                                           \
	} while (0)

static void test_names(void **state)
{
	_cleanup_finding_ struct finding f = finding_begin(state);
	char name[256];
	snprintf(name, sizeof(name), "oci/blobs/sha256/%s", digest_hex(f.compressed));
	put(&f, name, f.blob.data, f.blob.size);
	snprintf(name, sizeof(name), "plain/%s.tar", digest_hex(f.plain));
	put(&f, name, text, sizeof(text));
	put(&f, "any/one", f.blob.data, f.blob.size);
	put(&f, "any/two", "something else", 14);
	assert_finds(&f, digest_hex(f.compressed), "oci");
	assert_finds(&f, ".tar", "plain");
	assert_string_equal(f.got, text);
	assert_finds(&f, "any/one", "any");
	assert_finds(&f, digest_hex(f.compressed), "oci", "plain", "any");
	f.refuse = 2; /* the next one is tried */
	assert_finds(&f, "any/one", "oci", "plain", "any");
	assert_int_equal(f.tried, 3);
	f.refuse = 3;
	assert_refuses(&f, "any/one: refused", "oci", "plain", "any");
}

static void test_no_blobs(void **state)
{
	_cleanup_finding_ struct finding f = finding_begin(state);
	char name[256], path[400], target[400];
	snprintf(name, sizeof(name), "wrong/%s", digest_hex(f.compressed));
	put(&f, name, "wrong", 5);
	assert_refuses(&f, "it is damaged", "wrong");
	assert_int_equal(f.tried, 0);
	put(&f, "elsewhere/blob", f.blob.data, f.blob.size);
	assert_int_equal(mkdir(strcat(strcpy(path, f.dir.path), "/links"), 0700), 0);
	snprintf(target, sizeof(target), "%s/elsewhere/blob", f.dir.path);
	snprintf(path, sizeof(path), "%s/links/%s", f.dir.path, digest_hex(f.compressed));
	assert_int_equal(symlink(target, path), 0);
	assert_refuses(&f, "it is a symlink", "links");
	assert_finds(&f, "elsewhere/blob", "wrong", "links", "elsewhere");
}

static void test_archives(void **state)
{
	_cleanup_finding_ struct finding f = finding_begin(state);
	_cleanup_strbuf_ struct strbuf tar = {0};
	TAR_ADD(&tar, .name = "dir/", .type = '5', .mode = 0755);
	TAR_ADD(&tar, .name = "first", .data = "first", .len = 5);
	TAR_ADD(&tar, .name = "link", .type = '2', .link = "/etc/passwd", .mode = 0777);
	TAR_ADD(&tar, .name = "../../outside", .data = f.blob.data, .len = f.blob.size);
	TAR_ADD(&tar, .name = "last", .data = "last", .len = 4);
	tar_add_end(&tar);
	put(&f, "save.tar", tar.data, tar.len);
	cst_memory gz = packed(CST_GZIP, tar.data, tar.len);
	put(&f, "save.tar.gz", gz.data, gz.size);
	put(&f, "cut.tar", tar.data, 1024);
	assert_finds(&f, "save.tar/../../outside", "save.tar");
	assert_memory_equal(f.got, f.blob.data, MIN(f.blob.size, sizeof(f.got)));
	memset(f.got, 0, sizeof(f.got));
	assert_finds(&f, "save.tar.gz/../../outside", "save.tar.gz");
	assert_memory_equal(f.got, f.blob.data, MIN(f.blob.size, sizeof(f.got)));
	assert_refuses(&f, "cut.tar: ", "cut.tar");
	assert_finds(&f, "save.tar/../../outside", "cut.tar", "save.tar");
	cst_free(gz.data);
}

static void test_stores(void **state)
{
	_cleanup_finding_ struct finding f = finding_begin(state);
	struct api *api = f.api;
	cst_layer *layer = NULL;
	char place[32];
	assert_int_equal(create_layer(api, "base", NULL, NULL, &layer), 0);
	snprintf(f.plain, sizeof(f.plain), "%s", cst_layer_diff_digest(layer));
	cst_layer_free(layer);
	snprintf(place, sizeof(place), "../%s/root", path_base(api->dir.path));
	assert_finds(&f, "root/base", place);
	assert_string_equal(f.got, "etc/");
	f.plain[10] ^= 1;
	assert_refuses(&f, "there is no blob", place);
	f.plain[10] ^= 1;
	f.plain_max = 1023;
	assert_refuses(&f, "root/base: it is longer", place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sums),
	        cmocka_unit_test(test_plain_source),
	        cmocka_unit_test_setup_teardown(test_names, set_up_vfs, tear_down),
	        cmocka_unit_test_setup_teardown(test_no_blobs, set_up_vfs, tear_down),
	        cmocka_unit_test_setup_teardown(test_archives, set_up_vfs, tear_down),
	        cmocka_unit_test_setup_teardown(test_stores, set_up_vfs, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
