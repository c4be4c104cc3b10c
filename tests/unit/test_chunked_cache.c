/* SPDX-License-Identifier: Apache-2.0 */
/* The cache that containers-storage 1.64 made of the TOC below, byte for byte; looking into it, and into damaged ones. */
#include "chunked/cache.h"
#include "test.h"

/* clang-format off */
static const char toc_json[] =
	"{\"version\":1,\"entries\":[{\"type\":\"dir\",\"name\":\"d/\",\"mode\":493,\"modtime\":\"2020-01-"
	"01T00:00:00Z\"},{\"type\":\"reg\",\"name\":\"d/one\",\"mode\":420,\"size\":6,\"uid\":5,\"gid\":6,"
	"\"modtime\":\"2020-01-01T00:00:00Z\",\"digest\":\"sha256:5891b5b522d5df086d0ff0b110fbd9"
	"d21bb4fc7163af34d08286a2e846f6be03\",\"offset\":117,\"endOffset\":136},{\"type\":\"reg\","
	"\"name\":\"big\",\"mode\":2541,\"size\":300,\"modtime\":\"2020-01-01T00:00:00Z\",\"xattrs\":{\""
	"user.b\":\"Yg==\",\"user.a\":\"YQ==\"},\"digest\":\"sha256:1111111111111111111111111111111"
	"111111111111111111111111111111111\",\"offset\":200,\"endOffset\":500,\"chunkSize\":100,"
	"\"chunkDigest\":\"sha256:2222222222222222222222222222222222222222222222222222222222"
	"222222\"},{\"type\":\"chunk\",\"name\":\"big\",\"offset\":300,\"chunkSize\":100,\"chunkOffset\""
	":100,\"chunkDigest\":\"sha256:33333333333333333333333333333333333333333333333333333"
	"33333333333\"},{\"type\":\"chunk\",\"name\":\"big\",\"offset\":400,\"chunkSize\":100,\"chunkOf"
	"fset\":200,\"chunkDigest\":\"sha256:333333333333333333333333333333333333333333333333"
	"3333333333333333\"},{\"type\":\"reg\",\"name\":\"empty\",\"mode\":420,\"modtime\":\"2020-01-01"
	"T00:00:00Z\"},{\"type\":\"hardlink\",\"name\":\"h\",\"linkName\":\"d/one\",\"mode\":420,\"modtim"
	"e\":\"2020-01-01T00:00:00Z\"},{\"type\":\"reg\",\"name\":\"same\",\"mode\":420,\"size\":6,\"uid\""
	":5,\"gid\":6,\"modtime\":\"2021-01-01T00:00:00Z\",\"digest\":\"sha256:5891b5b522d5df086d0"
	"ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\",\"offset\":517,\"endOffset\":536}]}";
static const char made_by_go[] =
	"03000000000000003700000000000000270000000000000002000000000000000300000000000000004300"
	"83003c00c2c2001c382602000000000000130000000000000021000000000000007368613235363a111111"
	"11111111111111111111111111111111111111111111111111111111110300000000000000040000000000"
	"00007368613235363a22222222222222222222222222222222222222222222222222222222222222220700"
	"00000000000003000000000000007368613235363a2c16fdc03faa601f84b13619cf49fc3162cece25350c"
	"0c28376eb667463ca803030000000000000004000000000000007368613235363a33333333333333333333"
	"333333333333333333333333333333333333333333330a0000000000000003000000000000007368613235"
	"363a4ae46d5be6c91ce0587799f77c0dfa93c09b4b8c50846a2e458fd00874c29fed0d0000000000000003"
	"000000000000007368613235363a5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846"
	"f6be03000000000000000003000000000000007368613235363a5891b5b522d5df086d0ff0b110fbd9d21b"
	"b4fc7163af34d08286a2e846f6be03100000000000000003000000000000007368613235363ae3b0c44298"
	"fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550d000000000000000300000000000000"
	"7368613235363ae62721ad1c79f68f0b98a07448a550ceca9360696418f52f4038bcaf2e83966600000000"
	"0000000003000000000000007368613235363ae62721ad1c79f68f0b98a07448a550ceca9360696418f52f"
	"4038bcaf2e839666100000000000000003000000000000000000060900ac02090064096464100000190006"
	"05000000642f6f6e650300000062696705000000656d7074790400000073616d65";
static const char of_no_entries[] =
	"03000000000000000000000000000000000000000000000001000000000000000300000000000000000000"
	"00000000000000000000000000000000000000000000000000";
/* clang-format on */

static struct toc *parse(const char *json)
{
	struct toc *toc = NULL;
	cst_error *error = NULL;
	int r = toc_parse(strdup(json), strlen(json), CST_TOC_ZSTD_CHUNKED, 1000, &toc, &error);
	if (r < 0)
		print_message("%s\n", cst_error_message(error));
	assert_int_equal(r, 0);
	return toc;
}

static void unhex(const char *text, struct strbuf *ret)
{
	for (; *text; text += 2) {
		unsigned byte;
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		strbuf_addc(ret, (char)byte);
	}
}

static void assert_makes(const char *json, const char *hex)
{
	_cleanup_(toc_freep) struct toc *toc = parse(json);
	_cleanup_strbuf_ struct strbuf wanted = {0}, made = {0};
	unhex(hex, &wanted);
	assert_int_equal(cache_make(toc, false, &made, NULL), 0);
	assert_int_equal(made.len, wanted.len);
	assert_memory_equal(made.data, wanted.data, wanted.len);
}

static void test_make(void **state)
{
	assert_makes(toc_json, made_by_go);
	assert_makes("{\"version\":1,\"entries\":null}", of_no_entries);
}

static bool find(const struct strbuf *data, const char *digest, struct cache_place *ret)
{
	uint8_t raw[TOC_DIGEST_SIZE];
	struct cache cache;
	assert_true(toc_digest_parse(digest, raw));
	return cache_open(data->data, data->len, &cache) && cache_find(&cache, raw, ret);
}

static void assert_place(const struct strbuf *data, const char *digest, const char *name,
                         uint64_t offset, uint64_t size)
{
	struct cache_place place;
	assert_true(find(data, digest, &place));
	assert_int_equal(place.name_len, strlen(name));
	assert_memory_equal(place.name, name, place.name_len);
	assert_int_equal(place.offset, offset);
	assert_int_equal(place.size, size);
}

#define DIGEST(digits) "sha256:" digits digits digits digits

static void test_find(void **state)
{
	_cleanup_strbuf_ struct strbuf data = {0};
	struct cache_place place;
	unhex(made_by_go, &data);
	assert_place(&data,
	             "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
	             "d/one", 0, 6);
	assert_place(&data, DIGEST("1111111111111111"), "big", 0, 300);
	assert_place(&data, DIGEST("2222222222222222"), "big", 0, 100);
	assert_place(&data, DIGEST("3333333333333333"), "big", 100, 100);
	assert_false(find(&data, DIGEST("4444444444444444"), &place));
}

/* docs/format/chunked.md, "Test vectors and checks" */
static void test_fingerprint(void **state)
{
	static const struct toc_xattr xattrs[] = {
	        {.name = "user.eq", .value = "x=a=b", .len = 5},
	        {.name = "user.foo", .value = "bar baz", .len = 7}};
	struct toc_entry entry = {.mode = 0644};
	uint8_t sum[TOC_DIGEST_SIZE];
	char text[TOC_DIGEST_TEXT], digest[DIGEST_TEXT_MAX];
	assert_int_equal(digest_buffer(DIGEST_SHA256, "hello world\n", 12, digest, NULL), 0);
	assert_true(toc_digest_parse(digest, entry.digest));
	assert_int_equal(cache_fingerprint(&entry, sum, NULL), 0);
	toc_digest_format(sum, text);
	assert_string_equal(
	        text, "sha256:5b4ce7fc3806c1b2ce3569938f39aaef5ec7cc922b938fb3c2259731815f3f77");
	assert_int_equal(digest_buffer(DIGEST_SHA256, "xattr file", 10, digest, NULL), 0);
	assert_true(toc_digest_parse(digest, entry.digest));
	entry.xattrs = xattrs;
	entry.n_xattrs = 2;
	assert_int_equal(cache_fingerprint(&entry, sum, NULL), 0);
	toc_digest_format(sum, text);
	assert_string_equal(
	        text, "sha256:e2c5dd7b530894ca78a41f73a11a9e2aaec5a5f9b3564d3cb3c048f2f7f7839f");
}

/* Whatever is damaged, it is refused or gives a place inside of itself. The copy ends where the cache ends, for tools that watch. */
static void test_damaged(void **state)
{
	_cleanup_strbuf_ struct strbuf data = {0};
	struct cache_place place;
	unhex(made_by_go, &data);
	for (size_t len = 0; len <= data.len; len++) {
		_cleanup_free_ char *copy = malloc(len + 1);
		memcpy(copy, data.data, len);
		const struct strbuf cut = {.data = copy, .len = len};
		assert_int_equal(find(&cut, DIGEST("1111111111111111"), &place), len == data.len);
	}
	for (size_t i = 0; i < data.len; i++) {
		static const char values[] = {0, 1, 0x7f, (char)0x80, (char)0xff};
		char before = data.data[i];
		for (size_t k = 0; k < sizeof(values); k++) {
			data.data[i] = values[k];
			if (find(&data, DIGEST("3333333333333333"), &place))
				assert_true(place.name >= data.data &&
				            place.name + place.name_len <= data.data + data.len);
		}
		data.data[i] = before;
	}
}

/* Of another version: it is made again. */
static void test_versions(void **state)
{
	struct cache cache;
	for (char version = 0; version < 6; version++) {
		_cleanup_strbuf_ struct strbuf data = {0};
		unhex(made_by_go, &data);
		data.data[0] = version;
		assert_int_equal(cache_open(data.data, data.len, &cache), version == 3);
	}
	_cleanup_strbuf_ struct strbuf empty = {0};
	unhex(of_no_entries, &empty);
	assert_false(cache_open(empty.data, empty.len, &cache)); /* as with the Go tools */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_make),        cmocka_unit_test(test_find),
	        cmocka_unit_test(test_fingerprint), cmocka_unit_test(test_damaged),
	        cmocka_unit_test(test_versions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
