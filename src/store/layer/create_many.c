/* SPDX-License-Identifier: Apache-2.0 */
/* Creates the layers of an image. The caller's thread plans and stages them in their order, tells of
 * the progress, and commits them all in one change. Threads of their own unpack them, several at the
 * same time. Each thread has its own pool, because an archive may have to wait for the content of the
 * layers below: a task that waits must not keep a thread from those that it waits for. A layer waits
 * only for lower ones, and those are handed out first, so that the lowest never waits. */
#include "base/thread.h"
#include "base/types.h"
#include "lock/tempdir.h"
#include "store/core/store.h"
#include "store/layer/create.h"
#include <stdatomic.h>
#include <time.h>

#define AT_ONCE_MAX     16
#define AT_ONCE_DEFAULT 4
#define TELL_EVERY_NS   100000000L

struct many;

struct one {
	struct many *many;
	struct new_layer layer;
	cst_layer_options options;
	const cst_source *diff;
	cst_progress progress;
	_Atomic uint64_t bytes, entries;
	bool filled; /* and failed, if `problem` says so */
	cst_error *problem;
};

struct many {
	cst_store *store;
	const cst_layers_options *options;
	struct one *items;
	size_t n;

	pthread_mutex_t lock;
	pthread_cond_t work;   /* something was staged, or the end */
	pthread_cond_t change; /* a layer was filled or failed */
	size_t n_staged, n_taken, n_done;
	size_t n_filled;        /* so many from the base on have their content */
	_Atomic size_t stop_at; /* layers from this one on need not go on */
	bool stopping;
	pthread_t threads[AT_ONCE_MAX];
	unsigned n_threads, at_once;
};

static void many_free(struct many *many)
{
	/* The children first: the parents of staged layers must live longer. */
	for (size_t i = many->n; many->items && i-- > 0;) {
		new_layer_free(&many->items[i].layer);
		cst_error_free(many->items[i].problem);
	}
	free(many->items);
	pthread_cond_destroy(&many->work);
	pthread_cond_destroy(&many->change);
	pthread_mutex_destroy(&many->lock);
}

/* ---- what is asked for ---- */

static int check_one(const struct many *many, size_t i, cst_error **error)
{
	const struct one *one = &many->items[i], *first = &many->items[0];
	const char *problem = NULL;
	if (!one->diff)
		problem = "it has no archive";
	else if (!isempty(one->options.template_layer) || one->options.n_data)
		problem = "a template and data items are not possible here";
	else if (i > 0 && !isempty(one->options.parent))
		problem = "its parent is the layer before it";
	else if (one->options.writable != first->options.writable ||
	         one->options.is_volatile != first->options.is_volatile)
		problem = "it is kept in another place than the first layer";
	return problem ? error_set(error, CST_EINVAL, "layer %zu of %zu: %s", i + 1, many->n,
	                           problem)
	               : 0;
}

static int on_progress(const cst_progress_state *state, void *userdata)
{
	struct one *one = userdata;
	atomic_store_explicit(&one->bytes, state->bytes_done, memory_order_relaxed);
	atomic_store_explicit(&one->entries, state->entries_done, memory_order_relaxed);
	return atomic_load(&one->many->stop_at) <= one->layer.number;
}

static int take_options(struct many *many, cst_error **error)
{
	for (size_t i = 0; i < many->n; i++) {
		struct one *one = &many->items[i];
		one->options = (cst_layer_options)CST_LAYER_OPTIONS_INIT;
		one->many = many;
		one->diff = many->options->layers[i].diff;
		int r = options_take(&one->options, sizeof(one->options),
		                     many->options->layers[i].options, "cst_layer_options", error);
		if (r == 0)
			r = check_one(many, i, error);
		if (r < 0)
			return r;
		one->progress = (cst_progress){.callback = on_progress, .userdata = one};
		one->options.progress = &one->progress;
	}
	return 0;
}

static int check_twice(const struct many *many, const struct one *one, cst_error **error)
{
	const struct strv *names = &one->layer.names;
	for (const struct one *other = many->items; other < one; other++) {
		if (streq(other->layer.record.id, one->layer.record.id))
			return error_about(error, CST_EDUPLICATE_ID, one->layer.record.id);
		for (size_t i = 0; i < names->len; i++)
			if (strv_contains(&other->layer.names, names->items[i]))
				return error_about(error, CST_EDUPLICATE_NAME, names->items[i]);
	}
	return 0;
}

static int prefix(const struct many *many, size_t i, int code, cst_error **error)
{
	const char *id = many->items[i].options.id;
	if (isempty(id))
		return error_prefix(error, code, "layer %zu of %zu", i + 1, many->n);
	return error_prefix(error, code, "layer \"%s\"", id);
}

static int plan(struct many *many, cst_error **error)
{
	for (size_t i = 0; i < many->n; i++) {
		struct one *one = &many->items[i];
		one->layer.of_image = true;
		one->layer.number = (unsigned)i;
		one->layer.followed = i + 1 < many->n;
		one->layer.parent = i > 0 ? &many->items[i - 1].layer : NULL;
		int r = new_layer_plan(many->store, &one->options, &one->layer, error);
		if (r == 0)
			r = check_twice(many, one, error);
		if (r < 0)
			return prefix(many, i, r, error);
	}
	return 0;
}

/* ---- the threads that unpack ---- */

/* All layers below this one have their content. CST_ECANCELED: one of them failed. */
static int await_parent(void *userdata, cst_error **error)
{
	struct one *one = userdata;
	struct many *many = one->many;
	size_t number = one->layer.number;
	pthread_mutex_lock(&many->lock);
	while (many->n_filled < number && many->stop_at > number)
		pthread_cond_wait(&many->change, &many->lock);
	bool there = many->n_filled >= number;
	pthread_mutex_unlock(&many->lock);
	return there ? 0 : error_set(error, CST_ECANCELED, "a layer below failed");
}

static void fill(struct one *one, struct pool *pool)
{
	struct many *many = one->many;
	const struct layer_unpacking how = {
	        .options = &one->options,
	        .diff = one->diff,
	        .pool = pool,
	        .await_parent = await_parent,
	        .await_userdata = one,
	};
	int r = pool ? new_layer_unpack(many->store, &how, &one->layer, &one->problem)
	             : error_oom(&one->problem);
	pthread_mutex_lock(&many->lock);
	one->filled = r == 0;
	while (many->n_filled < many->n && many->items[many->n_filled].filled)
		many->n_filled++;
	/* Those below go on: if one of them fails, too, its error is the one to tell. */
	if (r < 0 && one->layer.number + 1 < many->stop_at)
		many->stop_at = one->layer.number + 1;
	many->n_done++;
	pthread_cond_broadcast(&many->change);
	pthread_mutex_unlock(&many->lock);
}

static void *run(void *userdata)
{
	struct many *many = userdata;
	_cleanup_pool_ struct pool *pool = NULL;
	if (pool_new(pool_cpu_count(), &pool, NULL) == 0)
		pool_keep_buffers(pool, UNPACK_BUFFERS);
	pthread_mutex_lock(&many->lock);
	for (;;) {
		while (many->n_taken == many->n_staged && !many->stopping)
			pthread_cond_wait(&many->work, &many->lock);
		if (many->n_taken == many->n_staged)
			break;
		struct one *one = &many->items[many->n_taken++];
		pthread_mutex_unlock(&many->lock);
		fill(one, pool);
		pthread_mutex_lock(&many->lock);
	}
	pthread_mutex_unlock(&many->lock);
	return NULL;
}

static int start_thread(struct many *many, cst_error **error)
{
	if (many->n_threads == many->at_once)
		return 0;
	int r = thread_start(&many->threads[many->n_threads], run, many);
	if (r != 0 && many->n_threads == 0)
		return error_sys(error, r, "pthread_create");
	many->n_threads += r == 0;
	return 0;
}

static void end_threads(struct many *many)
{
	pthread_mutex_lock(&many->lock);
	many->stopping = true;
	pthread_cond_broadcast(&many->work);
	pthread_mutex_unlock(&many->lock);
	for (unsigned i = 0; i < many->n_threads; i++)
		pthread_join(many->threads[i], NULL);
}

/* ---- the caller's thread meanwhile ---- */

static int tell(const struct many *many, cst_error **error)
{
	cst_progress_state state = {.size = sizeof(state), .what = "import"};
	for (size_t i = 0; i < many->n; i++) {
		state.bytes_done += many->items[i].bytes;
		state.entries_done += many->items[i].entries;
	}
	return progress_tell(many->options->progress, &state, error);
}

/* Waits until at most `left` of the staged layers are not done, or the caller does not want them any more. */
static int wait_for(struct many *many, size_t left, cst_error **error)
{
	int r = 0;
	pthread_mutex_lock(&many->lock);
	while (r == 0 && many->n_staged - many->n_done > left) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TELL_EVERY_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (many->options->progress)
			pthread_cond_timedwait(&many->change, &many->lock, &until);
		else
			pthread_cond_wait(&many->change, &many->lock);
		pthread_mutex_unlock(&many->lock);
		r = tell(many, error);
		pthread_mutex_lock(&many->lock);
	}
	if (r < 0) {
		many->stop_at = 0;
		pthread_cond_broadcast(&many->change);
	}
	pthread_mutex_unlock(&many->lock);
	return r;
}

static void hand_out(struct many *many)
{
	pthread_mutex_lock(&many->lock);
	many->n_staged++;
	pthread_cond_signal(&many->work);
	pthread_mutex_unlock(&many->lock);
}

/* Stages layers and hands them out as fast as they are done. One is ready in advance, except where staging copies the
 * parent, which has to be done by then. */
static int stage_all(struct many *many, cst_error **error)
{
	bool whole = many->store->driver->ops->capabilities & DRIVER_WHOLE_TREES;
	for (size_t i = 0; i < many->n; i++) {
		struct one *one = &many->items[i];
		int r = wait_for(many, whole ? 0 : many->at_once, error);
		if (r < 0 || many->stop_at <= i)
			return r;
		if (i > 0)
			one->layer.metadata = tempdir_share(many->items[0].layer.metadata);
		else
			r = metadata_stage(many->store, &one->layer.metadata, error);
		if (r == 0)
			r = new_layer_stage(many->store, &one->options, &one->layer, error);
		if (r == 0)
			r = start_thread(many, error);
		if (r < 0)
			return prefix(many, i, r, error);
		hand_out(many);
	}
	return wait_for(many, 0, error);
}

/* The error of the lowest layer that failed. */
static int first_problem(struct many *many, cst_error **error)
{
	for (size_t i = 0; i < many->n; i++) {
		cst_error *problem = steal_ptr(&many->items[i].problem);
		if (problem)
			return prefix(many, i, error_propagate(error, problem), error);
	}
	return 0;
}

static int fill_all(struct many *many, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = stage_all(many, &problem);
	end_threads(many);
	int failed = r == CST_ECANCELED ? 0 : first_problem(many, error);
	if (failed < 0)
		return failed;
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

/* What depends on the order, then the one barrier, and what goes before the lock. */
static int finish(struct many *many, cst_error **error)
{
	const struct new_layer *first = &many->items[0].layer;
	const struct driver_ops *ops = first->driver->ops;
	int r = 0;
	for (size_t i = 0; r == 0 && ops->stage_settle && i < many->n; i++)
		r = ops->stage_settle(many->items[i].layer.staged, error);
	if (r == 0 && first->driver->sync_content)
		r = ops->stage_barrier(first->staged, first->metadata->fd, error);
	for (size_t i = 0; r == 0 && i < many->n; i++)
		r = new_layer_prepare(&many->items[i].layer, error);
	return r;
}

/* ---- commit ---- */

static int give_list(const struct many *many, cst_layer_list **ret, cst_error **error)
{
	if (!ret)
		return 0;
	_cleanup_free_ const cst_layer **records = new0(const cst_layer *, many->n);
	for (size_t i = 0; records && i < many->n; i++)
		records[i] = layer_table_get(many->store->sets.layers.table,
		                             many->items[i].layer.record.id);
	cst_layer_list *list = records ? layer_list_new(records, many->n) : NULL;
	if (!list)
		return error_oom(error);
	*ret = list;
	return 0;
}

static int commit(struct many *many, cst_layer_list **ret, cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	int r = change_hold(&change, many->store, (struct hold_modes){.layers = HOLD_WRITE}, error);
	for (size_t i = 0; r == 0 && i < many->n; i++) {
		r = new_layer_check(many->store, &many->items[i].layer, error);
		if (r == 0)
			new_layer_add(&change, &many->items[i].layer, 0, NULL);
	}
	if (r == 0)
		r = change_commit(&change, error);
	/* If there is no memory for the copies, the layers exist all the same. */
	return r == 0 ? give_list(many, ret, error) : r;
}

static int create_many(struct many *many, cst_layer_list **ret, cst_error **error)
{
	_cleanup_lock_wait_ bool listening = lock_wait_listen(many->options->progress);
	cst_error *problem = NULL;
	int r = take_options(many, error);
	if (r == 0)
		r = plan(many, error);
	if (r < 0)
		return r;
	r = fill_all(many, &problem);
	if (r == 0)
		r = finish(many, &problem);
	if (r < 0)
		return new_layer_explain(many->store, &many->items[0].layer, problem, error);
	listening = lock_wait_listen(many->options->progress);
	return commit(many, ret, error);
}

static unsigned threads_for(const struct many *many)
{
	if (many->store->driver->ops->capabilities & DRIVER_WHOLE_TREES)
		return 1;
	unsigned most = many->options->at_once;
	return most ? MIN(most, (unsigned)AT_ONCE_MAX)
	            : MIN(pool_cpu_count(), (unsigned)AT_ONCE_DEFAULT);
}

int cst_store_create_layers(cst_store *store, const cst_layers_options *given, cst_layer_list **ret,
                            cst_error **error)
{
	cst_layers_options options = CST_LAYERS_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_layers_options", error);
	if (r == 0 && options.n_layers == 0)
		r = error_set(error, CST_EINVAL, "an image without layers needs none to be made");
	if (r < 0)
		return r;
	_cleanup_(many_free) struct many many = {.store = store,
	                                         .options = &options,
	                                         .items = new0(struct one, options.n_layers),
	                                         .n = options.n_layers,
	                                         .stop_at = SIZE_MAX};
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&many.lock, NULL);
	pthread_cond_init(&many.work, NULL);
	pthread_cond_init(&many.change, &monotonic);
	pthread_condattr_destroy(&monotonic);
	many.at_once = threads_for(&many);
	return many.items ? create_many(&many, ret, error) : error_oom(error);
}
