/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "test.h"
#include <math.h>
#include <stdio.h>

static bool read_double(struct json_reader *r, double *ret)
{
	const char *text;
	size_t len;
	return json_peek(r) == JSON_NUMBER && json_raw(r, &text, &len) &&
	       json_parse_double(text, len, ret);
}

/* ---- the public corpus ---- */

/* Copies hostile input to memory of exactly its size, so that a sanitizer sees a read behind it. */
static bool accepts(const char *data, size_t n)
{
	struct json_reader r;
	_cleanup_free_ char *exact = malloc(n ? n : 1);
	assert_non_null(exact);
	memcpy(exact, data, n);
	json_reader_init(&r, exact, n, NULL);
	return json_skip(&r) && json_finish(&r);
}

static bool walk(struct json_reader *r, unsigned depth);

static bool walk_object(struct json_reader *r, unsigned depth)
{
	const char *key;
	if (json_object_begin(r)) {
		while (json_object_next(r, &key)) {
			assert_non_null(key);
			if (!walk(r, depth + 1))
				return false;
		}
	}
	return json_ok(r);
}

/* The typed calls, on a value of any type. */
static bool walk(struct json_reader *r, unsigned depth)
{
	const char *s;
	size_t n;
	bool flag;
	double number;
	if (depth > 200)
		return json_skip(r);
	switch (json_peek(r)) {
	case JSON_OBJECT: return walk_object(r, depth);
	case JSON_ARRAY:
		if (json_array_begin(r)) {
			while (json_array_next(r)) {
				if (!walk(r, depth + 1))
					return false;
			}
		}
		return json_ok(r);
	case JSON_STRING: return json_bytes(r, &s, &n);
	case JSON_NUMBER: return read_double(r, &number);
	case JSON_BOOL: return json_bool(r, &flag);
	default: return json_skip(r);
	}
}

static bool accepts_typed(const char *data, size_t n)
{
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_free_ char *exact = malloc(n ? n : 1);
	assert_non_null(exact);
	memcpy(exact, data, n);
	json_reader_init(&r, exact, n, &arena);
	return walk(&r, 0) && json_finish(&r);
}

static void normalize_any(const char *data, size_t n)
{
	struct json_reader r;
	struct json_writer w;
	bool fits;
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_strbuf_ struct strbuf out = {0};
	json_reader_init(&r, data, n, &arena);
	json_writer_init(&w, &out, JSON_STORE);
	if (json_copy_normal(&r, &w, &fits) && json_finish(&r))
		assert_true(accepts(out.data, out.len));
}

/* False: there is none. (A skip leaves without cleaning up, so it is not done here.) */
static bool corpus_is_read(void)
{
	_cleanup_free_ char *dir = corpus_path("json-test/test_parsing");
	assert_non_null(dir);
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_strv_ struct strv names = {0};
	if (fd < 0) {
		print_message("no JSON corpus in %s: set CST_DATA\n", dir);
		return false;
	}
	assert_int_equal(fs_list_dir(fd, ".", &names, dir, NULL), 0);
	assert_true(names.len > 300);
	strv_foreach (name, &names) {
		_cleanup_free_ char *data = NULL;
		size_t n;
		assert_int_equal(fs_read_file(fd, name, 1 << 24, &data, &n, NULL), 0);
		bool accepted = accepts(data, n), typed = accepts_typed(data, n);
		normalize_any(data, n);
		if (name[0] == 'y' && (!accepted || (!typed && !strstr(name, "null_in_key") &&
		                                     !strstr(name, "escaped_null"))))
			fail_msg("%s is refused", name);
		if (name[0] == 'n' && (accepted || typed))
			fail_msg("%s is accepted", name);
	}
	return true;
}

static void test_corpus(void **state)
{
	if (!corpus_is_read())
		skip();
}

/* Every beginning of a good text is a bad text, and is read without a step beyond its end. */
static void test_cuts(void **state)
{
	static const char text[] =
	        "[{\"id\":\"a\\u00e9\\ud83d\\ude00\\n\",\"b\":[1,-2.5e+3,true,false,"
	        "null,{}],\"c\":{\"d\":[]}},\"x\"]";
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		assert_false(accepts(text, n));
		assert_false(accepts_typed(text, n));
	}
	assert_true(accepts(text, sizeof(text) - 1));
	assert_true(accepts_typed(text, sizeof(text) - 1));
}

static char *repeat(const char *unit, size_t times, const char *middle, const char *close)
{
	struct strbuf text = {0};
	for (size_t i = 0; i < times; i++)
		strbuf_adds(&text, unit);
	strbuf_adds(&text, middle);
	for (size_t i = 0; i < times; i++)
		strbuf_adds(&text, close);
	return strbuf_steal(&text);
}

static void test_depth(void **state)
{
	_cleanup_free_ char *deep = repeat("[", JSON_MAX_DEPTH, "", "]");
	_cleanup_free_ char *deeper = repeat("[", JSON_MAX_DEPTH + 1, "", "]");
	_cleanup_free_ char *objects = repeat("{\"a\":", JSON_MAX_DEPTH, "1", "}");
	assert_true(accepts(deep, strlen(deep)));
	assert_false(accepts(deeper, strlen(deeper)));
	assert_true(accepts(objects, strlen(objects)));
	struct json_reader r;
	json_reader_init(&r, deeper, strlen(deeper), NULL);
	for (int i = 0; i < JSON_MAX_DEPTH; i++)
		assert_true(json_array_begin(&r) && json_array_next(&r));
	assert_false(json_array_begin(&r));
	assert_false(json_ok(&r));
	normalize_any(deep, strlen(deep));
	normalize_any(objects, strlen(objects));
}

/* ---- strings ---- */

static void assert_string(const char *json, const char *want, size_t want_len)
{
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	const char *s = NULL;
	size_t n = 0;
	json_reader_init(&r, json, strlen(json), &arena);
	assert_true(json_bytes(&r, &s, &n));
	assert_true(json_finish(&r));
	assert_int_equal(n, want_len);
	assert_memory_equal(s, want, n);
	assert_int_equal(s[n], 0);
}
#define assert_text(json, want) assert_string(json, want, sizeof(want) - 1)

static void test_string_reading(void **state)
{
	assert_text("\"\"", "");
	assert_text("  \"abc\" ", "abc");
	assert_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
	assert_text("\"\\u0041\\u00e9\\u20ac\"", "A\xc3\xa9\xe2\x82\xac");
	assert_text("\"\\ud83d\\ude00\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80");
	assert_text("\"\\ud800\"", "\xef\xbf\xbd");
	assert_text("\"\\udc00x\"", "\xef\xbf\xbdx");
	assert_text("\"\\ud800\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80");
	assert_text("\"\\ud800\\n\"", "\xef\xbf\xbd\n");
	assert_text("\"\\ud800\\u0041\"", "\xef\xbf\xbd"
	                                  "A");
	assert_text("\"\\ud800\\uffff\"", "\xef\xbf\xbd\xef\xbf\xbf");
	assert_text("\"x\xff\xfey\"", "x\xff\xfey");
	assert_text("\"a\\u0000b\"", "a\0b");
	assert_text("\"0123456789012345678901234567890123456789\\n\"",
	            "0123456789012345678901234567890123456789\n");
	assert_false(accepts("\"a\nb\"", 5));
	assert_false(accepts("\"\\x\"", 4));
	assert_false(accepts("\"\\u12g4\"", 8));
	assert_false(accepts("\"\\\0\"", 4));
}

static void test_string_without_nul(void **state)
{
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_error_ cst_error *error = NULL;
	const char *s = "before";
	json_reader_init(&r, "null \"a\\u0000\"", 14, &arena);
	assert_true(json_string(&r, &s)); /* null leaves it */
	assert_string_equal(s, "before");
	assert_false(json_string(&r, &s));
	assert_int_equal(json_error(&r, "file", &error), CST_ECORRUPT);
	assert_string_equal(cst_error_message(error), "file: NUL character in string at byte 14");
	json_reader_init(&r, "{\"a\\u0000\":1}", 13, &arena);
	assert_true(json_object_begin(&r));
	assert_false(json_object_next(&r, &s));
	assert_false(json_ok(&r));
}

static void assert_written(enum json_dialect dialect, const char *s, size_t n, const char *want)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	struct json_writer w;
	json_writer_init(&w, &out, dialect);
	json_put_bytes(&w, s, n);
	assert_string_equal(out.data, want);
}
#define assert_store(s, want)  assert_written(JSON_STORE, s, sizeof(s) - 1, want)
#define assert_output(s, want) assert_written(JSON_OUTPUT, s, sizeof(s) - 1, want)

/* docs/format/store.md, "Encoding rules". */
static void test_string_writing(void **state)
{
	assert_store("", "\"\"");
	assert_store("<&>", "\"\\u003c\\u0026\\u003e\"");
	assert_store("\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\"");
	assert_store("\x7f\b\f\t\x01", "\"\x7f\\u0008\\u000c\\t\\u0001\"");
	assert_output("\x7f\b\f\t\x01", "\"\x7f\\b\\f\\t\\u0001\"");
	assert_store("\"\\\n\r/", "\"\\\"\\\\\\n\\r/\"");
	assert_store("\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
	assert_store("x\xff\xfey", "\"x\\ufffd\\ufffdy\"");
	assert_store("\xe2\x82", "\"\\ufffd\\ufffd\"");                       /* cut short */
	assert_store("\xc0\xaf", "\"\\ufffd\\ufffd\"");                       /* overlong */
	assert_store("\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"");            /* overlong */
	assert_store("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");            /* a surrogate */
	assert_store("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""); /* above U+10FFFF */
	assert_store("\xef\xbf\xbd", "\"\xef\xbf\xbd\"");
	assert_store("\xe2\x80\xaa", "\"\xe2\x80\xaa\"");
	assert_store("a\0b", "\"a\\u0000b\"");
}

static void test_keys(void **state)
{
	assert_true(json_key_is("CREATED", "created"));
	assert_true(json_key_is("big-Data-Names", "big-data-names"));
	assert_false(json_key_is("id", "ids"));
	assert_false(json_key_is("ids", "id"));
	assert_false(json_key_is("i\x44", "iD["));
	assert_false(json_key_is("@", "`")); /* not letters */
	assert_false(json_key_is("", "id"));
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	const char *key;
	int64_t n = 0;
	/* the same key again and again, another of its length, an escaped one */
	static const char text[] = "{\"ab\":1,\"ab\":2,\"aab\":3,\"a\\u0062\":4,\"b\":5,\"\":6}";
	static const char *const want[] = {"ab", "ab", "aab", "ab", "b", ""};
	json_reader_init(&r, text, sizeof(text) - 1, &arena);
	assert_true(json_object_begin(&r));
	for (int64_t i = 0; i < 6; i++) {
		assert_true(json_object_next(&r, &key));
		assert_string_equal(key, want[i]);
		assert_true(json_int64(&r, &n));
		assert_int_equal(n, i + 1);
	}
	assert_false(json_object_next(&r, &key));
	assert_true(json_finish(&r));
}

/* ---- strings that are not kept, texts one after the other ---- */

/* A string ends where it ends, wherever that is in the words that are looked at together. */
static void test_ends(void **state)
{
	for (size_t n = 0; n < 50; n++) {
		for (size_t at = 0; at < n; at++) {
			static const char specials[] = {'"', '\\', '\n', 0x1f, 0};
			for (size_t s = 0; s < sizeof(specials); s++) {
				char text[64] = "\"";
				memset(text + 1, n % 2 ? '~' : 0xc3, n);
				text[1 + at] = specials[s];
				text[1 + n] = '"';
				assert_false(accepts(text, n + 2));
				text[1 + at] = ' ';
				assert_true(accepts(text, n + 2));
			}
		}
	}
}

/* What the quick step leaves is for json_object_next(). */
static void test_next_as_written(void **state)
{
	static const struct {
		const char *text, *name;
		bool is_next;
	} rows[] = {
	        {"{\"a\":1}", "a", true},
	        {"{\"a\":1}", "b", false},
	        {"{\"ab\":1}", "a", false},
	        {"{\"a\":1}", "ab", false},
	        {"{ \"a\":1}", "a", false},
	        {"{\"a\" :1}", "a", false},
	        {"{\"\\u0061\":1}", "a", false},
	        {"{}", "a", false},
	        {"{", "a", false},
	        {"{\"", "a", false},
	        {"{\"a", "a", false},
	        {"{\"a\"", "a", false},
	        {"{,\"a\":1}", "a", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_reader r;
		size_t n = strlen(rows[i].text);
		_cleanup_free_ char *exact = malloc(n);
		memcpy(exact, rows[i].text, n);
		json_reader_init(&r, exact, n, NULL);
		assert_true(json_object_begin(&r));
		const char *before = r.pos;
		assert_int_equal(json_object_next_is(&r, rows[i].name, strlen(rows[i].name)),
		                 rows[i].is_next);
		assert_true(rows[i].is_next || (r.pos == before && r.first));
	}
}

static void test_steps_as_written(void **state)
{
	_cleanup_arena_ struct arena arena = {0};
	struct json_reader r;
	const char *key, text[] = "{\"a\":1,\"b\":2 ,\"c\":3;\"d\":4}";
	int64_t number = 0;
	json_reader_init(&r, text, strlen(text), &arena);
	assert_true(json_object_begin(&r) && json_object_next_is(&r, "a", 1));
	assert_true(json_int64(&r, &number) && !json_object_next_is(&r, "a", 1));
	assert_true(json_object_next_is(&r, "b", 1) && json_int64(&r, &number));
	assert_int_equal(number, 2);
	assert_false(json_object_next_is(&r, "c", 1)); /* a blank comes before the comma */
	assert_true(json_object_next(&r, &key) && json_int64(&r, &number));
	assert_string_equal(key, "c");
	assert_false(json_object_next_is(&r, "d", 1));
	assert_false(json_object_next(&r, &key) || json_ok(&r));
	assert_false(json_object_next_is(&r, "d", 1));
}

static void test_passing(void **state)
{
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	static const char text[] = "[\"plain\",\"es\\u0063aped\",\"\",null,1]";
	static const char *const want[] = {"plain", "escaped", "", NULL};
	const char *got;
	size_t len;
	json_reader_init(&r, text, sizeof(text) - 1, &arena);
	assert_true(json_array_begin(&r));
	for (size_t i = 0; i < 4; i++) {
		got = NULL;
		assert_true(json_array_next(&r) && json_passing(&r, &got, &len));
		assert_int_equal(!want[i], !got);
		assert_true(!got || (len == strlen(want[i]) && memcmp(got, want[i], len) == 0));
	}
	assert_true(json_array_next(&r) && !json_passing(&r, &got, &len));
}

static void test_next_text(void **state)
{
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	const char *first, *second;
	json_reader_init(&r, "{\"key\":[x", 9, &arena);
	assert_true(json_object_begin(&r) && json_object_next(&r, &first));
	assert_false(json_skip(&r));
	json_reader_next(&r, "{\"key\":1}", 9);
	assert_true(json_object_begin(&r) && json_object_next(&r, &second));
	assert_ptr_equal(first, second);
	assert_true(json_skip(&r) && !json_object_next(&r, &second) && json_finish(&r));
}

/* ---- numbers ---- */

static bool read_listed_int(const char *text, int64_t *ret)
{
	struct json_reader r;
	char list[64];
	int n = snprintf(list, sizeof(list), "[ %s,1]", text);
	json_reader_init(&r, list, (size_t)n, NULL);
	bool ok = json_array_begin(&r) && json_array_next(&r) && json_int64(&r, ret);
	return ok && json_array_next(&r) && json_skip(&r) && !json_array_next(&r) &&
	       json_finish(&r);
}

/* By itself and with punctuation behind it, which are read in different ways. */
static bool read_int(const char *text, int64_t *ret)
{
	struct json_reader r;
	int64_t listed = *ret;
	json_reader_init(&r, text, strlen(text), NULL);
	bool ok = json_int64(&r, ret) && json_finish(&r);
	assert_int_equal(read_listed_int(text, &listed), ok);
	assert_true(!ok || listed == *ret);
	return ok;
}

static bool read_uint32(const char *text, uint32_t *ret)
{
	struct json_reader r;
	json_reader_init(&r, text, strlen(text), NULL);
	return json_uint32(&r, ret) && json_finish(&r);
}

static void test_integers(void **state)
{
	int64_t n = 7;
	uint32_t u = 7;
	assert_true(read_int("null", &n) && n == 7);
	assert_true(read_int("0", &n) && n == 0);
	assert_true(read_int("-0", &n) && n == 0);
	assert_true(read_int("999999999999999999", &n) && n == 999999999999999999);
	assert_true(read_int("1000000000000000000", &n) && n == 1000000000000000000);
	assert_true(read_int("9223372036854775807", &n) && n == INT64_MAX);
	assert_true(read_int("-9223372036854775808", &n) && n == INT64_MIN);
	static const char *const bad[] = {"9223372036854775808",
	                                  "-9223372036854775809",
	                                  "3.0",
	                                  "1e3",
	                                  "01",
	                                  "+1",
	                                  "-",
	                                  "",
	                                  "\"1\"",
	                                  "true",
	                                  "1x",
	                                  "nul",
	                                  ".5",
	                                  "1.",
	                                  "1e",
	                                  "1e+",
	                                  "99999999999999999999999999"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (read_int(bad[i], &n))
			fail_msg("%s is read as %lld", bad[i], (long long)n);
	}
	assert_true(read_uint32("4294967295", &u) && u == UINT32_MAX);
	assert_true(read_uint32("null", &u) && u == UINT32_MAX);
	assert_false(read_uint32("4294967296", &u));
	assert_false(read_uint32("-1", &u));
}

static void assert_double(const char *json, const char *want)
{
	struct json_reader r;
	double d;
	char text[JSON_DOUBLE_MAX];
	json_reader_init(&r, json, strlen(json), NULL);
	assert_true(read_double(&r, &d));
	assert_true(json_finish(&r));
	json_format_double(d, text);
	assert_string_equal(text, want);
}

static void test_doubles(void **state)
{
	assert_double("1.50", "1.5");
	assert_double("1e30", "1e+30");
	assert_double("12345678901234567890", "12345678901234567000");
	assert_double("1e-9", "1e-09");
	assert_double("1e-6", "0.000001");
	assert_double("9.9e-7", "9.9e-07");
	assert_double("100000000000000000000", "100000000000000000000");
	assert_double("1000000000000000000000", "1e+21");
	assert_double("-0.0", "-0");
	assert_double("0", "0");
	assert_double("5e-324", "5e-324");
	assert_double("4.9406564584124654e-324", "5e-324");
	assert_double("1e-400", "0");
	assert_double("1.7976931348623157e308", "1.7976931348623157e+308");
	assert_double("5.684341886080802e-14", "5.684341886080802e-14"); /* a power of two */
	assert_double("7.678447687145631e-239", "7.678447687145631e-239");
	assert_double("9007199254740993", "9007199254740992");
	assert_double("0.1", "0.1");
	assert_double("123456.789e-3", "123.456789");
	assert_double("0.000000000000000000000000000000000000001e39", "1");
	struct json_reader r;
	double d;
	json_reader_init(&r, "1e400", 5, NULL);
	assert_false(read_double(&r, &d));
}

static void test_double_dialects(void **state)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	struct json_writer w;
	json_writer_init(&w, &out, JSON_STORE);
	json_array_open(&w);
	json_put_double(&w, 1e-9);
	json_put_double(&w, 1e-10);
	json_put_double(&w, NAN);
	json_array_close(&w);
	assert_string_equal(out.data, "[1e-09,1e-10,null]");
	strbuf_reset(&out);
	json_writer_init(&w, &out, JSON_OUTPUT);
	json_array_open(&w);
	json_put_double(&w, 1e-9);
	json_put_double(&w, -1.5e-10);
	json_put_double(&w, 1e21);
	json_array_close(&w);
	assert_string_equal(out.data, "[1e-9,-1.5e-10,1e+21]");
}

/* Random bit patterns come back as they were. */
static void test_double_round_trip(void **state)
{
	uint64_t bits = 88172645463325252ULL;
	for (int i = 0; i < 20000; i++) {
		double d, back;
		char text[JSON_DOUBLE_MAX];
		bits ^= bits << 13;
		bits ^= bits >> 7;
		bits ^= bits << 17;
		memcpy(&d, &bits, sizeof(d));
		if (!isfinite(d))
			continue;
		size_t n = json_format_double(d, text);
		assert_true(n < sizeof(text));
		assert_true(json_parse_double(text, n, &back));
		assert_memory_equal(&back, &d, sizeof(d));
	}
}

/* ---- structure ---- */

static void test_values(void **state)
{
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	static const char text[] =
	        " [ true , false , null , [ ] , { } , null , {\"a\" : [1 ,{ \"b\":2}] } ] ";
	bool flag = true;
	const char *raw, *key;
	size_t n;
	json_reader_init(&r, text, sizeof(text) - 1, &arena);
	assert_true(json_array_begin(&r));
	assert_true(json_array_next(&r) && json_bool(&r, &flag) && flag);
	assert_true(json_array_next(&r) && json_bool(&r, &flag) && !flag);
	flag = true;
	assert_true(json_array_next(&r) && json_bool(&r, &flag) && flag); /* null */
	assert_true(json_array_next(&r));
	assert_true(json_array_begin(&r) && !json_array_next(&r) && json_ok(&r));
	assert_true(json_array_next(&r));
	assert_true(json_object_begin(&r) && !json_object_next(&r, &key) && json_ok(&r));
	assert_true(json_array_next(&r));
	assert_false(json_array_begin(&r)); /* null is an empty array */
	assert_true(json_array_next(&r) && json_raw(&r, &raw, &n));
	assert_int_equal(n, strlen("{\"a\" : [1 ,{ \"b\":2}] }"));
	assert_memory_equal(raw, "{\"a\" : [1 ,{ \"b\":2}] }", n);
	assert_false(json_array_next(&r));
	assert_true(json_finish(&r));
}

/* The first error stays and every later call fails. */
static void test_error_sticks(void **state)
{
	struct json_reader r;
	_cleanup_error_ cst_error *error = NULL;
	int64_t n = 5;
	const char *raw;
	size_t len;
	json_reader_init(&r, "[x, 1]", 6, NULL);
	assert_true(json_array_begin(&r));
	assert_true(json_array_next(&r));
	assert_false(json_int64(&r, &n));
	assert_false(json_array_next(&r));
	assert_false(json_raw(&r, &raw, &len));
	assert_false(json_finish(&r));
	assert_int_equal(json_peek(&r), JSON_BAD);
	assert_int_equal(n, 5);
	assert_int_equal(json_error(&r, "/x", &error), CST_ECORRUPT);
	assert_string_equal(cst_error_message(error), "/x: invalid number at byte 1");
}

static void test_writer(void **state)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	struct json_writer w;
	static const char *const items[] = {"a", "<b>"};
	json_writer_init(&w, &out, JSON_STORE);
	json_array_open(&w);
	json_object_open(&w);
	json_put_key(&w, "k<");
	json_put_strings(&w, items, 2);
	json_put_key(&w, "n");
	json_put_int64(&w, INT64_MIN);
	json_put_key(&w, "e");
	json_put_strings(&w, NULL, 0);
	json_object_close(&w);
	json_put_bool(&w, true);
	json_put_bool(&w, false);
	json_put_null(&w);
	json_put_raw(&w, "{}", 2);
	json_object_open(&w);
	json_object_close(&w);
	json_put_int64(&w, 0);
	json_array_close(&w);
	assert_string_equal(out.data, "[{\"k\\u003c\":[\"a\",\"\\u003cb\\u003e\"],\"n\":-"
	                              "9223372036854775808,\"e\":[]},true,false,null,{},{},0]");
}

static void assert_normal(const char *json, const char *want, bool want_fits)
{
	struct json_reader r;
	struct json_writer w;
	bool fits;
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_strbuf_ struct strbuf out = {0};
	json_reader_init(&r, json, strlen(json), &arena);
	json_writer_init(&w, &out, JSON_STORE);
	assert_true(json_copy_normal(&r, &w, &fits));
	assert_true(json_finish(&r));
	assert_string_equal(out.data, want);
	assert_int_equal(fits, want_fits);
}

static void test_normal_form(void **state)
{
	assert_normal(" { \"z\" : 1.0 , \"a\" : [ 1e2 , \"<\" , null , true ] , \"a\" : { \"y\":2, "
	              "\"x\": 1} } ",
	              "{\"a\":{\"x\":1,\"y\":2},\"z\":1}", true);
	assert_normal("[1e999]", "[1e999]", false);
	assert_normal("{}", "{}", true);
	assert_normal("\"\\/\"", "\"/\"", true);
	_cleanup_free_ char *deep = repeat("[", JSON_NORMAL_DEPTH, "[ 1.0 ]", "]");
	assert_normal(deep, deep, true); /* too deep to be re-formed */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_corpus),
	        cmocka_unit_test(test_cuts),
	        cmocka_unit_test(test_depth),
	        cmocka_unit_test(test_string_reading),
	        cmocka_unit_test(test_string_without_nul),
	        cmocka_unit_test(test_string_writing),
	        cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_integers),
	        cmocka_unit_test(test_doubles),
	        cmocka_unit_test(test_double_dialects),
	        cmocka_unit_test(test_double_round_trip),
	        cmocka_unit_test(test_ends),
	        cmocka_unit_test(test_next_as_written),
	        cmocka_unit_test(test_steps_as_written),
	        cmocka_unit_test(test_passing),
	        cmocka_unit_test(test_next_text),
	        cmocka_unit_test(test_values),
	        cmocka_unit_test(test_error_sticks),
	        cmocka_unit_test(test_writer),
	        cmocka_unit_test(test_normal_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
