/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/pack/pack.h"
#include "archive/tree/copy.h"
#include "archive/tree/copy_data.h"
#include "archive/tree/rechown.h"
#include "tree_fixture.h"
#include <pthread.h>
#include <sys/resource.h>

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

/* A copy for other ids is what a copy becomes whose owners are changed later. */
static void test_other_owners(void **state)
{
	NEEDS_ROOT();
	static cst_idmap low[] = {{0, 100000, 1000}}, high[] = {{0, 300000, 900}},
	                 tiny[] = {{0, 9000, 1}};
	const struct idmaps maps[] = {
	        {{0}}, {{low, 1}, {low, 1}}, {{high, 1}, {tiny, 1}}, {{tiny, 1}, {tiny, 1}}};
	static const unsigned char capability[20] = {1, 0, 0, 2, 0, 0x20};
	struct fixture *f = *state;
	for (unsigned i = 0; i < ARRAY_SIZE(maps) * ARRAY_SIZE(maps); i++) {
		const struct idmaps *old = &maps[i % ARRAY_SIZE(maps)],
		                    *new = &maps[i / ARRAY_SIZE(maps)];
		uid_t uid = old->uids.len ? old->uids.ranges[0].host_id : 0;
		gid_t gid = old->gids.len ? old->gids.ranges[0].host_id : 0;
		bool many = old->uids.len && old->uids.ranges != tiny;
		int from = make_dir(f->fd, "from"), a = make_dir(f->fd, "a"),
		    b = make_dir(f->fd, "b");
		add_dir(from, "d");
		add_file(from, "d/f", "content");
		int fd = openat(from, "d/f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(fchown(fd, uid + (many ? 850 : 0), gid), 0);
		assert_int_equal(fchmod(fd, 06711), 0);
		assert_int_equal(
		        fsetxattr(fd, "security.capability", capability, sizeof(capability), 0), 0);
		close(fd);
		assert_int_equal(linkat(from, "d/f", from, "link", 0), 0);
		assert_int_equal(symlinkat("/etc", from, "s"), 0);
		assert_int_equal(fchownat(from, "s", 65534, gid, AT_SYMLINK_NOFOLLOW), 0);
		set_mtime(from, "s", 1000, 0);
		assert_int_equal(mkfifoat(from, "roots", 0600), 0);
		set_mtime(from, "roots", 1000, 0);
		set_mtime(from, "d", 1000, 77);
		assert_int_equal(fchown(from, uid + (many ? 5 : 0), gid), 0);
		const struct copy_options how = {.from_maps = old, .maps = new};
		assert_int_equal(copy_tree(from, a, &how, NULL), 0);
		assert_int_equal(copy_tree(from, b, &plain, NULL), 0);
		if (old != new)
			assert_int_equal(rechown_tree(b, old, new, NULL), 0);
		check_same(a, b);
		assert_int_equal(stat_of(a, ".").st_uid, stat_of(b, ".").st_uid);
		assert_int_equal(stat_of(a, ".").st_gid, stat_of(b, ".").st_gid);
		assert_int_equal(stat_of(a, "s").st_uid, stat_of(b, "s").st_uid);
		close(from), close(a), close(b);
		assert_int_equal(fs_remove_tree(f->fd, "from", "from", NULL), 0);
		assert_int_equal(fs_remove_tree(f->fd, "a", "a", NULL), 0);
		assert_int_equal(fs_remove_tree(f->fd, "b", "b", NULL), 0);
	}
}

/* ---- so many files that other threads fill them ---- */

#define MANY 700

static void add_many(int at)
{
	for (unsigned i = 0; i < MANY; i++) {
		char path[32];
		snprintf(path, sizeof(path), "d%u", i / 50);
		if (i % 50 == 0)
			add_dir(at, path);
		snprintf(path, sizeof(path), "d%u/f%u", i / 50, i);
		int fd = openat(at, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		for (unsigned k = 0; k < i % 40; k++)
			assert_int_equal(pwrite(fd, path, strlen(path), (off_t)k * (off_t)i),
			                 (ssize_t)strlen(path));
		(void)fsetxattr(fd, "user.path", path, strlen(path), 0);
		assert_int_equal(fchmod(fd, i % 3 ? 0640 : 04755), 0);
		close(fd);
		set_mtime(at, path, 1000000000 + i, i);
	}
	for (unsigned i = 0; i < MANY; i += 50) {
		char path[32];
		snprintf(path, sizeof(path), "d%u", i / 50);
		set_mtime(at, path, 2000000000 + i, i);
	}
}

static void check_contents(int from, int to)
{
	for (unsigned i = 0; i < MANY; i++) {
		_cleanup_free_ char *a = NULL, *b = NULL;
		size_t a_len, b_len;
		char path[32];
		snprintf(path, sizeof(path), "d%u/f%u", i / 50, i);
		assert_int_equal(fs_read_file(from, path, 1 << 20, &a, &a_len, NULL), 0);
		assert_int_equal(fs_read_file(to, path, 1 << 20, &b, &b_len, NULL), 0);
		assert_int_equal(a_len, b_len);
		assert_memory_equal(a, b, a_len);
		assert_int_equal(stat_of(from, path).st_mode, stat_of(to, path).st_mode);
	}
}

static int last_bytes(const cst_progress_state *progress, void *userdata)
{
	*(uint64_t *)userdata = progress->bytes_done;
	return 0;
}

static void test_many(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to"),
	    few = make_dir(f->fd, "few");
	uint64_t bytes = 0;
	const cst_progress progress = {last_bytes, &bytes};
	add_many(from);
	unsigned open_before = count_open();
	const struct copy_options how = {.sync = true, .progress = &progress};
	assert_int_equal(copy_tree(from, to, &how, NULL), 0);
	assert_int_equal(count_open(), open_before);
	check_same(from, to);
	check_contents(from, to);
	assert_true(bytes > 0);
	/* with hardly more descriptors than one file needs */
	struct rlimit limit, low;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = (struct rlimit){.rlim_cur = (rlim_t)few + 12, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	_cleanup_error_ cst_error *error = NULL;
	int r = copy_tree(from, few, &plain, &error);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (r < 0)
		fail_msg("%s", cst_error_message(error));
	check_contents(from, few);
	close(from), close(to), close(few);
}

/* The first file that cannot be copied ends it, and nothing stays open. */
static void test_many_with_a_bad_one(void **state)
{
	NEEDS_ROOT();
	static cst_idmap ids[] = {{0, 100000, 10}};
	const struct idmaps maps = {.uids = {ids, 1}, .gids = {ids, 1}};
	struct fixture *f = *state;
	int from = make_dir(f->fd, "from"), to = make_dir(f->fd, "to");
	add_many(from);
	for (unsigned i = 0; i < MANY; i++) {
		char path[32];
		snprintf(path, sizeof(path), "d%u/f%u", i / 50, i);
		assert_int_equal(fchownat(from, path, i == 500 ? 7 : 100000, 100000, 0), 0);
	}
	unsigned open_before = count_open();
	_cleanup_error_ cst_error *error = NULL;
	const struct copy_options how = {.from_maps = &maps};
	assert_int_equal(copy_tree(from, to, &how, &error), CST_EINVAL);
	assert_non_null(strstr(cst_error_message(error), "\"d10/f500\""));
	assert_int_equal(count_open(), open_before);
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
	        TEST(test_everything), TEST(test_acl),
	        TEST(test_holes),      TEST(test_ways),
	        TEST(test_deep),       TEST(test_cancel_and_occupied),
	        TEST(test_vanishing),  TEST(test_other_owners),
	        TEST(test_many),       TEST(test_many_with_a_bad_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
