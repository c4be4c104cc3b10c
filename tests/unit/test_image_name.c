/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images are completed as skopeo completes them. The wanted names are what skopeo 1.9 and 1.22 stored. */
#include "base/str.h"
#include "test.h"
#include <cstorage/import.h>

static void test_completed(void **state)
{
	static const char *const names[][2] = {
	        {"alpine", "docker.io/library/alpine:latest"},
	        {"alpine:3.20", "docker.io/library/alpine:3.20"},
	        {"demo/app", "docker.io/demo/app:latest"},
	        {"docker.io/alpine", "docker.io/library/alpine:latest"},
	        {"index.docker.io/alpine", "docker.io/library/alpine:latest"},
	        {"index.docker.io/demo/app:x", "docker.io/demo/app:x"},
	        {"localhost/app", "localhost/app:latest"},
	        {"localhost:5000/a/b/c:V_1.2-x", "localhost:5000/a/b/c:V_1.2-x"},
	        {"quay.io/a__b/c--d.e", "quay.io/a__b/c--d.e:latest"},
	        {"HOST/app", "HOST/app:latest"},
	        {"127.0.0.1/app:1", "127.0.0.1/app:1"},
	        {"a/b:5000", "docker.io/a/b:5000"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *full = NULL;
		assert_int_equal(cst_image_name_normalise(names[i][0], &full, NULL), 0);
		assert_string_equal(full, names[i][1]);
		cst_free(full);
	}
}

static void test_refused(void **state)
{
	static const char *const names[] = {
	        "",
	        "Alpine",
	        "a//b",
	        "/a",
	        "a/",
	        "a:",
	        "a:-x",
	        "a b",
	        "a___b",
	        "a..b",
	        "-a/b",
	        ".x/y",
	        "a.b:/c",
	        "a.b:80x/c",
	        "x@sha256:0123",
	        "a\nb",
	        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	};
	char long_tag[140] = "a:";
	memset(long_tag + 2, 'x', 129);
	for (size_t i = 0; i <= ARRAY_SIZE(names); i++) {
		const char *name = i < ARRAY_SIZE(names) ? names[i] : long_tag;
		_cleanup_error_ cst_error *error = NULL;
		char *full = NULL;
		assert_int_equal(cst_image_name_normalise(name, &full, &error), CST_EINVAL);
		assert_null(full);
		assert_non_null(strstr(cst_error_message(error), "cannot be the name of an image"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_completed),
	        cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
