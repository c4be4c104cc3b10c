/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/pool.h"
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define TASKS 2000

struct counter {
	_Atomic unsigned done;
	unsigned wanted;
};
struct counting_task {
	struct task task;
	struct counter *counter;
	unsigned value;
	unsigned *sequence; /* strands: where the last value is kept, without a lock */
	bool in_order;
};

static bool counter_reached(void *arg)
{
	struct counter *counter = arg;
	return atomic_load(&counter->done) == counter->wanted;
}

static void count(struct task *task)
{
	struct counting_task *t = (struct counting_task *)task;
	atomic_fetch_add(&t->counter->done, 1);
}

static void count_in_order(struct task *task)
{
	struct counting_task *t = (struct counting_task *)task;
	t->in_order = *t->sequence + 1 == t->value;
	*t->sequence = t->value;
	atomic_fetch_add(&t->counter->done, 1);
}

static void run_tasks(unsigned workers)
{
	_cleanup_pool_ struct pool *pool = NULL;
	_cleanup_free_ struct counting_task *tasks = new0(struct counting_task, TASKS);
	struct counter counter = {.wanted = TASKS};

	assert_int_equal(pool_new(workers, &pool, NULL), 0);
	for (unsigned i = 0; i < TASKS; i++) {
		tasks[i] = (struct counting_task){.task.run = count, .counter = &counter};
		pool_submit(pool, &tasks[i].task);
	}
	pool_wait(pool, counter_reached, &counter);
	assert_int_equal(counter.done, TASKS);
}

static void test_tasks(void **state)
{
	for (unsigned workers = 0; workers < 5; workers++)
		run_tasks(workers);
}

/* What is queued when the pool goes is run, not dropped. */
static void test_free_runs_rest(void **state)
{
	for (unsigned workers = 0; workers < 3; workers++) {
		struct counting_task tasks[100];
		struct counter counter = {.wanted = 100};
		struct pool *pool = NULL;
		assert_int_equal(pool_new(workers, &pool, NULL), 0);
		for (unsigned i = 0; i < 100; i++) {
			tasks[i] = (struct counting_task){.task.run = count, .counter = &counter};
			pool_submit(pool, &tasks[i].task);
		}
		pool_free(pool);
		assert_int_equal(counter.done, 100);
	}
	pool_free(NULL);
}

#define STRANDS 7

static bool strands_idle(void *arg)
{
	const struct strand *strands = arg;
	for (unsigned i = 0; i < STRANDS; i++)
		if (strands[i].scheduled)
			return false;
	return true;
}

/* Each strand's tasks run one at a time and in order, whatever the workers. */
static void run_strands(unsigned workers)
{
	_cleanup_pool_ struct pool *pool = NULL;
	_cleanup_free_ struct counting_task *tasks = new0(struct counting_task, TASKS * STRANDS);
	struct strand strands[STRANDS];
	unsigned sequence[STRANDS] = {0};
	struct counter counter = {.wanted = TASKS * STRANDS};

	assert_int_equal(pool_new(workers, &pool, NULL), 0);
	for (unsigned s = 0; s < STRANDS; s++)
		strand_init(&strands[s], pool);
	for (unsigned i = 0; i < TASKS * STRANDS; i++) {
		unsigned s = i % STRANDS;
		tasks[i] = (struct counting_task){
		        .task.run = count_in_order,
		        .counter = &counter,
		        .value = i / STRANDS + 1,
		        .sequence = &sequence[s],
		};
		strand_submit(&strands[s], &tasks[i].task);
	}
	pool_wait(pool, strands_idle, strands);
	assert_int_equal(counter.done, TASKS * STRANDS);
	for (unsigned i = 0; i < TASKS * STRANDS; i++)
		assert_true(tasks[i].in_order);
}

static void test_strands(void **state)
{
	for (unsigned workers = 0; workers < 5; workers++)
		run_strands(workers);
}

/* What is urgent goes before all that was queued earlier. Without workers nothing runs before the wait. */
static void test_urgent_strand(void **state)
{
	_cleanup_pool_ struct pool *pool = NULL;
	struct counting_task tasks[20];
	struct counter counter = {.wanted = 10};
	struct strand strand;
	unsigned sequence = 0;

	assert_int_equal(pool_new(0, &pool, NULL), 0);
	strand_init(&strand, pool);
	strand.urgent = true;
	for (unsigned i = 0; i < 20; i++) {
		tasks[i] = (struct counting_task){.task.run = i < 10 ? count : count_in_order,
		                                  .counter = &counter,
		                                  .value = i - 9,
		                                  .sequence = &sequence};
		if (i < 10)
			pool_submit(pool, &tasks[i].task);
		else
			strand_submit(&strand, &tasks[i].task);
	}
	pool_wait(pool, counter_reached, &counter);
	assert_int_equal(sequence, 10);
	counter.wanted = 20;
	pool_wait(pool, counter_reached, &counter);
}

/* A task may submit others, also to its own strand, and may free itself. */
struct chain {
	struct task task;
	struct strand *strand;
	struct counter *counter;
	unsigned left;
};

static void run_chain(struct task *task)
{
	struct chain *chain = (struct chain *)task;
	struct chain copy = *chain;

	free(chain);
	atomic_fetch_add(&copy.counter->done, 1);
	if (copy.left == 0)
		return;
	struct chain *next = malloc(sizeof(*next));
	assert_non_null(next);
	*next = copy;
	next->left--;
	strand_submit(copy.strand, &next->task);
}

static void test_chain(void **state)
{
	for (unsigned workers = 0; workers < 3; workers++) {
		_cleanup_pool_ struct pool *pool = NULL;
		struct counter counter = {.wanted = 501};
		struct strand strands[STRANDS];
		struct chain *chain = malloc(sizeof(*chain));

		assert_non_null(chain);
		assert_int_equal(pool_new(workers, &pool, NULL), 0);
		for (unsigned s = 0; s < STRANDS; s++)
			strand_init(&strands[s], pool);
		*chain = (struct chain){{.run = run_chain}, &strands[0], &counter, 500};
		strand_submit(&strands[0], &chain->task);
		pool_wait(pool, counter_reached, &counter);
		pool_wait(pool, strands_idle, strands);
	}
}

static void note_signals(struct task *task)
{
	struct counting_task *t = (struct counting_task *)task;
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	t->value = sigismember(&set, SIGTERM) && sigismember(&set, SIGCHLD);
	t->in_order = true; /* it ran */
	atomic_fetch_add(&t->counter->done, 1);
}

static void test_signals_blocked(void **state)
{
	struct counter counter = {.wanted = 1};
	struct counting_task task = {.task.run = note_signals, .counter = &counter};
	_cleanup_pool_ struct pool *pool = NULL;
	sigset_t mine;

	assert_int_equal(pool_new(1, &pool, NULL), 0);
	pool_submit(pool, &task.task);
	while (!counter_reached(&counter)) /* only the worker may take it */
		usleep(100);
	assert_true(task.value);
	pthread_sigmask(SIG_BLOCK, NULL, &mine);
	assert_false(sigismember(&mine, SIGTERM));
}

/* What was given back is taken again, up to the number that is kept. */
static void test_buffers(void **state)
{
	_cleanup_pool_ struct pool *pool = NULL;
	void *buffers[3];
	assert_int_equal(pool_new(0, &pool, NULL), 0);
	pool_keep_buffers(pool, 2);
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(buffers[i] = pool_buffer_take(pool));
		memset(buffers[i], 'x', POOL_BUFFER);
	}
	for (size_t i = 0; i < 3; i++)
		pool_buffer_give(pool, buffers[i]);
	assert_ptr_equal(pool_buffer_take(pool), buffers[1]);
	assert_ptr_equal(pool_buffer_take(pool), buffers[0]);
	pool_buffer_give(pool, buffers[0]);
	pool_keep_buffers(pool, 0);
	pool_buffer_give(pool, buffers[1]);
	assert_ptr_equal(pool_buffer_take(pool), buffers[0]);
	pool_buffer_give(pool, buffers[0]);
	pool_buffer_give(pool, NULL);
}

/* No call of a task waits until all processors know of a larger table of descriptors (base/pool.c). */
static void test_descriptor_table(void **state)
{
	_cleanup_pool_ struct pool *pool = NULL;
	struct rlimit limit;
	char line[256];
	unsigned size = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 512)
		skip();
	assert_int_equal(pool_new(1, &pool, NULL), 0);
	FILE *status = fopen("/proc/self/status", "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		(void)sscanf(line, "FDSize: %u", &size);
	fclose(status);
	assert_true(size >= 512);
}

static void test_cpu_count(void **state)
{
	unsigned n = pool_cpu_count();
	assert_in_range(n, 1, (unsigned)sysconf(_SC_NPROCESSORS_CONF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tasks),     cmocka_unit_test(test_free_runs_rest),
	        cmocka_unit_test(test_strands),   cmocka_unit_test(test_urgent_strand),
	        cmocka_unit_test(test_chain),     cmocka_unit_test(test_signals_blocked),
	        cmocka_unit_test(test_buffers),   cmocka_unit_test(test_descriptor_table),
	        cmocka_unit_test(test_cpu_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
