/* SPDX-License-Identifier: Apache-2.0 */
/* SELinux labels of containers, made of defaults and options as the Go tools make them. */
#include "base/str.h"
#include "config/selinux.h"
#include "unit/test.h"

#define PROCESS "system_u:system_r:container_t:s0"
#define FILES   "system_u:object_r:container_file_t:s0"

static bool none_taken(const char *level, void *userdata)
{
	return false;
}

static void test_options(void **state)
{
	static const struct {
		const char *process, *file, *options[3], *labels[2];
	} rows[] = {
	        {"", "", {"level:s0"}, {"", ""}},
	        {"", "", {"nonsense"}, {"", ""}},
	        {"", FILES, {"level:s0:c1"}, {"", FILES}},
	        {PROCESS, FILES, {"level:s0:c1,c2"}, {PROCESS ":c1,c2", FILES ":c1,c2"}},
	        {PROCESS,
	         FILES,
	         {"level:"},
	         {"system_u:system_r:container_t", "system_u:object_r:container_file_t"}},
	        {PROCESS,
	         FILES,
	         {"user:u", "level:s0", "role:r"},
	         {"u:r:container_t:s0", "u:object_r:container_file_t:s0"}},
	        {PROCESS,
	         FILES,
	         {"type:t", "filetype:f", "level:s1-s2:c3"},
	         {"system_u:system_r:t:s1-s2:c3", "system_u:object_r:f:s1-s2:c3"}},
	        {PROCESS, FILES, {"disable"}, {"", FILES ":c1022,c1023"}},
	        {PROCESS,
	         FILES,
	         {"filetype:f", "disable", "level:s7"},
	         {"", "system_u:object_r:container_file_t:s0:c1022,c1023"}},
	        {"a:b:c", "d:e:f", {"type:x"}, {"a:b:x", "d:e:f"}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_labels_ struct selinux_labels labels = {0};
		size_t n = 0;
		while (n < ARRAY_SIZE(rows[i].options) && rows[i].options[n])
			n++;
		assert_int_equal(0,
		                 selinux_labels_from(rows[i].process, rows[i].file, rows[i].options,
		                                     n, none_taken, NULL, &labels, NULL));
		assert_string_equal(labels.process, rows[i].labels[0]);
		assert_string_equal(labels.mount, rows[i].labels[1]);
		assert_false(labels.level_is_chosen);
	}
}

static void test_wrong(void **state)
{
	static const char *const wrong[] = {"", "z", "disabled", "type", "Type:x", "levels:s0"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_labels_ struct selinux_labels labels = {0};
		_cleanup_error_ cst_error *error = NULL;
		assert_int_equal(selinux_labels_from(PROCESS, FILES, &wrong[i], 1, none_taken, NULL,
		                                     &labels, &error),
		                 CST_EINVAL);
		assert_non_null(
		        strstr(cst_error_message(error), "is no option for SELinux labels"));
	}
	_cleanup_labels_ struct selinux_labels labels = {0};
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(
	        selinux_labels_from("a:b", FILES, NULL, 0, none_taken, NULL, &labels, &error),
	        CST_EINVAL);
}

/* All are taken but those of category 7. */
static bool mostly_taken(const char *level, void *userdata)
{
	unsigned *asked = userdata;
	++*asked;
	return !has_prefix(level, "s0:c7,");
}

static void test_level(void **state)
{
	_cleanup_labels_ struct selinux_labels labels = {0};
	unsigned asked = 0, one, other;
	assert_int_equal(0, selinux_labels_from(PROCESS, FILES, NULL, 0, mostly_taken, &asked,
	                                        &labels, NULL));
	assert_true(labels.level_is_chosen);
	assert_true(asked > 1);
	const char *level = selinux_level(labels.mount);
	assert_int_equal(sscanf(level, "s0:c%u,c%u", &one, &other), 2);
	assert_int_equal(one, 7);
	assert_true(other > 7 && other < 1024);
	assert_string_equal(selinux_level(labels.process), level);
	assert_string_equal(selinux_level("a:b:c"), "");
	assert_string_equal(selinux_level(""), "");
}

static void test_files(void **state)
{
	static const char text[] = "# process = \"wrong\"\n"
	                           "; file = no\n"
	                           "\n"
	                           "nothing\n"
	                           " process = \"a:b:c:s0\" \n"
	                           "file=\"d:e:f:s0\"\n"
	                           "process = \"later\"";
	static const struct {
		const char *key, *value;
	} rows[] = {{"process", "a:b:c:s0"}, {"file", "d:e:f:s0"}, {"ro_file", ""}, {"", ""}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *value = selinux_value(text, rows[i].key);
		assert_string_equal(value, rows[i].value);
	}
	_cleanup_free_ char *nothing = selinux_value("", "SELINUXTYPE");
	assert_string_equal(nothing, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_options),
	        cmocka_unit_test(test_wrong),
	        cmocka_unit_test(test_level),
	        cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
