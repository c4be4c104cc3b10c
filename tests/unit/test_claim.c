/* SPDX-License-Identifier: Apache-2.0 */
/* Several want the content of one digest at the same time: one unpacks it, whoever that is in the end. */
#include "api_fixture.h"
#include "base/digest.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define THREADS 8

struct want {
	const struct api *api;
	cst_store *store;
	cst_memory memory;
	cst_source inner;
	bool was_read;
	cst_layer *layer;
	int result;
	char digest[DIGEST_TEXT_MAX];
};

static int64_t read_and_note(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct want *want = userdata;
	want->was_read = true;
	return want->inner.read(want->inner.userdata, buffer, size, error);
}

static void want_init(struct want *want, const struct api *api)
{
	*want = (struct want){.api = api};
	want->memory = (cst_memory){.data = api->tar.data, .size = api->tar.len};
	want->inner = cst_source_memory(&want->memory);
	assert_int_equal(
	        digest_buffer(DIGEST_SHA256, api->tar.data, api->tar.len, want->digest, NULL), 0);
	assert_int_equal(open_store(api, false, &want->store, NULL), 0);
}

static void want_done(struct want *want)
{
	cst_layer_free(want->layer);
	cst_store_close(want->store);
}

static int import(struct want *want, const char *id, const cst_source *source,
                  const cst_progress *progress)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	options.id = id;
	options.expected_digest = want->digest;
	options.progress = progress;
	return cst_store_create_layer(want->store, &options, source, &want->layer, NULL);
}

static void *import_noting(void *userdata)
{
	struct want *want = userdata;
	const cst_source source = {.read = read_and_note, .userdata = want};
	want->result = import(want, NULL, &source, NULL);
	return NULL;
}

static void one_unpacks(void **state)
{
	struct api *api = api_of(state);
	struct want wants[THREADS];
	pthread_t threads[THREADS];
	size_t readers = 0;
	for (size_t i = 0; i < THREADS; i++)
		want_init(&wants[i], api);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, import_noting, &wants[i]), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(wants[i].result, 0);
		assert_string_equal(cst_layer_id(wants[i].layer), cst_layer_id(wants[0].layer));
		readers += wants[i].was_read;
	}
	assert_int_equal(readers, 1);
	for (size_t i = 0; i < THREADS; i++)
		want_done(&wants[i]);
}

/* ---- the first dies ---- */

struct dying {
	int pipe[2];
	pid_t pid;
	bool waited;
};

static int64_t read_for_ever(void *userdata, void *buffer, size_t size, cst_error **error)
{
	const struct dying *dying = userdata;
	(void)!write(dying->pipe[1], "", 1);
	while (pause() < 0)
		;
	return 0;
}

static void be_first(const struct api *api, struct dying *dying)
{
	dying->pid = fork();
	if (dying->pid == 0) {
		struct want want;
		const cst_source source = {.read = read_for_ever, .userdata = dying};
		want_init(&want, api);
		(void)import(&want, NULL, &source, NULL);
		_exit(1);
	}
	char byte;
	assert_int_equal(read(dying->pipe[0], &byte, 1), 1);
}

static int kill_first(const cst_progress_state *state, void *userdata)
{
	struct dying *dying = userdata;
	if (streq(state->what, "wait") && !dying->waited) {
		dying->waited = true;
		kill(dying->pid, SIGKILL);
	}
	return 0;
}

static int give_up(const cst_progress_state *state, void *userdata)
{
	return streq(state->what, "wait");
}

static void next_takes_over(void **state)
{
	struct api *api = api_of(state);
	struct dying dying = {0};
	struct want want;
	assert_int_equal(pipe(dying.pipe), 0);
	be_first(api, &dying);
	want_init(&want, api);
	const cst_source source = {.read = read_and_note, .userdata = &want};
	const cst_progress impatient = {.callback = give_up};
	assert_int_equal(import(&want, "mine", &source, &impatient), CST_ECANCELED);
	assert_false(want.was_read);
	const cst_progress progress = {.callback = kill_first, .userdata = &dying};
	assert_int_equal(import(&want, "mine", &source, &progress), 0);
	assert_true(dying.waited && want.was_read);
	assert_string_equal(cst_layer_id(want.layer), "mine");
	waitpid(dying.pid, NULL, 0);
	want_done(&want);
	close(dying.pipe[0]);
	close(dying.pipe[1]);
}

/* ---- what is taken, and what is not ---- */

static void only_what_was_asked_for(void **state)
{
	struct api *api = api_of(state);
	struct want want;
	const char *ids[] = {"first", "first", NULL, "second"};
	const bool reads[] = {true, false, false, true};
	want_init(&want, api);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		const cst_source source = {.read = read_and_note, .userdata = &want};
		cst_layer_free(steal_ptr(&want.layer));
		want.was_read = false;
		want.memory.offset = 0;
		assert_int_equal(import(&want, ids[i], &source, NULL), 0);
		assert_string_equal(cst_layer_id(want.layer), ids[i] ? ids[i] : "first");
		assert_true(want.was_read == reads[i]);
	}
	want.memory.offset = 0;
	want.memory.size = 0;
	want.digest[10] = want.digest[10] == '0' ? '1' : '0';
	const cst_source source = {.read = read_and_note, .userdata = &want};
	assert_int_equal(import(&want, NULL, &source, NULL), CST_EARCHIVE);
	want.digest[0] = 'x';
	assert_int_equal(import(&want, NULL, &source, NULL), CST_EINVAL);
	want_done(&want);
}

#define EACH(X) X(one_unpacks) X(next_takes_over) X(only_what_was_asked_for)
DEFINE_RUN_ON_DRIVERS("claims", EACH)

int main(void)
{
	return run_on_drivers();
}
