/* SPDX-License-Identifier: Apache-2.0 */
/* What unit tests share: cmocka with its headers in order, and a directory that goes with the test.
 */
#ifndef CST_TESTS_UNIT_TEST_H
#define CST_TESTS_UNIT_TEST_H

#include "base/fs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct test_dir {
	char path[64];
	int fd;
};

static inline struct test_dir test_dir_make(void)
{
	struct test_dir t = {.path = "/var/tmp/cstorage-test-XXXXXX"};
	assert_non_null(mkdtemp(t.path));
	assert_int_equal(fs_open_dir(t.path, &t.fd, NULL), 0);
	return t;
}

static inline void test_dir_remove(struct test_dir *t)
{
	(void)fs_remove_tree(AT_FDCWD, t->path, NULL, NULL);
	closep(&t->fd);
}
#define _cleanup_test_dir_ _cleanup_(test_dir_remove)

/* Other people's test data, which are not part of this tree: $CST_DATA, else a folder beside it. The
 * caller frees it. */
static inline char *corpus_path(const char *name)
{
	const char *given = getenv("CST_DATA"), *source = strstr(__FILE__, "tests/unit/");
	assert_non_null(source);
	return given ? str_printf("%s/%s", given, name)
	             : str_printf("%.*s../shared/data/%s", (int)(source - __FILE__), __FILE__, name);
}

/* Says what this machine lacks. */
#define skip_because(reason)                            \
	do {                                            \
		print_message("skipped: %s\n", reason); \
		skip();                                 \
	} while (0)

#endif
