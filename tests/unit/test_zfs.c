/* SPDX-License-Identifier: Apache-2.0 */
/* What the zfs driver makes of the answers of `zfs`: a script says them here. What the real one does is tried in tests/vm. */
#include "driver/run.h"
#include "driver/zfs/zfs.h"
#include "unit/test.h"
#include <errno.h>

struct fixture {
	struct test_dir dir;
	char *path;
	struct zfs zfs;
};

static struct fixture fixture_make(const char *script)
{
	struct fixture f = {.dir = test_dir_make(), .path = strdup(getenv("PATH"))};
	_cleanup_free_ char *all = str_join("#!/bin/sh\n", script, "\n"),
	                    *path = str_join(f.dir.path, ":", f.path);
	assert_int_equal(fs_write_file(f.dir.fd, "zfs", all, strlen(all), 0755, NULL, NULL), 0);
	setenv("PATH", path, 1);
	f.zfs.fsname = strdup("tank/c");
	f.zfs.trees.base.home = strdup("/g/zfs");
	return f;
}

static void fixture_end(struct fixture *f)
{
	setenv("PATH", f->path, 1);
	free(f->path);
	free(f->zfs.fsname);
	free(f->zfs.trees.base.home);
	test_dir_remove(&f->dir);
}
#define _cleanup_fixture_ _cleanup_(fixture_end)

static void test_messages(void **state)
{
	static const struct {
		const char *said;
		int errnum;
	} rows[] = {
	        {"cannot open 'tank/c/a': dataset does not exist", ENOENT},
	        {"cannot create 'tank/c/a': dataset already exists", EEXIST},
	        {"cannot destroy 'tank/c/a': dataset is busy", EBUSY},
	        {"cannot destroy 'tank/c/a': filesystem has dependent clones", EBUSY},
	        {"cannot create 'tank/c/a': out of space", ENOSPC},
	        {"internal error: something new", 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_error_ cst_error *error = NULL;
		_cleanup_free_ char *script =
		        str_printf("[ \"$LC_ALL\" = C ] && echo \"%s\" >&2; exit 1", rows[i].said);
		_cleanup_fixture_ struct fixture f = fixture_make(script);
		assert_true(zfs_rename("tank/c/a", "tank/c/b", &error) < 0);
		assert_int_equal(cst_error_errno(error), rows[i].errnum);
		assert_non_null(strstr(cst_error_message(error), rows[i].said));
		assert_non_null(strstr(cst_error_message(error), "zfs rename tank/c/a tank/c/b"));
	}
}

static void test_gone_is_destroyed(void **state)
{
	_cleanup_fixture_ struct fixture f =
	        fixture_make("echo 'could not find any snapshots to destroy; check snapshot "
	                     "names.' >&2; exit 1");
	assert_int_equal(zfs_forget_snapshot("tank/c/a@b", NULL), 0);
}

static void test_list(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make(
	        "printf '%s\\t%s\\n' - tank/c /g/zfs tank/c/two /other/zfs tank/c/theirs - "
	        "tank/c/foreign /g/zfs tank/c/cstorage-01-0-addition - "
	        "tank/c/cstorage-02-0-removed /g/zfs tank/c/one "
	        "/g/zfs tank/cx");
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(zfs_list_all(&f.zfs, &names, NULL), 0);
	assert_int_equal(names.len, 4);
	assert_string_equal(names.items[0], "two");
	assert_string_equal(names.items[1], "cstorage-01-0-addition");
	assert_string_equal(names.items[2], "cstorage-02-0-removed");
	assert_string_equal(names.items[3], "one");
}

static void test_answers(void **state)
{
	static const char *const wrong[] = {"true", "echo 1", "printf '1\\t2\\t3\\n'",
	                                    "printf '1\\t2\\n1\\t2\\n'"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_error_ cst_error *error = NULL;
		_cleanup_strv_ struct strv values = {0};
		_cleanup_fixture_ struct fixture f = fixture_make(wrong[i]);
		assert_int_equal(zfs_read("tank/c", "guid,quota", &values, &error), CST_ECORRUPT);
		assert_int_equal(values.len, 0);
	}
	_cleanup_strv_ struct strv values = {0};
	_cleanup_fixture_ struct fixture f = fixture_make("printf '17\\t0\\n'");
	assert_int_equal(zfs_read("tank/c", "guid,quota", &values, NULL), 0);
	assert_string_equal(values.items[0], "17");
	assert_string_equal(values.items[1], "0");
}

static void test_names(void **state)
{
	static const char *const wrong[] = {"", "a@b", "a/b", "a#b", "a b", "\xc3\xa4"};
	_cleanup_fixture_ struct fixture f = fixture_make("exit 1");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_error_ cst_error *error = NULL;
		char *dataset = NULL;
		assert_int_equal(zfs_dataset(&f.zfs, wrong[i], &dataset, &error), CST_EINVAL);
		assert_null(dataset);
	}
	_cleanup_free_ char *dataset = NULL;
	assert_int_equal(zfs_dataset(&f.zfs, "a-b_c.d:1", &dataset, NULL), 0);
	assert_string_equal(dataset, "tank/c/a-b_c.d:1");
}

/* A pool that is suspended lets no program go on. What `zfs` started is killed with it, and nothing is waited for. */
static void test_hangs(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_fixture_ struct fixture f =
	        fixture_make("sleep 1000 & echo $! >\"${0%/*}/pid\"; wait");
	_cleanup_free_ char *pid = NULL;
	size_t n = 0;
	zfs_program_limit_ms = 300;
	while (n == 0) { /* a busy machine: the script had no time to begin */
		cst_error_free(steal_ptr(&error));
		assert_int_equal(zfs_rename("tank/c/a", "tank/c/b", &error), CST_ETIMEOUT);
		zfs_program_limit_ms *= 2;
		free(steal_ptr(&pid));
		(void)fs_read_file(f.dir.fd, "pid", 100, &pid, &n, NULL);
	}
	zfs_program_limit_ms = 120000;
	assert_non_null(strstr(cst_error_message(error), "zfs rename has not ended after"));
	while (kill(atoi(pid), 0) == 0) { /* a zombie of the first process */
		_cleanup_free_ char *path = str_printf("/proc/%d/cmdline", atoi(pid)), *line = NULL;
		if (fs_read_file(AT_FDCWD, path, 1000, &line, &n, NULL) < 0 || n == 0)
			break;
		usleep(1000);
	}
}

static void test_program(void **state)
{
	_cleanup_fixture_ struct fixture f =
	        fixture_make("cat; head -c 200000 /dev/zero | tr '\\0' x; echo end >&2; exit 3");
	_cleanup_run_ struct run out = {0};
	char *const args[] = {(char *)"zfs", NULL};
	assert_true(run_finds("zfs"));
	assert_false(run_finds("no-such-program-anywhere"));
	const struct run_options options = {.limit_ms = 30000, .said_max = 4096};
	assert_int_equal(run(args, &options, &out, NULL), 0);
	run_trim(&out);
	assert_int_equal(out.status, 3);
	assert_int_equal(out.out.len, 200000);
	assert_string_equal(out.said.data, "end");
}

/* A program whose caller has some of the first three descriptors closed. Returns what is wrong; 0: nothing. */
static int run_without(unsigned closed, bool silent)
{
	char *args[] = {(char *)"sh", (char *)"-c", (char *)"cat; echo out; echo said >&2", NULL};
	const struct run_options options = {.limit_ms = 30000, .said_max = 4096, .silent = silent};
	struct run out = {0};
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (closed >> fd & 1)
			close(fd);
	if (run(args, &options, &out, NULL) != 0 || out.status != 0)
		return 1;
	run_trim(&out);
	if (!streq(strbuf_str(&out.said), "said"))
		return 2;
	return streq(strbuf_str(&out.out), silent ? "" : "out\n") ? 0 : 3;
}

static void test_closed_descriptors(void **state)
{
	for (unsigned n = 0; n < 16; n++) {
		int status;
		pid_t pid = fork();
		if (pid == 0)
			_exit(run_without(n & 7, (n & 8) != 0));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_messages), cmocka_unit_test(test_gone_is_destroyed),
	        cmocka_unit_test(test_list),     cmocka_unit_test(test_answers),
	        cmocka_unit_test(test_names),    cmocka_unit_test(test_hangs),
	        cmocka_unit_test(test_program),  cmocka_unit_test(test_closed_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
