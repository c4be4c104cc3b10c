/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tar/tar.h"
#include "tar_build.h"
#include "test.h"

/* What a reader says about an archive: a line per entry and error, and every byte it gave out, in
 * order. */
struct story {
	struct strbuf text, bytes;
};

static void story_free(struct story *story)
{
	strbuf_free(&story->text);
	strbuf_free(&story->bytes);
}
#define _cleanup_story_ _cleanup_(story_free)

static void tell_entry(struct story *story, const struct tar_header *h)
{
	strbuf_addf(&story->text, "%c %s", h->type, h->name);
	if (*strempty(h->linkname))
		strbuf_addf(&story->text, " -> %s", h->linkname);
	strbuf_addf(&story->text, " %04o %u:%u %llu/%llu @%lld.%09ld", h->mode, h->uid, h->gid,
	            (unsigned long long)h->size, (unsigned long long)h->body_size,
	            (long long)h->mtime.tv_sec, h->mtime.tv_nsec);
	for (size_t i = 0; i < h->n_xattrs; i++)
		strbuf_addf(&story->text, " %s=%.*s", h->xattrs[i].name, (int)h->xattrs[i].len,
		            (const char *)h->xattrs[i].value);
	for (size_t i = 0; i < h->n_sparse; i++)
		strbuf_addf(&story->text, " [%llu+%llu]", (unsigned long long)h->sparse[i].offset,
		            (unsigned long long)h->sparse[i].size);
	strbuf_addc(&story->text, '\n');
}

static void tell_raw(struct story *story, struct tar_reader *r)
{
	const void *raw;
	size_t n;

	tar_reader_raw(r, &raw, &n);
	strbuf_add(&story->bytes, raw, n);
}

/* Events up to the next need for data; false after an error. */
static bool tell_events(struct story *story, struct tar_reader *r)
{
	for (;;) {
		_cleanup_error_ cst_error *error = NULL;
		enum tar_event event;
		const void *data;
		size_t n;

		if (tar_reader_next(r, &event, &data, &n, &error) < 0) {
			bool refused = cst_error_code(error) ==
			               CST_ENOTSUP; /* well formed, of an unknown type */
			assert_true(refused || cst_error_code(error) == CST_EARCHIVE);
			strbuf_addf(&story->text, "error%s %s\n", refused ? ", refused:" : "",
			            cst_error_go_message(error));
			return false;
		}
		switch (event) {
		case TAR_NEED_DATA: return true;
		case TAR_ENTRY:
			tell_raw(story, r);
			tell_entry(story, tar_reader_header(r));
			break;
		case TAR_BODY:
		case TAR_TRAILER: strbuf_add(&story->bytes, data, n); break;
		case TAR_BODY_END: break;
		case TAR_END:
			tell_raw(story, r);
			strbuf_adds(&story->text, "end\n");
			break;
		}
	}
}

static void tell(struct story *story, const char *data, size_t n, size_t piece)
{
	_cleanup_(tar_reader_freep) struct tar_reader *r = NULL;
	_cleanup_error_ cst_error *error = NULL;

	assert_int_equal(tar_reader_new(&r, NULL), 0);
	for (size_t at = 0; at < n; at += MIN(piece, n - at)) {
		_cleanup_free_ char *copy =
		        malloc(MIN(piece, n - at)); /* so that a stale pointer is noticed */
		memcpy(copy, data + at, MIN(piece, n - at));
		tar_reader_feed(r, copy, MIN(piece, n - at));
		if (!tell_events(story, r))
			return;
	}
	if (tar_reader_end(r, &error) < 0)
		strbuf_addf(&story->text, "error %s\n", cst_error_go_message(error));
	else
		tell_raw(story, r);
}

/* The same in pieces of any size, and, if it is read to its end, every byte comes out again. */
static void expect(const struct strbuf *tar, const char *text)
{
	static const size_t pieces[] = {1 << 20, 512, 511, 513, 100, 1};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup_story_ struct story story = {0};
		tell(&story, tar->len ? tar->data : "", tar->len, pieces[i]);
		assert_string_equal(strbuf_str(&story.text), text);
		if (strstr(text, "error"))
			continue;
		assert_int_equal(story.bytes.len, tar->len);
		if (tar->len > 0)
			assert_memory_equal(story.bytes.data, tar->data, tar->len);
	}
}

static void test_kinds(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};

	TAR_ADD(&tar, .name = "d/", .type = '5', .mode = 0755);
	TAR_ADD(&tar, .name = "d/f", .data = "data\n", .len = 5, .uid = 7, .gid = 8);
	TAR_ADD(&tar, .name = "d/l", .type = '2', .link = "f", .size = "00000001000");
	TAR_ADD(&tar, .name = "big", .data = tar.data, .len = 1024);
	tar_add_end(&tar);
	strbuf_adds(&tar, "and what is behind");
	expect(&tar, "5 d/ 0755 0:0 0/0 @1600000000.000000000\n"
	             "0 d/f 0644 7:8 5/5 @1600000000.000000000\n"
	             "2 d/l -> f 0644 0:0 0/0 @1600000000.000000000\n"
	             "0 big 0644 0:0 1024/1024 @1600000000.000000000\n"
	             "end\n");
}

static void test_ends(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	static const char line[] = "0 x 0644 0:0 3/3 @1600000000.000000000\n";
	static const char line_cut[] =
	        "0 x 0644 0:0 3/3 @1600000000.000000000\nerror unexpected EOF\n";

	expect(&tar, "");
	TAR_ADD(&tar, .name = "x", .data = "abc", .len = 3);
	expect(&tar, line);
	tar.len = 515; /* padding is missing */
	expect(&tar, line);
	tar.len = 514;
	expect(&tar, line_cut);
	tar.len = 300;
	expect(&tar, "error unexpected EOF\n");
	tar.len = 0;
	strbuf_add(&tar, (char[512]){0}, 512);
	expect(&tar, "");
	TAR_ADD(&tar, .name = "x", .data = "abc", .len = 3);
	expect(&tar, "error archive/tar: invalid tar header\n");
}

static void test_pax(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0}, records = {0};

	pax_record(&records, "path", "first", 5);
	pax_record(&records, "path", "second", 6);
	pax_record(&records, "mtime", "-1.5", 4);
	pax_record(&records, "uid", "3000000", 7);
	pax_record(&records, "SCHILY.xattr.user.a=b", "v", 1);
	pax_record(&records, "SCHILY.xattr.user.e", "", 0);
	pax_record(&records, "comment", "ignored", 7);
	tar_add_pax(&tar, &records);
	TAR_ADD(&tar, .name = "x");
	tar_add_pax_one(&tar, "path", "gone");
	tar_add_pax_one(&tar, "mtime", "1600000000.1234567899");
	TAR_ADD(&tar, .name = "y");
	TAR_ADD(&tar, .name = "global", .type = 'g');
	tar_add_pax_one(&tar, "path", "");
	TAR_ADD(&tar, .name = "z");
	tar_add_pax_one(&tar, "path", "dangling");
	tar_add_end(&tar);
	expect(&tar, "0 second 0644 3000000:0 0/0 @-2.500000000 user.a=b=v user.e=\n"
	             "0 y 0644 0:0 0/0 @1600000000.123456789\n"
	             "g global 0000 0:0 0/0 @0.000000000\n"
	             "0 z 0644 0:0 0/0 @1600000000.000000000\n"
	             "end\n");
}

static void test_gnu_long(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};

	TAR_ADD(&tar, .name = "././@LongLink", .type = 'L', .data = "long/name\0rest", .len = 14);
	TAR_ADD(&tar, .name = "././@LongLink", .type = 'K', .data = "long/target", .len = 11);
	TAR_ADD(&tar, .name = "cut", .type = '2', .link = "cut");
	expect(&tar, "2 long/name -> long/target 0644 0:0 0/0 @1600000000.000000000\n");
}

static void test_bad_pax(void **state)
{
	static const char *const records[] = {
	        "99 path=zz\n",      "0000000000000005 a=b\n",
	        "4 a=b\n",           "9 path=ab",
	        "12 path=abcdX",     "x path=a\n",
	        "9 nothing\n",       "5 =b\n",
	        "11 mtime=x\n",      "-9 path=a\n",
	        "9 path=a\n9",       "10 size=-1\n",
	        "17 uid=-4294967\n", "18 uid=4294967296\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		_cleanup_strbuf_ struct strbuf tar = {0};
		TAR_ADD(&tar, .name = "p", .type = 'x', .data = records[i],
		        .len = strlen(records[i]));
		TAR_ADD(&tar, .name = "x");
		expect(&tar, "error archive/tar: invalid tar header\n");
	}
}

static void test_bad_headers(void **state)
{
	static const struct tar_entry entries[] = {
	        {.name = "x", .size = "zzzzzzz"},
	        {.name = "x", .size = "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
	        {.name = "x", .size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
	};
	_cleanup_strbuf_ struct strbuf tar = {0};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		strbuf_reset(&tar);
		tar_add(&tar, &entries[i]);
		expect(&tar, "error archive/tar: invalid tar header\n");
	}
	strbuf_reset(&tar);
	TAR_ADD(&tar, .name = "x");
	tar.data[0] = 'y'; /* checksum */
	expect(&tar, "error archive/tar: invalid tar header\n");
	strbuf_reset(&tar);
	TAR_ADD(&tar, .name = "x", .type = 'A');
	expect(&tar, "error, refused: unhandled tar header type 65\n");
	strbuf_reset(&tar);
	TAR_ADD(&tar, .name = "x", .type = 'x', .size = "00004000001");
	expect(&tar, "error archive/tar: header field too long\n");
}

static void add_sparse(struct strbuf *tar, const char *size, const char *blocks, const char *map,
                       size_t body)
{
	_cleanup_strbuf_ struct strbuf records = {0};
	static const char data[2048] = "D";

	pax_record(&records, "GNU.sparse.size", size, strlen(size));
	pax_record(&records, "GNU.sparse.numblocks", blocks, strlen(blocks));
	pax_record(&records, "GNU.sparse.map", map, strlen(map));
	pax_record(&records, "GNU.sparse.name", "sp", 2);
	tar_add_pax(tar, &records);
	TAR_ADD(tar, .name = "GNUSparseFile.0/sp", .data = data, .len = body);
}

static void expect_sparse(const char *size, const char *blocks, const char *map, size_t body,
                          const char *text)
{
	_cleanup_strbuf_ struct strbuf tar = {0};

	add_sparse(&tar, size, blocks, map, body);
	expect(&tar, text);
}

static void test_sparse(void **state)
{
	static const char invalid[] = "error archive/tar: invalid tar header\n";

	expect_sparse("12288", "2", "0,512,8192,512", 1024,
	              "0 sp 0644 0:0 12288/1024 @1600000000.000000000 [0+512] [8192+512]\n");
	expect_sparse("1024", "2", "0,512,256,512", 1024, invalid);
	expect_sparse("1024", "1", "-512,512", 512, invalid);
	expect_sparse("1024", "2", "0,512", 512, invalid);
	expect_sparse("1024", "1", "0,512,", 512, invalid);
	expect_sparse("100", "1", "0,512", 512, invalid);
	expect_sparse("4096", "1", "0,2048", 512,
	              "error archive/tar: sparse file references non-existent data\n");
	expect_sparse("512", "1", "0,512", 2048,
	              "error archive/tar: sparse file contains unreferenced data\n");
}

static void test_sparse_in_body(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0}, records = {0}, body = {0};

	pax_record(&records, "GNU.sparse.major", "1", 1);
	pax_record(&records, "GNU.sparse.minor", "0", 1);
	pax_record(&records, "GNU.sparse.name", "sp", 2);
	pax_record(&records, "GNU.sparse.realsize", "1000000", 7);
	strbuf_adds(&body, "200\n");
	for (int i = 0; i < 200; i++)
		strbuf_addf(&body, "%d\n1\n", i * 4096);
	tar_add_padding(&body);
	assert_true(body.len > 1024);
	for (int i = 0; i < 200; i++)
		strbuf_addc(&body, 'D');
	tar_add_pax(&tar, &records);
	TAR_ADD(&tar, .name = "x", .data = body.data, .len = body.len);
	tar_add_end(&tar);

	_cleanup_story_ struct story story = {0};
	tell(&story, tar.data, tar.len, 1000);
	assert_true(has_prefix(story.text.data,
	                       "0 sp 0644 0:0 1000000/200 @1600000000.000000000 [0+1] [4096+1] "));
	assert_int_equal(story.bytes.len, tar.len);
	assert_memory_equal(story.bytes.data, tar.data, tar.len);
}

/* Headers without end are refused before they cost much. */
static void test_bounded(void **state)
{
	_cleanup_(tar_reader_freep) struct tar_reader *r = NULL;
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_free_ char *long_text = calloc(1, 1 << 20);
	_cleanup_story_ struct story story = {0};

	memset(long_text, 'c', (1 << 20) - 100);
	tar_add_pax_one(&tar, "comment", long_text);
	assert_int_equal(tar_reader_new(&r, NULL), 0);
	for (int i = 0; i < 100; i++) {
		tar_reader_feed(r, tar.data, tar.len);
		if (!tell_events(&story, r)) {
			assert_string_equal(story.text.data,
			                    "error archive/tar: header field too long\n");
			assert_true(i < 10);
			return;
		}
	}
	fail_msg("headers of 100 MiB were accepted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_ends),
	        cmocka_unit_test(test_pax),     cmocka_unit_test(test_gnu_long),
	        cmocka_unit_test(test_bad_pax), cmocka_unit_test(test_bad_headers),
	        cmocka_unit_test(test_sparse),  cmocka_unit_test(test_sparse_in_body),
	        cmocka_unit_test(test_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
