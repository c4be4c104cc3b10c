/* SPDX-License-Identifier: Apache-2.0 */
/* What df and locks are made of: disk blocks counted once, lines of /proc/locks, waiting threads.
 */
#include "archive/tree/usage_scan.h"
#include "lock/lockfile.h"
#include "lock/proc_locks.h"
#include "unit/test.h"
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- disk blocks ---- */

static void make_file(int dirfd, const char *name, size_t size)
{
	_cleanup_free_ char *data = calloc(1, size);
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_non_null(data);
	memset(data, 'x', size);
	assert_int_equal(write(fd, data, size), size);
	assert_int_equal(fsync(fd), 0);
}

static uint64_t blocks_of(int dirfd, const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return (uint64_t)st.st_blocks * 512;
}

static struct usage_scanned scan(int dirfd, const char *name, struct usage_pieces *pieces)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct usage_scanned scanned = {0};
	assert_int_equal(usage_scan(fd, pieces, &scanned, NULL), 0);
	return scanned;
}

static void test_hard_links(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_pieces_ struct usage_pieces pieces = {0};
	assert_int_equal(mkdirat(t.fd, "a", 0700), 0);
	assert_int_equal(mkdirat(t.fd, "b", 0700), 0);
	make_file(t.fd, "a/inside", 100000);
	make_file(t.fd, "a/both", 50000);
	assert_int_equal(linkat(t.fd, "a/inside", t.fd, "a/again", 0), 0);
	assert_int_equal(linkat(t.fd, "a/both", t.fd, "a/both2", 0), 0);
	assert_int_equal(linkat(t.fd, "a/both", t.fd, "b/both", 0), 0);
	assert_int_equal(symlinkat("nowhere", t.fd, "a/link"), 0);
	uint64_t inside = blocks_of(t.fd, "a/inside"), both = blocks_of(t.fd, "a/both"),
	         dirs = blocks_of(t.fd, "a"), link = blocks_of(t.fd, "a/link");

	struct usage_scanned a = scan(t.fd, "a", &pieces);
	assert_int_equal(a.entries, 6);
	assert_int_equal(a.exclusive, inside + dirs + link);
	assert_int_equal(a.shared, both);
	struct usage_scanned b = scan(t.fd, "b", &pieces);
	assert_int_equal(b.shared, both);
	assert_int_equal(b.exclusive, blocks_of(t.fd, "b"));
	assert_int_equal(pieces.len, 2);
	assert_int_equal(usage_pieces_merge(&pieces, 0), both); /* both trees together: once */
	assert_int_equal(pieces.len, 1);
}

static void test_extents(void **state)
{
	struct usage_piece items[] = {
	        {.device = 1, .start = 8192, .length = 4096},
	        {.device = 2, .start = 0, .length = 4096},
	        {.device = 1, .start = 0, .length = 4096},
	        {.device = 1, .start = 2048, .length = 4096},
	        {.device = 1, .start = 8192, .length = 4096},
	        {.device = 1, .start = 8192, .length = 100},
	        {.is_inode = true, .device = 1, .start = 8192, .length = 7, .links = 2},
	        {.is_inode = true, .device = 1, .start = 8193, .length = 7, .links = 2},
	};
	struct usage_pieces pieces = {.items = items, .len = ARRAY_SIZE(items)};
	assert_int_equal(usage_pieces_merge(&pieces, 0), 6144 + 4096 + 4096 + 14);
	assert_int_equal(pieces.len, 5);
	assert_int_equal(usage_pieces_merge(&pieces, 5), 0);
}

/* ---- locks ---- */

static void test_lines(void **state)
{
	struct lock_line line;
	assert_true(lock_line_parse("12: POSIX  ADVISORY  WRITE 771 08:01:1234 0 EOF", &line));
	assert_true(line.write && !line.ofd && !line.waiting);
	assert_int_equal(line.pid, 771);
	assert_int_equal(line.major, 8);
	assert_int_equal(line.minor, 1);
	assert_int_equal(line.inode, 1234);
	assert_true(lock_line_parse("12: -> OFDLCK ADVISORY  READ -1 fd:10:5 0 EOF", &line));
	assert_true(!line.write && line.ofd && line.waiting);
	assert_int_equal(line.major, 0xfd);
	assert_int_equal(line.minor, 0x10);
	assert_true(lock_line_parse("\t1: OFDLCK ADVISORY READ -1 00:2a:18446744073709551615 0 EOF",
	                            &line));
	assert_int_equal(line.inode, UINT64_MAX);
	assert_false(lock_line_parse("3: FLOCK  ADVISORY  WRITE 1 08:01:1 0 EOF", &line));
	assert_false(lock_line_parse("3: LEASE  ACTIVE    READ 1 08:01:1 0 EOF", &line));
	assert_false(lock_line_parse("3: POSIX  ADVISORY  WRITE", &line));
	assert_false(lock_line_parse("", &line));
}

static void *wait_for_lock(void *lock)
{
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), 0);
	lockfile_unlock(lock);
	return NULL;
}

static struct lockfile *open_lock(const struct test_dir *t, const char *name)
{
	struct lockfile *lock = NULL;
	_cleanup_free_ char *path = path_join(t->path, name);
	assert_int_equal(lockfile_new(path, false, &lock, NULL), 0);
	return lock;
}

/* Claims of file 1 of two, until there are `wanted` or time is over. */
static size_t ask(const struct test_dir *t, struct lock_claim **claims, size_t wanted)
{
	struct lock_inode files[2];
	size_t n = 0;
	assert_int_equal(lock_inode_of(t->fd, "free", &files[0]), 0);
	assert_int_equal(lock_inode_of(t->fd, "taken", &files[1]), 0);
	int tries = 0;
	do {
		free(*claims);
		*claims = NULL;
		usleep(tries ? 10000 : 0);
		assert_int_equal(lock_claims(files, 2, claims, &n, NULL), 0);
	} while (n < wanted && ++tries < 200);
	return n;
}

static void test_holder_and_waiter(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_free_ struct lock_claim *claims = NULL;
	struct lockfile *lock = open_lock(&t, "taken"), *again = open_lock(&t, "taken"),
	                *free_lock = open_lock(&t, "free");
	pthread_t thread;
	assert_int_equal(lockfile_lock(free_lock, LOCKFILE_READ, NULL), 0);
	lockfile_unlock(free_lock);
	assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, NULL), 0);
	assert_int_equal(ask(&t, &claims, 1), 1);
	assert_int_equal(claims[0].file, 1);
	assert_int_equal(claims[0].pid, getpid());
	assert_false(claims[0].write || claims[0].waiting);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_lock, again), 0);
	assert_int_equal(ask(&t, &claims, 2), 2);
	assert_true(claims[1].waiting && claims[1].write);
	if (claims[1].pid) /* where it is forbidden to look, nobody is named rather than a wrong one
	                    */
		assert_int_equal(claims[1].pid, getpid());
	lockfile_unlock(lock);
	pthread_join(thread, NULL);
	assert_int_equal(ask(&t, &claims, 0), 0);
	lockfile_free(lock);
	lockfile_free(again);
	lockfile_free(free_lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hard_links),
	        cmocka_unit_test(test_extents),
	        cmocka_unit_test(test_lines),
	        cmocka_unit_test(test_holder_and_waiter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
