/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/pack/pack.h"
#include "archive/tree/copy.h"
#include "archive/tree/copy_data.h"
#include "tree_fixture.h"
#include <pthread.h>

static const struct copy_options plain;

static void check_same(int from, int to)
{
	struct cst_changes changes = {0};
	assert_int_equal(changes_trees(from, to, &(struct pack_options){0}, &changes, NULL), 0);
	for (size_t i = 0; i < changes.len; i++)
		print_message("differs: %s\n", changes.items[i].path);
	assert_int_equal(changes.len, 0);
	changes_clear(&changes);
}

static struct stat stat_of(int fd, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void test_everything(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	add_dir(from, "d");
	add_file(from, "d/f", "content");
	assert_int_equal(fchownat(from, "d/f", 5, 6, 0), 0);
	assert_int_equal(fchmodat(from, "d/f", 04711, 0), 0);
	assert_int_equal(linkat(from, "d/f", from, "link", 0), 0);
	assert_int_equal(symlinkat("/etc", from, "s"), 0);
	assert_int_equal(fchownat(from, "s", 7, 7, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(mknodat(from, "c", S_IFCHR | 0640, makedev(1, 3)), 0);
	assert_int_equal(mkfifoat(from, "p", 0600), 0);
	add_whiteout(from, "w");
	set_opaque(from, "d");
	int fd = openat(from, "d", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "trusted.overlay.origin", "o", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, "trusted.mine", "m", 1, 0), 0);
	close(fd);
	set_mtime(from, "d", 1000, 77);
	assert_int_equal(fchmod(from, 0711), 0);
	assert_int_equal(fchown(from, 9, 9), 0);
	set_mtime(from, ".", 2000, 88);
	unsigned open_before = count_open();
	assert_int_equal(copy_tree(from, to, &(struct copy_options){.sync = true}, NULL), 0);
	assert_int_equal(count_open(), open_before);
	check_same(from, to);
	struct stat root = stat_of(to, "."), d = stat_of(to, "d"), w = stat_of(to, "w");
	assert_int_equal(root.st_mode & 07777, 0711);
	assert_int_equal(root.st_uid, 9);
	assert_int_equal(root.st_mtim.tv_nsec, 88);
	assert_int_equal(d.st_mtim.tv_nsec, 77);
	assert_true(S_ISCHR(w.st_mode) && w.st_rdev == 0);
	assert_int_equal(stat_of(to, "link").st_ino, stat_of(to, "d/f").st_ino);
	assert_int_equal(stat_of(to, "s").st_uid, 7);
	char value[4];
	fd = openat(to, "d", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(fd, "trusted.overlay.opaque", value, 4), 1);
	assert_int_equal(fgetxattr(fd, "trusted.mine", value, 4), 1);
	assert_int_equal(fgetxattr(fd, "trusted.overlay.origin", value, 4), -1);
	close(fd), close(from), close(to);
}

static void test_acl(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	/* user::rw- user:1000:rwx group::r-- mask::rwx other::--- (linux/posix_acl_xattr.h) */
	static const unsigned char acl[] = {2,   0,   0,   0,   1,   0,   6,  0,   255, 255, 255,
	                                    255, 2,   0,   7,   0,   232, 3,  0,   0,   4,   0,
	                                    4,   0,   255, 255, 255, 255, 16, 0,   7,   0,   255,
	                                    255, 255, 255, 32,  0,   0,   0,  255, 255, 255, 255};
	add_file(from, "f", "x");
	int fd = openat(from, "f", O_RDWR | O_CLOEXEC);
	if (fsetxattr(fd, "system.posix_acl_access", acl, sizeof(acl), 0) < 0) {
		print_message("skipped: no ACLs on this file system\n");
		close(fd), close(from), close(to);
		skip();
	}
	close(fd);
	assert_int_equal(copy_tree(from, to, &plain, NULL), 0);
	unsigned char got[64];
	fd = openat(to, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(fd, "system.posix_acl_access", got, sizeof(got)), sizeof(acl));
	assert_memory_equal(got, acl, sizeof(acl));
	assert_int_equal(stat_of(to, "f").st_mode, stat_of(from, "f").st_mode);
	close(fd), close(from), close(to);
}

static void test_holes(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	int fd = openat(from, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, (off_t)1 << 33), 0);
	assert_int_equal(pwrite(fd, "middle", 6, 1 << 24), 6);
	close(fd);
	fd = openat(from, "empty", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 123456), 0);
	close(fd);
	assert_int_equal(copy_tree(from, to, &plain, NULL), 0);
	struct stat st = stat_of(to, "f");
	assert_int_equal(st.st_size, (off_t)1 << 33);
	assert_true(st.st_blocks < 1000);
	assert_int_equal(stat_of(to, "empty").st_size, 123456);
	assert_int_equal(stat_of(to, "empty").st_blocks, 0);
	char text[6];
	fd = openat(to, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, text, 6, 1 << 24), 6);
	assert_memory_equal(text, "middle", 6);
	close(fd), close(from), close(to);
}

/* Every way gives the same bytes; a file shorter than it was said to be is an error. */
static void test_ways(void **state)
{
	struct fixture *f = *state;
	size_t n = 700001;
	_cleanup_free_ char *data = malloc(n), *got = malloc(n);
	for (size_t i = 0; i < n; i++)
		data[i] = (char)(i * 2654435761u >> 11);
	int from = openat(f->fd, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(from, data, n), (ssize_t)n);
	for (unsigned way = 0; way < 4; way++) {
		struct copy_ways ways = {.no_clone = way & 1, .no_range = way & 2};
		int to = openat(f->fd, "to", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_equal(copy_data(from, to, (off_t)n, &ways, "from", NULL), 0);
		assert_int_equal(pread(to, got, n, 0), (ssize_t)n);
		assert_memory_equal(got, data, n);
		assert_int_equal(ftruncate(to, 0), 0);
		ways.no_clone = true;
		assert_int_equal(copy_data(from, to, (off_t)n + 9999, &ways, "from", NULL),
		                 CST_ECORRUPT);
		close(to);
	}
	close(from);
}

static void test_deep(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	add_deep(from, 1500);
	assert_int_equal(copy_tree(from, to, &plain, NULL), 0);
	check_same(from, to);
	int64_t bytes, inodes;
	assert_int_equal(usage_tree(to, &bytes, &inodes, NULL), 0);
	assert_int_equal(inodes, 1502);
	close(from), close(to);
}

static int cancel(const cst_progress_state *progress, void *userdata)
{
	return 1;
}

static void test_cancel_and_occupied(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	cst_progress progress = {cancel, NULL};
	add_file(from, "f", "");
	assert_int_equal(copy_tree(from, to, &(struct copy_options){.progress = &progress}, NULL),
	                 CST_ECANCELED);
	_cleanup_error_ cst_error *error = NULL; /* "f" is there already: nothing is overwritten */
	assert_int_equal(copy_tree(from, to, &plain, &error), CST_ESYS);
	assert_int_equal(cst_error_errno(error), EEXIST);
	close(from), close(to);
}

struct coming_and_going {
	int fd;
	_Atomic bool stop;
};

static void *come_and_go(void *userdata)
{
	struct coming_and_going *c = userdata;
	while (!c->stop) {
		add_dir(c->fd, "a");
		add_file(c->fd, "a/f", "new");
		(void)(symlinkat("f", c->fd, "a/s") + mkfifoat(c->fd, "a/p", 0600));
		fs_remove_tree(c->fd, "a", "a", NULL);
	}
	return NULL;
}

/* Files and directories that somebody removes while they are copied are left out; what stays is copied. */
static void test_vanishing(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	int from = make_dir(f->fd, "from");
	struct coming_and_going others = {.fd = from};
	add_file(from, "stays", "content");
	assert_int_equal(pthread_create(&thread, NULL, come_and_go, &others), 0);
	for (int i = 0; i < 2000; i++) {
		_cleanup_error_ cst_error *error = NULL;
		int to = make_dir(f->fd, "to");
		if (copy_tree(from, to, &plain, &error) < 0)
			fail_msg("round %d: %s", i, cst_error_message(error));
		assert_int_equal(stat_of(to, "stays").st_size, 7);
		close(to);
		assert_int_equal(fs_remove_tree(f->fd, "to", "to", NULL), 0);
	}
	others.stop = true;
	pthread_join(thread, NULL);
	close(from);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_everything), TEST(test_acl),  TEST(test_holes),
	        TEST(test_ways),       TEST(test_deep), TEST(test_cancel_and_occupied),
	        TEST(test_vanishing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
