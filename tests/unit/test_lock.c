/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/lockfile.h"
#include "lock/tempdir.h"
#include "unit/test.h"
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static struct lockfile *new_lock(const struct test_dir *t, const char *name)
{
	struct lockfile *lock = NULL;
	_cleanup_free_ char *path = path_join(t->path, name);
	assert_int_equal(lockfile_new(path, false, &lock, NULL), 0);
	return lock;
}

/* Another process, with the locks the Go tools use: POSIX. Exit code 0: it got the lock. */
static bool other_process_gets(const struct test_dir *t, const char *name, short type)
{
	_cleanup_free_ char *path = path_join(t->path, name);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDWR);
		struct flock range = {.l_type = type, .l_whence = SEEK_SET};
		_exit(fcntl(fd, F_SETLK, &range) == 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_exclusion(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct lockfile *lock = new_lock(&t, "deep/er/x.lock");
	assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, NULL), 0);
	assert_true(other_process_gets(&t, "deep/er/x.lock", F_RDLCK));
	assert_false(other_process_gets(&t, "deep/er/x.lock", F_WRLCK));
	assert_int_equal(lockfile_try(lock, LOCKFILE_WRITE, NULL),
	                 CST_EBUSY); /* threads exclude each other too */
	lockfile_unlock(lock);
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), 0);
	assert_true(lockfile_held(lock, LOCKFILE_READ));
	int other = open(lockfile_path(lock), O_RDWR);
	close(other); /* would drop a POSIX lock */
	assert_false(other_process_gets(&t, "deep/er/x.lock", F_RDLCK));
	lockfile_unlock(lock);
	assert_true(other_process_gets(&t, "deep/er/x.lock", F_WRLCK));
	lockfile_free(lock);
}

static void test_token(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct lockfile *lock = new_lock(&t, "x.lock");
	struct lock_token first, second, read;
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), 0);
	assert_int_equal(lockfile_read_token(lock, &read, NULL), 0);
	assert_int_equal(read.len, 0);
	assert_int_equal(lockfile_touch(lock, &first, NULL), 0);
	assert_int_equal(lockfile_touch(lock, &second, NULL), 0);
	assert_false(lock_token_equal(&first, &second));
	assert_int_equal(lockfile_read_token(lock, &read, NULL), 0);
	assert_true(lock_token_equal(&read, &second));
	assert_int_equal(read.len, LOCK_TOKEN_SIZE);
	pid_t pid = (pid_t)(read.bytes[16] | read.bytes[17] << 8 | read.bytes[18] << 16 |
	                    read.bytes[19] << 24);
	assert_int_equal(pid, getpid());
	lockfile_unlock(lock);
	lockfile_free(lock);
}

static void test_read_only(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_free_ char *path = path_join(t.path, "missing/x.lock");
	struct lockfile *lock = NULL;
	assert_int_equal(lockfile_new(path, true, &lock, NULL), 0);
	assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, NULL), 0);
	lockfile_unlock(lock);
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), CST_ESTORE_READ_ONLY);
	assert_false(fs_exists(t.fd, "missing"));
	lockfile_free(lock);
}

struct counter {
	struct lockfile *lock;
	int inside, most, done;
};

static void *count_under_lock(void *arg)
{
	struct counter *c = arg;
	for (int i = 0; i < 500; i++) {
		assert_int_equal(lockfile_lock(c->lock, LOCKFILE_WRITE, NULL), 0);
		c->inside++;
		c->most = MAX(c->most, c->inside);
		c->inside--;
		c->done++;
		lockfile_unlock(c->lock);
		assert_int_equal(lockfile_lock(c->lock, LOCKFILE_READ, NULL), 0);
		lockfile_unlock(c->lock);
	}
	return NULL;
}

static void test_threads(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct counter c = {.lock = new_lock(&t, "x.lock")};
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, count_under_lock, &c);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.most, 1);
	assert_int_equal(c.done, 2000);
	lockfile_free(c.lock);
}

static void check_tempdir(enum tempdir_layout layout)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_free_ char *root = path_join(t.path, "tmp");
	struct tempdir *live = NULL;
	assert_int_equal(tempdir_new(root, layout, &live, NULL), 0);
	assert_int_equal(fs_write_file(t.fd, "item", "x", 1, 0600, NULL, NULL), 0);
	assert_int_equal(tempdir_take(live, t.fd, "item", NULL), 0);
	assert_int_equal(tempdir_take(live, t.fd, "absent", NULL), 0);
	assert_true(fs_exists(live->fd, "0-item"));
	/* One left by a dead process, and a name that is not ours. */
	const char *dead = layout == TEMPDIR_PAIR ? "tmp/temp-dir-77" : "tmp/077";
	assert_int_equal(mkdirat(t.fd, dead, 0700), 0);
	_cleanup_free_ char *inner = path_join(dead, "file");
	assert_int_equal(fs_write_file(t.fd, inner, "x", 1, 0600, NULL, NULL), 0);
	assert_int_equal(mkdirat(t.fd, "tmp/other", 0700), 0);
	/* One of ours that came no further, and one of a Go tool that is about to be locked. */
	const char *half = layout == TEMPDIR_PAIR ? "tmp/lock-08" : "tmp/08";
	const char *fresh = layout == TEMPDIR_PAIR ? "tmp/lock-9" : "tmp/9";
	for (int i = 0; i < 2; i++) {
		const char *path = i ? fresh : half;
		if (layout == TEMPDIR_PAIR)
			assert_int_equal(fs_write_file(t.fd, path, "", 0, 0600, NULL, NULL), 0);
		else
			assert_int_equal(mkdirat(t.fd, path, 0700), 0);
	}
	assert_int_equal(tempdir_recover(root, layout, NULL), 0);
	assert_false(fs_exists(t.fd, half));
	assert_true(fs_exists(t.fd, fresh));
	assert_false(fs_exists(t.fd, dead));
	assert_true(fs_exists(t.fd, "tmp/other"));
	assert_true(fs_exists(live->fd, "0-item")); /* held: left alone */
	tempdir_free(live);
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(t.fd, "tmp", &names, NULL, NULL), 0);
	assert_int_equal(names.len, 2); /* "other" and the fresh one */
}

static void test_tempdir_pair(void **state)
{
	check_tempdir(TEMPDIR_PAIR);
}

static void test_tempdir_staging(void **state)
{
	check_tempdir(TEMPDIR_STAGING);
}

struct churn {
	const char *root;
	enum tempdir_layout layout;
	bool recover;
};

/* What went wrong, or NULL: an assertion would leave the wrong thread. */
static const char *churn_once(const struct churn *c, cst_error **error)
{
	struct tempdir *d = NULL;
	if (c->recover)
		return tempdir_recover(c->root, c->layout, error) == 0 ? NULL : "recover";
	if (tempdir_new(c->root, c->layout, &d, error) < 0)
		return "new";
	const char *problem = NULL;
	if (fs_write_file(d->fd, "mine", "x", 1, 0600, NULL, error) < 0)
		problem = "write";
	else if (!fs_exists(d->root_fd, d->name) || !fs_exists(d->fd, "mine"))
		problem = "a live one was taken away";
	tempdir_free(d);
	return problem;
}

static void *churn_run(void *arg)
{
	const struct churn *c = arg;
	for (int i = 0; i < 300; i++) {
		_cleanup_error_ cst_error *error = NULL;
		const char *problem = churn_once(c, &error);
		if (problem) {
			fprintf(stderr, "layout %d, %s: %s\n", c->layout, problem,
			        cst_error_message(error));
			return (void *)problem;
		}
	}
	return NULL;
}

/* Makers and recoverers at once, which is where upstream's protocol loses live directories. */
static void test_tempdir_race(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_free_ char *root = path_join(t.path, "tmp");
	for (int layout = TEMPDIR_PAIR; layout <= TEMPDIR_STAGING; layout++) {
		pthread_t threads[4];
		struct churn churn[4];
		for (size_t i = 0; i < 4; i++) {
			churn[i] = (struct churn){root, (enum tempdir_layout)layout, i % 2};
			pthread_create(&threads[i], NULL, churn_run, &churn[i]);
		}
		for (size_t i = 0; i < 4; i++) {
			void *problem = NULL;
			pthread_join(threads[i], &problem);
			assert_null(problem);
		}
	}
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(t.fd, "tmp", &names, NULL, NULL), 0);
	assert_int_equal(names.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_exclusion),    cmocka_unit_test(test_token),
	        cmocka_unit_test(test_read_only),    cmocka_unit_test(test_threads),
	        cmocka_unit_test(test_tempdir_pair), cmocka_unit_test(test_tempdir_staging),
	        cmocka_unit_test(test_tempdir_race),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
