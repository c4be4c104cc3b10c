/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tree/copy_into.h"
#include "tree_fixture.h"

static const struct copy_into_options plain;

static struct stat stat_of(int fd, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void assert_content(int at, const char *path, const char *want)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	assert_int_equal(fs_read_file(at, path, 1000, &text, &len, NULL), 0);
	assert_string_equal(text, want);
}

/* No names but those of the tree: nothing temporary stays. */
static void assert_names(int at, const char *path, size_t n)
{
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(at, path, &names, NULL, NULL), 0);
	assert_int_equal(names.len, n);
}

static void test_merge(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to"),
	    victim = make_dir(f->fd, "victim");
	add_dir(from, "both");
	add_file(from, "both/new", "new");
	add_file(from, "file", "new");
	assert_int_equal(linkat(from, "file", from, "hard", 0), 0);
	add_dir(from, "link");
	add_file(from, "link/file", "new");
	assert_int_equal(symlinkat("nowhere", from, "dir"), 0);
	assert_int_equal(fchmodat(from, "both", 0710, 0), 0);
	set_mtime(from, "both", 1000, 77);

	add_dir(to, "both");
	add_file(to, "both/old", "old");
	add_file(to, "file", "old");
	assert_int_equal(linkat(to, "file", to, "hard", 0), 0);
	assert_int_equal(linkat(to, "file", to, "kept", 0), 0);
	assert_int_equal(symlinkat("../victim", to, "link"), 0);
	add_dir(to, "dir");
	add_file(to, "dir/file", "old");

	unsigned open_before = count_open();
	assert_int_equal(copy_into(from, to, &plain, NULL), 0);
	assert_int_equal(count_open(), open_before);
	assert_content(to, "both/old", "old");
	assert_content(to, "both/new", "new");
	assert_content(to, "file", "new");
	assert_content(to, "kept", "old");
	assert_int_equal(stat_of(to, "file").st_ino, stat_of(to, "hard").st_ino);
	assert_true(S_ISDIR(stat_of(to, "link").st_mode));
	assert_true(S_ISLNK(stat_of(to, "dir").st_mode));
	struct stat both = stat_of(to, "both");
	assert_int_equal(both.st_mode & 07777, 0710);
	assert_int_equal(both.st_mtim.tv_nsec, 77);
	assert_names(to, ".", 6);
	assert_names(f->fd, "victim", 0);
	close(from), close(to), close(victim);
}

static void test_into_itself(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), in = make_dir(from, "in");
	add_file(in, "in", "kept"); /* would take the place of its own directory */
	assert_int_equal(copy_into(from, from, &plain, NULL), 0);
	assert_int_equal(copy_into(from, in, &plain, NULL), CST_EINVAL);
	assert_int_equal(copy_into(in, from, &plain, NULL), CST_EINVAL);
	assert_content(in, "in", "kept");
	close(in), close(from);
}

static void test_owners(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	cst_idmap low[] = {{0, 100000, 10}}, high[] = {{0, 300000, 10}};
	struct idmaps from_maps = {.uids = {low, 1}, .gids = {low, 1}},
	              to_maps = {.uids = {high, 1}, .gids = {high, 1}};
	struct copy_into_options options = {.from_maps = &from_maps, .to_maps = &to_maps};
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	add_file(from, "known", "");
	assert_int_equal(fchownat(from, "known", 100003, 100004, 0), 0);
	add_dir(from, "unknown");
	add_file(from, "unknown/file", "");
	add_file(from, "unknown/known", "");
	assert_int_equal(fchownat(from, "unknown/known", 100000, 100000, 0), 0);
	assert_int_equal(copy_into(from, to, &options, NULL), 0);
	assert_int_equal(stat_of(to, "known").st_uid, 300003);
	assert_int_equal(stat_of(to, "known").st_gid, 300004);
	assert_int_equal(stat_of(to, "unknown").st_uid, 300000);
	assert_int_equal(stat_of(to, "unknown/known").st_uid, 300000);
	assert_false(fs_exists(to, "unknown/file"));

	options.chown = true; /* then it does not matter who the owner was */
	options.uid = 7;
	options.gid = 8;
	assert_int_equal(copy_into(from, to, &options, NULL), 0);
	assert_int_equal(stat_of(to, "unknown/file").st_uid, 300007);
	assert_int_equal(stat_of(to, "unknown").st_gid, 300008);
	options.uid = 11; /* but that the new one exists */
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(copy_into(from, to, &options, &error), CST_EINVAL);
	assert_string_equal(cst_error_message(error),
	                    "container ID 11 cannot be mapped to a host ID");
	assert_names(to, ".", 2);
	close(from), close(to);
}

static void test_one_file(void **state)
{
	struct fixture *f = *state;
	int to = make_dir(f->fd, "to");
	add_file(f->fd, "file", "new");
	assert_int_equal(fchmodat(f->fd, "file", 04711, 0), 0);
	set_mtime(f->fd, "file", 1000, 77);
	add_file(to, "old", "old");
	add_dir(to, "dir");
	add_file(f->fd, "outside", "outside");
	assert_int_equal(symlinkat("../outside", to, "link"), 0);
	int from = openat(f->fd, "file", O_PATH | O_CLOEXEC);
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(copy_file_into(from, to, "old", true, &plain, NULL), 0);
	assert_int_equal(copy_file_into(from, to, "link", true, &plain, NULL), 0);
	assert_int_equal(copy_file_into(from, to, "dir", true, &plain, &error), CST_EINVAL);
	assert_string_equal(cst_error_message(error),
	                    "cannot overwrite directory \"/dir\" with non-directory \"/\"");
	assert_content(to, "old", "new");
	assert_content(f->fd, "outside", "outside");
	struct stat st = stat_of(to, "link");
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 04711);
	assert_int_equal(st.st_mtim.tv_nsec, 77);
	assert_names(to, ".", 3);
	close(from), close(to);
}

static int cancel(const cst_progress_state *progress, void *userdata)
{
	return 1;
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	cst_progress progress = {cancel, NULL};
	add_file(from, "f", "");
	assert_int_equal(
	        copy_into(from, to, &(struct copy_into_options){.progress = &progress}, NULL),
	        CST_ECANCELED);
	close(from), close(to);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_merge),    TEST(test_into_itself), TEST(test_owners),
	        TEST(test_one_file), TEST(test_cancel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
