/* SPDX-License-Identifier: Apache-2.0 */
/* Headers against digests of what Go's archive/tar (1.19) writes for the same fields. */
#include "base/digest.h"
#include "tree_fixture.h"

static char *repeat(char c, size_t n)
{
	static char text[4][4096];
	static unsigned turn;
	char *out = text[turn++ % 4];
	memset(out, c, n);
	out[n] = '\0';
	return out;
}

static void check(const struct tar_header *header, size_t size, const char *digest)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	char found[DIGEST_TEXT_MAX];
	assert_int_equal(tar_format_header(header, &out, NULL), 0);
	assert_int_equal(digest_buffer(DIGEST_SHA256, out.data, out.len, found, NULL), 0);
	assert_int_equal(out.len, size);
	assert_string_equal(found, digest);
}

#include "tar_format_vectors.h"

static void test_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		check(&vectors[i].header, vectors[i].size, vectors[i].digest);
}

static void test_fields(void **state)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	struct tar_header h = {.name = "d/f", .type = '0', .mode = 0100644, .size = 5, .uid = 1};
	h.mtime.tv_sec = 1700000000;
	assert_int_equal(tar_format_header(&h, &out, NULL), 0);
	assert_int_equal(out.len, 512);
	assert_string_equal(out.data, "d/f");
	assert_string_equal(out.data + 100, "0000644"); /* no file type bits */
	assert_string_equal(out.data + 108, "0000001");
	assert_string_equal(out.data + 124, "00000000005");
	assert_string_equal(out.data + 136, "14524770400");
	assert_memory_equal(out.data + 257, "ustar\00000", 8);
	assert_string_equal(out.data + 329, "0000000");
}

static void test_split_needs_a_slash_in_reach(void **state)
{
	char name[300];
	struct tar_header h = {.name = name, .type = '0'};
	_cleanup_strbuf_ struct strbuf out = {0};
	snprintf(name, sizeof(name), "%s/%s", repeat('p', 155), repeat('n', 100));
	assert_int_equal(tar_format_header(&h, &out, NULL), 0);
	assert_int_equal(out.len, 512);
	assert_memory_equal(out.data + 345, repeat('p', 155), 155);
	strbuf_reset(&out);
	snprintf(name, sizeof(name), "%s/%s", repeat('p', 155), repeat('n', 101));
	assert_int_equal(tar_format_header(&h, &out, NULL), 0);
	assert_int_equal(out.len, 512 * 3);
	assert_int_equal(out.data[156], 'x');
}

static void test_round_trip(void **state)
{
	struct tar_xattr xattr = {"user.k", "a\0b\n", 4};
	struct tar_header h = {.name = "caf\xc3\xa9", .type = '2', .linkname = repeat('t', 300)};
	h.uid = 3000000;
	h.mtime.tv_sec = -5;
	h.xattrs = &xattr;
	h.n_xattrs = 1;
	_cleanup_strbuf_ struct strbuf out = {0};
	assert_int_equal(tar_format_header(&h, &out, NULL), 0);
	struct tar_reader *r;
	enum tar_event event;
	const void *data;
	size_t n;
	assert_int_equal(tar_reader_new(&r, NULL), 0);
	tar_reader_feed(r, out.data, out.len);
	assert_int_equal(tar_reader_next(r, &event, &data, &n, NULL), 0);
	assert_int_equal(event, TAR_ENTRY);
	const struct tar_header *read = tar_reader_header(r);
	assert_string_equal(read->name, h.name);
	assert_string_equal(read->linkname, h.linkname);
	assert_int_equal(read->uid, 3000000);
	assert_int_equal(read->mtime.tv_sec, -5);
	assert_int_equal(read->n_xattrs, 1);
	assert_int_equal(read->xattrs[0].len, 4);
	assert_memory_equal(read->xattrs[0].value, "a\0b\n", 4);
	tar_reader_free(r);
}

static void test_refused(void **state)
{
	struct tar_xattr xattr = {"user.a=b", "", 0};
	struct tar_header h = {.name = "f", .type = '0', .xattrs = &xattr, .n_xattrs = 1};
	_cleanup_strbuf_ struct strbuf out = {0};
	assert_int_equal(tar_format_header(&h, &out, NULL), CST_EINVAL);
	h = (struct tar_header){.name = "f/", .type = '0'};
	assert_int_equal(tar_format_header(&h, &out, NULL), CST_EINVAL);
	h = (struct tar_header){.name = "f", .type = '3', .devmajor = 1 << 21};
	assert_int_equal(tar_format_header(&h, &out, NULL), CST_EINVAL);
	_cleanup_free_ char *large = calloc(1, (1 << 20) + 1);
	memset(large, 'x', 1 << 20);
	h = (struct tar_header){.name = large, .type = '0'};
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(tar_format_header(&h, &out, &error), CST_EINVAL);
	assert_string_equal(cst_error_message(error), "archive/tar: header field too long");
	assert_int_equal(out.len, 0);
}

static void test_padding(void **state)
{
	assert_int_equal(tar_padding(0), 0);
	assert_int_equal(tar_padding(1), 511);
	assert_int_equal(tar_padding(512), 0);
	assert_int_equal(tar_padding(513), 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vectors),
	        cmocka_unit_test(test_fields),
	        cmocka_unit_test(test_split_needs_a_slash_in_reach),
	        cmocka_unit_test(test_round_trip),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_padding),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
