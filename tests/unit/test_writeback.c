/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/unpack/writeback.h"
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* However many are added, no more than `max` are kept, besides the one that is with the kernel; the caller's stay open. */
static void add_many(unsigned max)
{
	struct writeback writeback;
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	int fd = openat(dir.fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	writeback_init(&writeback, max);
	unsigned before = open_descriptors();
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(pwrite(fd, "content", 7, (off_t)i * 4096), 7);
		writeback_add(&writeback, fd);
		assert_in_range(open_descriptors(), before, before + max + (max > 0));
	}
	assert_int_equal(writeback.started, max > 0);
	writeback_free(&writeback);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(pwrite(fd, "content", 7, 0), 7);
	close(fd);
}

static void test_add(void **state)
{
	add_many(0);
	add_many(1);
	add_many(7);
	add_many(1000);
}

/* None is ever added: no thread is there to be ended. */
static void test_unused(void **state)
{
	struct writeback writeback;

	writeback_init(&writeback, 10);
	writeback_free(&writeback);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_add),
	        cmocka_unit_test(test_unused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
