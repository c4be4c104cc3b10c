/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in one set by several threads at once. What they find is right, also where the index turns out to be damaged in the
 * middle of them; the thread sanitizer looks on. */
#include "index_fixture.h"

#include <pthread.h>

#define MANY    400
#define THREADS 4

struct worker {
	const struct record_set *plain, *t;
	unsigned first;
	pthread_t thread;
};

static void *look(void *userdata)
{
	const struct worker *w = userdata;
	for (unsigned i = 0; i < MANY; i += 7)
		same_by_id(w->plain, w->t, (w->first + i) % MANY, false);
	same_list(w->plain, w->t);
	same_by_digest(w->plain, w->t, false);
	assert_int_equal(record_set_size(w->t), MANY);
	assert_int_equal(record_set_problem(w->t, NULL), 0);
	return NULL;
}

static void look_at_once(const struct record_set *plain, const struct record_set *t)
{
	struct worker workers[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){plain, t, i * MANY / THREADS, 0};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, look, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

/* Of the index `left` bytes are left once it is open; -1: all. */
static void look_at_damaged(off_t left)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	put_layers(&f, "layers.json", 1, 0, MANY);
	_cleanup_layers_ struct record_set *plain = layers_loaded(&f);
	_cleanup_layers_ struct record_set *first = indexed(layers_new(&f), &f);
	load(&f, first, true);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
	load(&f, t, true);
	_cleanup_free_ char *path = index_path(&f);
	if (left >= 0)
		assert_int_equal(truncate(path, left), 0);
	look_at_once(plain, t);
	assert_int_equal(t->base != NULL, left < 0);
}

static void test_whole(void **state)
{
	look_at_damaged(-1);
}

static void test_damaged(void **state)
{
	look_at_damaged(0);
	look_at_damaged(4096);
	look_at_damaged(16384);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_whole),
	        cmocka_unit_test(test_damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
