/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/lockfile.h"
#include "lock/tempdir.h"
#include "unit/test.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
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

/* ---- waits that end early ---- */

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Another process that holds the lock until it is told to go. */
struct holder {
	pid_t pid;
	int go; /* closing it tells the process to give the lock back */
};

static struct holder hold_elsewhere(const struct test_dir *t, const char *name)
{
	int held[2], go[2];
	char byte;
	_cleanup_free_ char *path = path_join(t->path, name);
	assert_int_equal(pipe2(held, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR);
		close(go[1]);
		if (fcntl(fd, F_SETLK, &range) == 0 && write(held[1], "x", 1) == 1)
			(void)!read(go[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(read(held[0], &byte, 1), 1);
	close(held[0]);
	close(held[1]);
	close(go[0]);
	return (struct holder){.pid = pid, .go = go[1]};
}

static void let_go(struct holder *holder)
{
	int status;
	close(holder->go);
	assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
}

/* Until nobody holds the lock: a helper thread may hold it for a moment. */
static void until_free(const struct test_dir *t, const char *name)
{
	int64_t until = now_us() + 5000000;
	while (!other_process_gets(t, name, F_WRLCK))
		assert_true(now_us() < until);
}

static void *wait_for_lock(void *arg)
{
	struct lockfile *lock = arg;
	int r = lockfile_lock(lock, LOCKFILE_WRITE, NULL);
	lockfile_unlock(lock);
	return r == 0 ? NULL : lock;
}

/* A thread that waits for another process keeps no thread from trying. */
static void test_try_beside_a_waiter(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct lockfile *lock = new_lock(&t, "x.lock");
	struct holder holder = hold_elsewhere(&t, "x.lock");
	pthread_t thread;
	void *failed = NULL;
	pthread_create(&thread, NULL, wait_for_lock, lock);
	int64_t until = now_us() + 100000;
	while (now_us() < until) /* before, during and after the thread's arrival */
		assert_int_equal(lockfile_try(lock, LOCKFILE_READ, NULL), CST_EBUSY);
	assert_false(lockfile_held(lock, LOCKFILE_READ));
	let_go(&holder);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(lockfile_try(lock, LOCKFILE_WRITE, NULL), 0);
	lockfile_unlock(lock);
	lockfile_free(lock);
}

static void test_timeout(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_error_ cst_error *error = NULL;
	struct lockfile *lock = new_lock(&t, "x.lock");
	struct holder holder = hold_elsewhere(&t, "x.lock");
	const struct lock_wait wait = {.timeout_ms = 60};
	char pid[32];
	int64_t start = now_us();
	assert_int_equal(lockfile_lock_for(lock, LOCKFILE_READ, &wait, &error), CST_ETIMEOUT);
	assert_in_range(now_us() - start, 60000, 5000000);
	(void)snprintf(pid, sizeof(pid), "(pid %d)", (int)holder.pid);
	assert_non_null(strstr(cst_error_message(error), pid));
	assert_non_null(strstr(cst_error_message(error), lockfile_path(lock)));
	let_go(&holder);
	/* The wait that was given up leaves nothing locked. */
	until_free(&t, "x.lock");
	assert_int_equal(lockfile_lock_for(lock, LOCKFILE_WRITE, &wait, NULL), 0);
	lockfile_unlock(lock);
	lockfile_free(lock);
}

static void *wait_a_moment(void *arg)
{
	cst_error *error = NULL;
	const struct lock_wait wait = {.timeout_ms = 50};
	if (lockfile_lock_for(arg, LOCKFILE_WRITE, &wait, &error) == 0)
		lockfile_unlock(arg);
	return error;
}

static void test_timeout_between_threads(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct lockfile *lock = new_lock(&t, "x.lock");
	pthread_t thread;
	void *problem = NULL;
	assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, NULL), 0);
	pthread_create(&thread, NULL, wait_a_moment, lock);
	pthread_join(thread, &problem);
	_cleanup_error_ cst_error *error = problem;
	assert_int_equal(cst_error_code(error), CST_ETIMEOUT);
	assert_non_null(strstr(cst_error_message(error), "another thread of this process"));
	lockfile_unlock(lock);
	lockfile_free(lock);
}

struct asked {
	const char *lock;
	int times, stop_after;
	char holder[128];
};

static int ask_wait(const cst_wait_state *wait, void *userdata)
{
	struct asked *asked = userdata;
	assert_int_equal(wait->size, sizeof(*wait));
	assert_string_equal(wait->lock, asked->lock);
	(void)snprintf(asked->holder, sizeof(asked->holder), "%s", wait->holder);
	if (asked->stop_after < 0)
		return *wait->holder != '\0';
	return ++asked->times > asked->stop_after;
}

static int ask_progress(const cst_progress_state *progress, void *userdata)
{
	struct asked *asked = userdata;
	assert_string_equal(progress->what, "wait");
	return ++asked->times > asked->stop_after;
}

static void test_cancelling(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct lockfile *lock = new_lock(&t, "x.lock"), *free_one = new_lock(&t, "y.lock");
	struct holder holder = hold_elsewhere(&t, "x.lock");
	struct asked asked = {.lock = lockfile_path(lock)};
	lockfile_set_wait(lock, &(struct lock_wait){.hook = {ask_wait, &asked}});
	int64_t start = now_us();
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), CST_ECANCELED);
	assert_in_range(now_us() - start, 0, 500000);
	assert_int_equal(asked.times, 1); /* before it waits at all */
	asked = (struct asked){.lock = lockfile_path(lock), .stop_after = 3};
	assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, NULL), CST_ECANCELED);
	/* After a second it is told who is in the way. */
	asked.stop_after = -1;
	assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, NULL), CST_ECANCELED);
	char pid[32];
	(void)snprintf(pid, sizeof(pid), "(pid %d)", (int)holder.pid);
	assert_non_null(strstr(asked.holder, pid));
	/* The progress of an operation ends the wait for its first lock, and has no say later. */
	lockfile_set_wait(lock, &(struct lock_wait){.timeout_ms = 50});
	asked = (struct asked){.stop_after = 1};
	const cst_progress progress = {.callback = ask_progress, .userdata = &asked};
	_cleanup_lock_wait_ bool listening = lock_wait_listen(&progress);
	assert_true(listening);
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), CST_ECANCELED);
	assert_int_equal(asked.times, 2);
	assert_int_equal(lockfile_lock(free_one, LOCKFILE_WRITE, NULL), 0);
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), CST_ETIMEOUT);
	assert_int_equal(asked.times, 2);
	lockfile_unlock(free_one);
	let_go(&holder);
	lockfile_free(lock);
	lockfile_free(free_one);
}

/* ---- hand-over ---- */

/* Does anybody wait in the kernel for a lock of this file? */
static bool is_waited_for(ino_t ino)
{
	_cleanup_free_ char *text = NULL, *wanted = str_printf(":%ju 0 EOF", (uintmax_t)ino);
	size_t n;
	char *next;
	assert_int_equal(fs_read_file(AT_FDCWD, "/proc/locks", 1 << 24, &text, &n, NULL), 0);
	for (char *line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		if (strstr(line, " -> ") && strstr(line, wanted))
			return true;
	}
	return false;
}

struct taker {
	struct lockfile *lock;
	int result;
	atomic_bool done;
};

static void *take_lock(void *userdata)
{
	struct taker *taker = userdata;
	const struct lock_wait wait = {.timeout_ms = 60000};
	taker->result = lockfile_lock_for(taker->lock, LOCKFILE_WRITE, &wait, NULL);
	taker->done = true;
	return NULL;
}

/* Although the wait can be ended it is one of the kernel, which hands the lock over: nobody asks again and again. */
static void test_hand_over(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct taker taker = {.lock = new_lock(&t, "x.lock")};
	struct lockfile *other = new_lock(&t, "x.lock");
	struct stat st;
	pthread_t thread;
	bool seen = false;
	assert_int_equal(lockfile_lock(other, LOCKFILE_WRITE, NULL), 0);
	assert_int_equal(fstatat(t.fd, "x.lock", &st, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_lock, &taker), 0);
	while (!seen && !taker.done)
		seen = is_waited_for(st.st_ino);
	assert_true(seen);
	assert_false(taker.done);
	lockfile_unlock(other);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(taker.result, 0);
	lockfile_unlock(taker.lock);
	lockfile_free(taker.lock);
	lockfile_free(other);
}

/* As the Go tools do: the file opened anew each time, a blocking wait, closing to give it back. */
static void lock_in_a_loop(const char *path)
{
	struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	for (;;) {
		int fd = open(path, O_RDWR);
		if (fcntl(fd, F_SETLKW, &range) < 0)
			_exit(1);
		usleep(200);
		close(fd);
	}
}

/* Ten processes that take the lock again and again do not starve one that can give up. */
static void test_fairness(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct lockfile *lock = new_lock(&t, "x.lock");
	const struct lock_wait wait = {.timeout_ms = 5000};
	pid_t pids[10];
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			lock_in_a_loop(lockfile_path(lock));
	}
	int r = 0;
	for (int i = 0; r == 0 && i < 10; i++) {
		r = lockfile_lock_for(lock, LOCKFILE_WRITE, &wait, NULL);
		if (r == 0)
			lockfile_unlock(lock);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	assert_int_equal(r, 0);
	lockfile_free(lock);
}

/* ---- what is no lock file, and no lock mode ---- */

static void test_not_regular(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	assert_int_equal(fs_write_file(t.fd, "file", "x", 1, 0600, NULL, NULL), 0);
	assert_int_equal(mkfifoat(t.fd, "fifo", 0600), 0);
	assert_int_equal(symlinkat("file", t.fd, "link"), 0);
	assert_int_equal(symlinkat("nothing", t.fd, "dangling"), 0);
	assert_int_equal(mkdirat(t.fd, "dir", 0700), 0);
	static const char *const names[] = {"fifo", "link", "dangling", "dir"};
	for (size_t i = 0; i < 2 * ARRAY_SIZE(names); i++) {
		_cleanup_error_ cst_error *error = NULL;
		_cleanup_free_ char *path = path_join(t.path, names[i / 2]);
		struct lockfile *lock = NULL;
		assert_int_equal(lockfile_new(path, i % 2, &lock, NULL), 0);
		assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, &error), CST_ECORRUPT);
		assert_non_null(strstr(cst_error_message(error), path));
		assert_non_null(strstr(cst_error_message(error), "not a regular file"));
		lockfile_free(lock);
	}
	assert_false(fs_exists(t.fd, "nothing"));
}

static void lock_in_unknown_mode(void *lock)
{
	(void)lockfile_lock(lock, (enum lock_mode)LOCK_WRITE, NULL);
}

static void touch(void *lock)
{
	struct lock_token token;
	(void)lockfile_touch(lock, &token, NULL);
}

/* LOCK_WRITE is a constant of fcntl.h that is no mode of ours. */
static void test_mistakes(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct lockfile *lock = new_lock(&t, "x.lock");
	assert_true(test_aborts(lock_in_unknown_mode, lock));
	assert_true(test_aborts(touch, lock));
	assert_int_equal(lockfile_lock(lock, LOCKFILE_READ, NULL), 0);
	assert_true(test_aborts(touch, lock));
	lockfile_unlock(lock);
	lockfile_free(lock);
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
	        cmocka_unit_test(test_exclusion),
	        cmocka_unit_test(test_token),
	        cmocka_unit_test(test_read_only),
	        cmocka_unit_test(test_threads),
	        cmocka_unit_test(test_try_beside_a_waiter),
	        cmocka_unit_test(test_timeout),
	        cmocka_unit_test(test_timeout_between_threads),
	        cmocka_unit_test(test_cancelling),
	        cmocka_unit_test(test_hand_over),
	        cmocka_unit_test(test_fairness),
	        cmocka_unit_test(test_not_regular),
	        cmocka_unit_test(test_mistakes),
	        cmocka_unit_test(test_tempdir_pair),
	        cmocka_unit_test(test_tempdir_staging),
	        cmocka_unit_test(test_tempdir_race),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
