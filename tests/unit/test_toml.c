/* SPDX-License-Identifier: Apache-2.0 */
/* The TOML reader against the language's public corpus (CST_DATA/toml-test), its errors and its
 * bounds. */
#include "base/json.h"
#include "config/toml.h"
#include "test.h"
#include <math.h>

/* ---- the corpus: what a document means is JSON with every value as {"type", "value"} ---- */

static const char *json_type(enum toml_type type)
{
	switch (type) {
	case TOML_STRING: return "string";
	case TOML_INTEGER: return "integer";
	case TOML_FLOAT: return "float";
	case TOML_BOOL: return "bool";
	case TOML_DATETIME: return "datetime";
	case TOML_LOCAL_DATETIME: return "datetime-local";
	case TOML_LOCAL_DATE: return "date-local";
	case TOML_LOCAL_TIME: return "time-local";
	default: return "";
	}
}

/* Upper case, "T" for a blank, no zeros at the end of a fraction, "Z" for +00:00, seconds always.
 */
static void normal_time(const char *s, size_t len, enum toml_type type, struct strbuf *out)
{
	size_t i = 0;
	for (; i < len && strchr("0123456789-:tT .", s[i]) && !(i > 11 && s[i] == '-'); i++)
		strbuf_addc(out, s[i] == ' ' || s[i] == 't' ? 'T' : s[i]);
	if (type != TOML_LOCAL_DATE) {
		const char *time = strchr(strbuf_str(out), 'T');
		if (strlen(time ? time + 1 : strbuf_str(out)) == 5)
			strbuf_adds(out, ":00");
		if (strchr(out->data, '.')) {
			while (out->data[out->len - 1] == '0')
				out->data[--out->len] = '\0';
			if (out->data[out->len - 1] == '.')
				out->data[--out->len] = '\0';
		}
	}
	if (i < len && (s[i] == 'z' || s[i] == 'Z' || memcmp(s + i + 1, "00:00", 5) == 0))
		strbuf_addc(out, 'Z');
	else
		strbuf_add(out, s + i, len - i);
}

static bool same_scalar(const struct toml_node *node, const char *type, const char *value,
                        size_t len)
{
	if (!streq(type, json_type(node->type)))
		return false;
	switch (node->type) {
	case TOML_INTEGER: return node->integer == strtoll(value, NULL, 10);
	case TOML_BOOL: return node->boolean == streq(value, "true");
	case TOML_FLOAT: {
		double wanted = strtod(value, NULL);
		if (isnan(wanted) || isinf(wanted) || wanted == 0)
			return isnan(wanted) ? isnan(node->real) : node->real == wanted;
		return fabs(node->real / wanted - 1) < 1e-14;
	}
	case TOML_STRING: return node->len == len && memcmp(node->text, value, len) == 0;
	default: break;
	}
	_cleanup_strbuf_ struct strbuf got = {0}, wanted = {0};
	normal_time(node->text, node->len, node->type, &got);
	normal_time(value, len, node->type, &wanted);
	return streq(got.data, wanted.data);
}

static bool same_scalar_json(struct json_reader *r, const struct toml_node *node)
{
	const char *key, *type = "", *value = "";
	size_t len = 0;
	if (json_object_begin(r)) {
		while (json_object_next(r, &key)) {
			if (streq(key, "type"))
				json_string(r, &type);
			else
				json_bytes(r, &value, &len);
		}
	}
	return json_ok(r) && same_scalar(node, type, value, len);
}

static bool same_json(struct json_reader *r, const struct toml_node *node)
{
	if (node->type == TOML_ARRAY) {
		const struct toml_node *item = node->first;
		if (json_peek(r) != JSON_ARRAY)
			return false;
		if (json_array_begin(r)) {
			while (json_array_next(r)) {
				if (!item || !same_json(r, item))
					return false;
				item = item->next;
			}
		}
		return json_ok(r) && !item;
	}
	if (json_peek(r) != JSON_OBJECT)
		return false;
	if (node->type != TOML_TABLE)
		return same_scalar_json(r, node);
	unsigned count = 0;
	const char *key;
	if (json_object_begin(r)) {
		while (json_object_next(r, &key)) {
			const struct toml_node *child = toml_get(node, key);
			if (!child || !same_json(r, child))
				return false;
			count++;
		}
	}
	return json_ok(r) && count == node->count;
}

struct corpus {
	char *directory;
	unsigned valid, invalid, wrong;
};

static bool valid_is_read(const struct corpus *corpus, const char *name)
{
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_free_ char *path = path_join(corpus->directory, name), *json_path = NULL;
	_cleanup_free_ char *data = NULL, *json = NULL;
	struct toml_node *root = NULL;
	struct json_reader r;
	size_t len, json_len;
	json_path = strdup(path);
	memcpy(json_path + strlen(json_path) - 4, "json", 4);
	assert_int_equal(0, fs_read_file(AT_FDCWD, path, 1 << 20, &data, &len, NULL));
	assert_int_equal(0, fs_read_file(AT_FDCWD, json_path, 1 << 20, &json, &json_len, NULL));
	if (toml_parse(data, len, TOML_1_0, &arena, &root, &error) < 0) {
		print_error("%s: %s\n", name, cst_error_message(error));
		return false;
	}
	/* one document has a key with a NUL character, which our JSON reader keeps out */
	if (has_suffix(name, "key/quoted-unicode.toml"))
		return root->count == 5;
	json_reader_init(&r, json, json_len, &arena);
	if (!same_json(&r, root)) {
		print_error("%s: differs from its JSON\n", name);
		return false;
	}
	return true;
}

static bool invalid_is_refused(const struct corpus *corpus, const char *name)
{
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_free_ char *path = path_join(corpus->directory, name), *data = NULL;
	struct toml_node *root = NULL;
	size_t len;
	assert_int_equal(0, fs_read_file(AT_FDCWD, path, 1 << 20, &data, &len, NULL));
	int code = toml_parse(data, len, TOML_1_0, &arena, &root, &error);
	if (code == 0) {
		print_error("%s: accepted\n", name);
		return false;
	}
	if (code == CST_EINVAL && has_prefix(cst_error_message(error), "toml: line ") && !root)
		return true;
	print_error("%s: %s\n", name, cst_error_message(error));
	return false;
}

/* False: there is none. (A skip leaves without cleaning up, so it is not done here.) */
static bool corpus_is_read(void)
{
	struct corpus corpus = {0};
	_cleanup_free_ char *root = corpus_path("toml-test");
	_cleanup_free_ char *list = path_join(root, "files-toml-1.0.0"), *text = NULL;
	size_t len;
	if (fs_read_file(AT_FDCWD, list, 1 << 20, &text, &len, NULL) < 0) {
		print_message("skipped: %s is not there (CST_DATA)\n", list);
		return false;
	}
	corpus.directory = root;
	_cleanup_strv_ struct strv names = {0};
	assert_true(strv_split(&names, text, '\n'));
	strv_foreach (name, &names) {
		if (!has_suffix(name, ".toml"))
			continue;
		if (has_prefix(name, "valid/")) {
			corpus.valid++;
			corpus.wrong += !valid_is_read(&corpus, name);
		} else {
			corpus.invalid++;
			corpus.wrong += !invalid_is_refused(&corpus, name);
		}
	}
	print_message("%u valid, %u invalid documents\n", corpus.valid, corpus.invalid);
	assert_int_equal(0, corpus.wrong);
	assert_true(corpus.valid > 100 && corpus.invalid > 300);
	return true;
}

static void test_corpus(void **state)
{
	if (!corpus_is_read())
		skip();
}

/* ---- errors ---- */

static void check_error(const char *document, enum toml_version version, const char *message)
{
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_error_ cst_error *error = NULL;
	struct toml_node *root = NULL;
	assert_int_equal(CST_EINVAL,
	                 toml_parse(document, strlen(document), version, &arena, &root, &error));
	assert_string_equal(message, cst_error_message(error));
}

/* Texts of the Go tools. */
static void test_errors(void **state)
{
	static const char *const cases[][2] = {
	        {"[s]\nd = \"a\" x\n",
	         "toml: line 2 (last key \"s\"): expected a top-level item to end "
	         "with a newline, comment, or EOF, but got 'x' instead"},
	        {"[s]\nd \"a\"\n",
	         "toml: line 2 (last key \"s\"): expected '.' or '=', but got '\"' instead"},
	        {"[s]\n= 1\n",
	         "toml: line 2 (last key \"s\"): unexpected '=': key name appears blank"},
	        {"[s]\nd = tru\n",
	         "toml: line 2 (last key \"s.d\"): expected value but found \"tru\" instead"},
	        {"[s]\nd = \n",
	         "toml: line 2 (last key \"s.d\"): expected value but found '\\n' instead"},
	        {"[s]\nd = 1__0\n", "toml: line 2 (last key \"s.d\"): Invalid integer \"1__0\": "
	                            "underscores must be surrounded by digits"},
	        {"[s]\nd = 01\n", "toml: line 2 (last key \"s.d\"): Invalid integer \"01\": cannot "
	                          "have leading zeroes"},
	        {"[s]\nd = 0xZ\n",
	         "toml: line 2 (last key \"s.d\"): not a hexadecimal number: '0xZ'"},
	        {"[s]\nd = \"abc",
	         "toml: line 2 (last key \"s.d\"): unexpected EOF; expected '\"'"},
	        {"[s]\nd = \"\"\"abc\n\n",
	         "toml: line 3 (last key \"s.d\"): unexpected EOF; expected '\"\"\"'"},
	        {"[s]\nd = 'abc\n",
	         "toml: line 2 (last key \"s.d\"): strings cannot contain newlines"},
	        {"[s]\nd = [\"a\" \"b\"]\n",
	         "toml: line 2 (last key \"s.d\"): expected a comma (',') or "
	         "array terminator (']'), but got '\"'"},
	        {"[s]\nd = [\"a\", \"b\"\n\n",
	         "toml: line 3 (last key \"s.d\"): expected a comma (',') "
	         "or array terminator (']'), but got end of file"},
	        {"[s]\nd = [1,,2]\n", "toml: line 2 (last key \"s.d\"): unexpected comma"},
	        {"[s]\no = {a=1 b=2}\n", "toml: line 2 (last key \"s.o.a\"): expected a comma or "
	                                 "an inline table terminator "
	                                 "'}', but got 'b' instead"},
	        {"[]\n",
	         "toml: line 1: unexpected end of table name (table names cannot be empty)"},
	        {"[s\n",
	         "toml: line 2: expected '.' or ']' to end table name, but got '\\n' instead"},
	        {"[s]\n[s]\n", "toml: line 2: Key 's' has already been defined."},
	        {"[s]\n[s.o]\na=1\n[s.o]\n",
	         "toml: line 4 (last key \"s\"): Key 's.o' has already been defined."},
	        {"[s]\n[[s]]\n",
	         "toml: line 2: Key 's' was already created and cannot be used as an array."},
	        {"[s]\nd=1\n[s.d.x]\n",
	         "toml: line 3 (last key \"s\"): Key 's.d' was already created as a hash."},
	        {"[s]\nd=1\nd.y=1", "toml: line 3 (last key \"s.d.y\"): Key 's.d' has already been "
	                            "defined."},
	        {"[s]\n\"a b\".c = 5\n\"a b\".c = 6",
	         "toml: line 3 (last key \"s.\\\"a b\\\".c\"): Key 's.\"a b\".c' has already been "
	         "defined."},
	        {"[s]\nd=\"\\ud800\"", "toml: line 2 (last key \"s.d\"): Escaped character "
	                               "'\\ud800' is not valid UTF-8."},
	        {"[s]\nd=\"a\\q\"",
	         "toml: line 2 (last key \"s.d\"): invalid escape in string '\\q'"},
	        {"a = 99999999999999999999",
	         "toml: line 1 (last key \"a\"): 99999999999999999999 is out of range for int64"},
	        {"a\rb=1\n", "toml: line 1: TOML files cannot contain control characters: '0x0d'"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_error(cases[i][0], TOML_1_1, cases[i][1]);
	check_error("a = {b = 1,}", TOML_1_0,
	            "toml: line 1 (last key \"a.b\"): trailing comma not allowed in inline tables");
}

static void test_version_1_1(void **state)
{
	_cleanup_arena_ struct arena arena = {0};
	struct toml_node *root;
	const char *document = "a = { b = 1, # one\n c = \"\\x41\\e\",\n}\nt = 07:32\n";
	assert_int_equal(0, toml_parse(document, strlen(document), TOML_1_1, &arena, &root, NULL));
	assert_int_equal(1, toml_get(toml_get(root, "a"), "b")->integer);
	assert_string_equal("A\033", toml_get(toml_get(root, "a"), "c")->text);
	assert_int_equal(3, toml_get(toml_get(root, "a"), "c")->line + 1);
	assert_int_equal(CST_EINVAL,
	                 toml_parse(document, strlen(document), TOML_1_0, &arena, &root, NULL));
}

/* ---- bounds ---- */

static void check_refused(const struct strbuf *document, const char *part)
{
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_error_ cst_error *error = NULL;
	struct toml_node *root;
	assert_int_equal(CST_EINVAL, toml_parse(document->data, document->len, TOML_1_0, &arena,
	                                        &root, &error));
	assert_non_null(strstr(cst_error_message(error), part));
}

static void test_bounds(void **state)
{
	_cleanup_strbuf_ struct strbuf deep = {0}, keys = {0}, dotted = {0}, large = {0};
	strbuf_adds(&deep, "a = ");
	for (int i = 0; i < 100000; i++)
		strbuf_addc(&deep, '[');
	check_refused(&deep, "nested too deeply");
	strbuf_reset(&deep);
	strbuf_adds(&deep, "a = ");
	for (int i = 0; i < 10000; i++)
		strbuf_adds(&deep, "{a.a=");
	check_refused(&deep, "nested too deeply");
	for (int i = 0; i <= TOML_MAX_KEYS; i++)
		strbuf_addf(&keys, "k%d = 1\n", i);
	check_refused(&keys, "keys in one table");
	strbuf_adds(&dotted, "a");
	for (int i = 0; i < 1000; i++)
		strbuf_adds(&dotted, ".a");
	check_refused(&dotted, "a key of more than");
	for (int i = 0; i <= TOML_MAX_SIZE / 8; i++)
		strbuf_adds(&large, "# 45678\n");
	check_refused(&large, "larger than");
}

static void test_print(void **state)
{
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_strbuf_ struct strbuf out = {0}, path = {0};
	struct toml_node *root;
	const char *document = "a.\"b c\" = [1, 'x', {z=true, y=[]}, 2.5]";
	assert_int_equal(0, toml_parse(document, strlen(document), TOML_1_0, &arena, &root, NULL));
	toml_print(root, &out);
	assert_string_equal("map[a:map[b c:[1 x map[y:[] z:true] 2.5]]]", out.data);
	toml_path(toml_get(root, "a")->first->first, &path);
	assert_string_equal("a.\"b c\"", path.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_corpus),      cmocka_unit_test(test_errors),
	        cmocka_unit_test(test_version_1_1), cmocka_unit_test(test_bounds),
	        cmocka_unit_test(test_print),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
