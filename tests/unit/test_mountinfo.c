/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/mountinfo.h"
#include "unit/test.h"
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

static void test_line(void **state)
{
	char line[] = "36 35 98:0 /mnt\\040a /x/b\\011\\012\\134\\043c rw,noatime shared:1 "
	              "master:2 - ext3 "
	              "/dev/ro\\040ot rw,errors=continue\n";
	struct mountinfo_entry e;

	assert_true(mountinfo_parse_line(line, &e));
	assert_int_equal(e.id, 36);
	assert_int_equal(e.parent_id, 35);
	assert_string_equal(e.root, "/mnt a");
	assert_string_equal(e.mount_point, "/x/b\t\n\\#c");
	assert_string_equal(e.options, "rw,noatime");
	assert_string_equal(e.type, "ext3");
	assert_string_equal(e.source, "/dev/ro ot");
	assert_string_equal(e.super_options, "rw,errors=continue");
	assert_false(e.is_private);
}

static void test_line_private(void **state)
{
	char line[] = "1 2 0:5 / /a rw - overlay overlay rw,lowerdir=a\\054b";
	char no_end[] = "1 2 0:5 / /a rw shared:1";
	char no_number[] = "x 2 0:5 / /a rw - t s o";
	char empty[] = "";
	struct mountinfo_entry e;

	assert_true(mountinfo_parse_line(line, &e));
	assert_true(e.is_private);
	assert_string_equal(e.super_options, "rw,lowerdir=a,b");
	assert_false(mountinfo_parse_line(no_end, &e));
	assert_false(mountinfo_parse_line(no_number, &e));
	assert_false(mountinfo_parse_line(empty, &e));
}

static bool count(const struct mountinfo_entry *entry, void *userdata)
{
	++*(int *)userdata;
	return true;
}

static void test_scan(void **state)
{
	int n = 0;

	assert_int_equal(mountinfo_scan(count, &n, NULL), 0);
	assert_true(n > 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, "/proc"), 1);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, "/proc/self"), 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, "/does/not/exist"), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_own_mount(void **state)
{
	if (geteuid() != 0) /* before there is anything to take away */
		skip_because("mounting needs root");
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_free_ char *dir = path_join(t.path, "a b\tc"), *inner = path_join(dir, "inner");
	bool below = true;

	assert_int_equal(sys_mkdirat(AT_FDCWD, dir, 0755), 0);
	assert_int_equal(sys_mkdirat(AT_FDCWD, inner, 0755), 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, dir), 0);
	assert_int_equal(mount(dir, dir, "none", MS_BIND, NULL), 0);
	assert_int_equal(mount("", dir, NULL, MS_PRIVATE, NULL), 0);
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mountinfo_is_mount_point(fd, ""), 1);
	assert_int_equal(mountinfo_is_private(fd), 1);
	assert_int_equal(mountinfo_any_below(dir, NULL, &below, NULL), 0);
	assert_false(below); /* not itself */
	assert_int_equal(mountinfo_any_below(t.path, NULL, &below, NULL), 0);
	assert_true(below);
	assert_int_equal(mountinfo_any_below(t.path, (const char *const[]){"x", "a b\tc", NULL},
	                                     &below, NULL),
	                 0);
	assert_false(below);
	assert_int_equal(
	        mountinfo_any_below(t.path, (const char *const[]){"a", "a b", NULL}, &below, NULL),
	        0);
	assert_true(below);
	assert_int_equal(mount("", dir, NULL, MS_SHARED, NULL), 0);
	assert_int_equal(mountinfo_is_private(fd), 0);
	closep(&fd);
	fd = -1;
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_line),
	        cmocka_unit_test(test_line_private),
	        cmocka_unit_test(test_scan),
	        cmocka_unit_test(test_own_mount),
	};

	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)) {
		perror("unshare");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
