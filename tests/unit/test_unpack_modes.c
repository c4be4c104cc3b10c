/* SPDX-License-Identifier: Apache-2.0 */
/* Modes and owners that unpacking sets only where they are not right already. */
#include "archive/unpack/unpack.h"
#include "tar_build.h"
#include "test.h"
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static _Atomic unsigned n_chmods;

/* In the place of libc's. */
int fchmod(int fd, mode_t mode)
{
	n_chmods++;
	return (int)syscall(SYS_fchmod, fd, mode);
}

static void unpack(const struct test_dir *dir, const struct strbuf *tar, mode_t mask)
{
	cst_memory memory = {.data = tar->data, .size = tar->len};
	cst_source source = cst_source_memory(&memory);
	struct unpack_options options = {
	        .whiteouts = UNPACK_WHITEOUT_OVERLAY, .force_mask = -1, .tarsplit_fd = -1};
	struct unpack_result result = {0};
	_cleanup_error_ cst_error *error = NULL;
	mode_t old = umask(mask);

	n_chmods = 0;
	int r = unpack_layer(dir->fd, &source, &options, &result, &error);
	umask(old);
	unpack_result_free(&result);
	if (r < 0)
		fail_msg("%s", cst_error_message(error));
}

static void expect(const struct test_dir *dir, const char *name, mode_t mode, unsigned gid)
{
	struct stat st;

	assert_int_equal(fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, mode);
	assert_int_equal(st.st_gid, gid);
}

/* Whatever the umask is, and what a directory with the set-gid bit gives to its children. */
static void test_modes(void **state)
{
	static const mode_t masks[] = {0, 022, 077, 0777};

	if (geteuid() != 0)
		skip_because("needs root");
	for (size_t i = 0; i < 4; i++) {
		_cleanup_strbuf_ struct strbuf tar = {0};
		_cleanup_test_dir_ struct test_dir dir = test_dir_make();
		TAR_ADD(&tar, .name = "d", .type = '5', .mode = 02775, .gid = 7);
		TAR_ADD(&tar, .name = "d/sub", .type = '5', .mode = 0555);
		TAR_ADD(&tar, .name = "d/sub/f", .mode = 0444, .data = "x", .len = 1);
		TAR_ADD(&tar, .name = "d/set", .mode = 06755, .gid = 7, .data = "x", .len = 1);
		TAR_ADD(&tar, .name = "d/root", .mode = 0664);
		TAR_ADD(&tar, .name = "tmp", .type = '5', .mode = 01777);
		TAR_ADD(&tar, .name = "tmp/set", .mode = 04711, .data = "x", .len = 1);
		TAR_ADD(&tar, .name = "tmp/all", .mode = 0666, .gid = 9);
		TAR_ADD(&tar, .name = "tmp/p", .type = '6', .mode = 0622);
		tar_add_end(&tar);
		unpack(&dir, &tar, masks[i]);
		expect(&dir, "d", S_IFDIR | 02775, 7);
		expect(&dir, "d/sub", S_IFDIR | 0555, 0);
		expect(&dir, "d/sub/f", S_IFREG | 0444, 0);
		expect(&dir, "d/set", S_IFREG | 06755, 7);
		expect(&dir, "d/root", S_IFREG | 0664, 0);
		expect(&dir, "tmp", S_IFDIR | 01777, 0);
		expect(&dir, "tmp/set", S_IFREG | 04711, 0);
		expect(&dir, "tmp/all", S_IFREG | 0666, 9);
		expect(&dir, "tmp/p", S_IFIFO | 0622, 0);
	}
}

static void test_no_needless_call(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();

	TAR_ADD(&tar, .name = "d", .type = '5', .mode = 0755, .uid = geteuid(), .gid = getegid());
	for (int i = 0; i < 20; i++) {
		char name[16];
		snprintf(name, sizeof(name), "d/%d", i);
		TAR_ADD(&tar, .name = name, .mode = i % 2 ? 0644 : 0755, .uid = geteuid(),
		        .gid = getegid());
	}
	tar_add_end(&tar);
	unpack(&dir, &tar, 022);
	assert_int_equal(n_chmods, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_modes),
	        cmocka_unit_test(test_no_needless_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
