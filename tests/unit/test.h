/* SPDX-License-Identifier: Apache-2.0 */
/* What unit tests share: cmocka with its headers in order, and a directory that goes with the test.
 */
#ifndef CST_TESTS_UNIT_TEST_H
#define CST_TESTS_UNIT_TEST_H

#include "base/fs.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Does the call fail an assertion of ours? Made in a child, which leaves no core file. */
static inline bool test_aborts(void (*call)(void *), void *arg)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		const struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		call(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Says what this machine lacks. */
#define skip_because(reason)                            \
	do {                                            \
		print_message("skipped: %s\n", reason); \
		skip();                                 \
	} while (0)

#endif
