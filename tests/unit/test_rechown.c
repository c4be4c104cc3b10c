/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tree/rechown.h"
#include "tree_fixture.h"

static cst_idmap low[] = {{0, 100000, 1000}}, high[] = {{0, 300000, 1000}}, tiny[] = {{0, 9000, 1}},
                 no_root[] = {{5, 9000, 10}};
#define MAPS(range)                                              \
	(&(struct idmaps){.uids = {.ranges = (range), .len = 1}, \
	                  .gids = {.ranges = (range), .len = 1}})

static void assert_owner(int at, const char *path, uid_t uid, gid_t gid)
{
	struct stat st;
	assert_int_equal(fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static void own(int at, const char *path, uid_t uid, gid_t gid)
{
	assert_int_equal(fchownat(at, path, uid, gid, AT_SYMLINK_NOFOLLOW), 0);
}

static void test_there_and_back(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	int tree = make_dir(f->fd, "tree");
	add_dir(tree, "d");
	own(tree, "d", 5, 6);
	add_file(tree, "d/f", "x");
	assert_int_equal(linkat(tree, "d/f", tree, "z", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", tree, "s"), 0);
	assert_int_equal(mkfifoat(tree, "p", 0600), 0);
	assert_int_equal(rechown_tree(tree, NULL, MAPS(low), NULL), 0);
	assert_owner(tree, ".", 100000, 100000);
	assert_owner(tree, "d", 100005, 100006);
	assert_owner(tree, "d/f", 100000, 100000); /* once, though it has two names */
	assert_owner(tree, "s", 100000, 100000);
	assert_owner(tree, "p", 100000, 100000);
	assert_int_equal(rechown_tree(tree, MAPS(low), MAPS(high), NULL), 0);
	assert_owner(tree, "d", 300005, 300006);
	assert_owner(tree, "z", 300000, 300000);
	assert_int_equal(rechown_tree(tree, MAPS(high), NULL, NULL), 0);
	assert_owner(tree, ".", 0, 0);
	assert_owner(tree, "d", 5, 6);
	assert_owner(tree, "z", 0, 0);
	struct stat passwd;
	assert_int_equal(stat("/etc/passwd", &passwd), 0);
	assert_int_equal(passwd.st_uid, 0);
	close(tree);
}

static void test_what_chown_clears(void **state)
{
	NEEDS_ROOT();
	static const unsigned char capability[20] = {1, 0, 0, 2, 0, 0x20};
	struct fixture *f = *state;
	int tree = make_dir(f->fd, "tree");
	add_file(tree, "f", "x");
	assert_int_equal(fchmodat(tree, "f", 06755, 0), 0);
	int fd = openat(tree, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "security.capability", capability, sizeof(capability), 0),
	                 0);
	assert_int_equal(linkat(tree, "f", tree, "g", 0), 0);
	assert_int_equal(rechown_tree(tree, NULL, MAPS(low), NULL), 0);
	struct stat st;
	unsigned char value[64];
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 06755);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(fgetxattr(fd, "security.capability", value, sizeof(value)), 20);
	assert_memory_equal(value, capability, sizeof(capability));
	close(fd), close(tree);
}

static void test_ids_without_place(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	int tree = make_dir(f->fd, "tree");
	add_file(tree, "far", "");
	own(tree, "far", 70000, 3);
	add_file(tree, "root", "");
	assert_int_equal(rechown_tree(tree, NULL, MAPS(low), NULL), 0);
	assert_owner(tree, "far", 65534, 100003);
	/* What has lost its owner does not find it again; what root made outside of the map is
	 * root's. */
	own(tree, "root", 0, 0);
	assert_int_equal(rechown_tree(tree, MAPS(low), MAPS(high), NULL), 0);
	assert_owner(tree, "far", 65534, 300003);
	assert_owner(tree, "root", 300000, 300000);
	/* An id that is the new root's already stays. */
	own(tree, "far", 9000, 5);
	own(tree, "root", 0, 0);
	own(tree, ".", 0, 0);
	assert_int_equal(rechown_tree(tree, NULL, MAPS(tiny), NULL), 0);
	assert_owner(tree, "far", 9000, 65534);
	assert_owner(tree, "root", 9000, 9000);

	_cleanup_error_ cst_error *error = NULL;
	own(tree, "far", 7, 7);
	assert_int_equal(rechown_tree(tree, MAPS(low), MAPS(high), &error), CST_EINVAL);
	assert_non_null(strstr(cst_error_message(error), "host ID 7 cannot be mapped"));
	assert_int_equal(rechown_tree(tree, NULL, MAPS(no_root), NULL), CST_EINVAL);
	close(tree);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_there_and_back),
	        TEST(test_what_chown_clears),
	        TEST(test_ids_without_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
