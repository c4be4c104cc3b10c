/* SPDX-License-Identifier: Apache-2.0 */
/* The library as a caller sees it, as in test_api.c: what is read back of a store, its settings and locks, files in private
 * directories, and many threads on one handle. */
#include "api_fixture.h"
#include <errno.h>
#include <pthread.h>

DEFINE_CLEANUP(cst_lock *, cst_lock_free)
DEFINE_CLEANUP(cst_strings *, cst_strings_free)
DEFINE_CLEANUP(cst_changes *, cst_changes_free)

#define DIGEST "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"

/* ---- reading back ---- */

static void test_lookup(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_layer_list_freep) cst_layer_list *layers = NULL;
	_cleanup_(cst_layer_freep) cst_layer *base = NULL;
	_cleanup_(cst_changes_freep) cst_changes *changes = NULL;
	cst_store *store = api->store;
	char *id = NULL;
	fill(api);
	assert_int_equal(cst_store_lookup(store, "image-n", &id, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_lookup(store, "ima", &id, NULL), 0);
	assert_string_equal(id, "image");
	cst_free(id);
	assert_int_equal(cst_store_layer(store, "base-name", &base, NULL), 0);
	assert_int_equal(
	        cst_store_layers_by_diff_digest(store, cst_layer_diff_digest(base), &layers, NULL),
	        0);
	assert_int_equal(cst_layer_list_size(layers), 1);
	cst_layer_list *none = NULL;
	assert_int_equal(cst_store_layers_by_toc_digest(store, DIGEST, &none, NULL),
	                 CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_layers_by_toc_digest(store, "sha256:no", &none, NULL),
	                 CST_EINVAL);
	assert_null(none);
	assert_int_equal(cst_store_changes(store, NULL, "base", &changes, NULL), 0);
	assert_int_equal(cst_changes_size(changes), 2);
}

static void test_diff(void **state)
{
	const struct api *api = api_of(state);
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	int64_t size = 0;
	fill(api);
	assert_int_equal(cst_store_diff(api->store, NULL, "base", NULL, &sink, NULL), 0);
	assert_int_equal(memory.size, api->tar.len);
	assert_memory_equal(memory.data, api->tar.data, api->tar.len);
	assert_int_equal(cst_store_layer_size(api->store, "base", &size, NULL), 0);
	assert_int_equal(size, api->tar.len);
	free(memory.data);
}

static int refuse(void *userdata, const void *data, size_t size, cst_error **error)
{
	return userdata ? cst_error_set(error, CST_EIO_CALLBACK, ENOSPC, "my disk is full") : -1;
}

static int64_t break_off(void *userdata, void *buffer, size_t size, cst_error **error)
{
	return cst_error_set(error, CST_EIO_CALLBACK, EPIPE, "my network is gone");
}

static int64_t say_nothing(void *userdata, void *buffer, size_t size, cst_error **error)
{
	int *calls = userdata;
	if ((*calls)++ == 0) { /* a whole header first */
		memset(buffer, 0, MIN(size, (size_t)512));
		return (int64_t)MIN(size, (size_t)512);
	}
	return -1;
}

static int64_t lie(void *userdata, void *buffer, size_t size, cst_error **error)
{
	return (int64_t)size + 1;
}

static int cancel(const cst_progress_state *progress, void *userdata)
{
	return 1;
}

static void test_callbacks(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_error_ cst_error *error = NULL;
	cst_sink sink = {.write = refuse, .userdata = &sink};
	fill(api);
	assert_int_equal(cst_store_diff(api->store, NULL, "base", NULL, &sink, &error),
	                 CST_EIO_CALLBACK);
	assert_non_null(strstr(cst_error_message(error), "my disk is full"));
	assert_int_equal(cst_error_errno(error), ENOSPC);
	cst_error_free(steal_ptr(&error));
	sink.userdata = NULL; /* fails without saying why */
	assert_int_equal(cst_store_diff(api->store, NULL, "base", NULL, &sink, &error),
	                 CST_EIO_CALLBACK);
	cst_error_free(steal_ptr(&error));

	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	cst_source source = {.read = break_off};
	options.id = "new";
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, &error),
	                 CST_EIO_CALLBACK);
	assert_non_null(strstr(cst_error_message(error), "my network is gone"));
	int calls = 0;
	source = (cst_source){.read = say_nothing, .userdata = &calls};
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL),
	                 CST_EIO_CALLBACK);
	source = (cst_source){.read = lie};
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL),
	                 CST_EIO_CALLBACK);
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_progress progress = {.callback = cancel};
	source = cst_source_memory(&memory);
	options.progress = &progress;
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL),
	                 CST_ECANCELED);
	memory = (cst_memory){.data = api->tar.data, .size = 700};
	options.progress = NULL;
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL),
	                 CST_EARCHIVE);
	assert_false(cst_store_exists(api->store, "new"));
}

static int count_progress(const cst_progress_state *progress, void *userdata)
{
	++*(int *)userdata;
	return 0;
}

static int count_wait(const cst_wait_state *wait, void *userdata)
{
	int *left = userdata;
	assert_non_null(strstr(wait->lock, "layers.lock"));
	return (*left)-- == 0;
}

static cst_store *open_with_waits(const struct api *api, uint32_t timeout_ms, const cst_wait *wait)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_store *store = NULL;
	options.graph_root = api->root;
	options.run_root = api->run;
	options.driver = api->driver;
	options.lock_timeout_ms = timeout_ms;
	options.wait = wait;
	assert_int_equal(cst_store_open(&options, &store, NULL), 0);
	return store;
}

/* With layers.lock held by somebody else. */
static void test_waits_for_locks(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_lock_freep) cst_lock *lock = NULL;
	_cleanup_free_ char *path = str_printf("%s/%s-layers/layers.lock", api->root, api->driver);
	_cleanup_error_ cst_error *error = NULL;
	fill(api);
	int left = 3, calls = 0;
	const cst_wait wait = {.callback = count_wait, .userdata = &left};
	_cleanup_(cst_store_closep) cst_store *hasty = open_with_waits(api, 50, NULL);
	_cleanup_(cst_store_closep) cst_store *asking = open_with_waits(api, 0, &wait);
	assert_int_equal(cst_lock_open(path, false, &lock, NULL), 0);
	assert_int_equal(cst_lock_lock_for(lock, CST_LOCK_WRITE, 5000, NULL, NULL), 0);
	cst_layer_list *layers = NULL;
	assert_int_equal(cst_store_layers(hasty, &layers, &error), CST_ETIMEOUT);
	assert_non_null(strstr(cst_error_message(error), path));
	cst_error_free(steal_ptr(&error));
	assert_int_equal(cst_store_delete_image(hasty, "image", true, NULL, NULL), CST_ETIMEOUT);
	assert_int_equal(cst_store_layers(asking, &layers, NULL), CST_ECANCELED);
	assert_int_equal(left, -1);
	assert_null(layers);
	/* The callback of an operation ends its wait. */
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	cst_progress progress = {.callback = cancel};
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	options.id = "new";
	options.progress = &progress;
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL),
	                 CST_ECANCELED);
	assert_int_equal(memory.offset, 0); /* nothing was read */
	progress = (cst_progress){.callback = count_progress, .userdata = &calls};
	assert_int_equal(cst_store_create_layer(hasty, &options, &source, NULL, NULL),
	                 CST_ETIMEOUT);
	assert_in_range(calls, 1, 1000);
	/* It is not asked any more by the next operation. */
	calls = 0;
	assert_int_equal(cst_store_layers(hasty, &layers, NULL), CST_ETIMEOUT);
	assert_int_equal(calls, 0);
	cst_lock_unlock(lock);
	assert_false(cst_store_exists(api->store, "new"));
	assert_true(cst_store_exists(hasty, "image"));
}

static void test_snapshot(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_layer_list_freep) cst_layer_list *layers = NULL;
	_cleanup_(cst_image_list_freep) cst_image_list *images = NULL;
	_cleanup_(cst_container_list_freep) cst_container_list *containers = NULL;
	fill(api);
	assert_int_equal(cst_store_snapshot(api->store, &layers, &images, &containers, NULL), 0);
	assert_int_equal(cst_layer_list_size(layers), 3);
	assert_int_equal(cst_image_list_size(images), 1);
	assert_int_equal(cst_container_list_size(containers), 1);
	cst_image_list_free(steal_ptr(&images));
	assert_int_equal(cst_store_snapshot(api->store, NULL, &images, NULL, NULL), 0);
	assert_string_equal(cst_image_id(cst_image_list_get(images, 0)), "image");
	assert_int_equal(cst_store_snapshot(api->store, NULL, NULL, NULL, NULL), 0);
}

static void test_count(void **state)
{
	const struct api *api = api_of(state);
	size_t n_layers, n_images, n_containers;
	fill(api);
	assert_int_equal(cst_store_count(api->store, &n_layers, &n_images, &n_containers, NULL), 0);
	assert_int_equal(n_layers, 3);
	assert_int_equal(n_images, 1);
	assert_int_equal(n_containers, 1);
	n_images = 7;
	assert_int_equal(cst_store_count(api->store, NULL, &n_images, NULL, NULL), 0);
	assert_int_equal(n_images, 1);
}

/* One layer's size is recorded, another's is measured, for several images. One image has lost its layer. */
static void test_image_sizes(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_image_list_freep) cst_image_list *images = NULL;
	int64_t sizes[3] = {77, 77, 77}, size = 77;
	fill(api);
	assert_int_equal(create_image(api, "low", "base", NULL), 0);
	assert_int_equal(create_layer(api, "lost", "base", NULL, NULL), 0);
	assert_int_equal(create_image(api, "poor", "lost", NULL), 0);
	assert_int_equal(cst_store_delete(api->store, "lost", NULL, NULL, NULL), 0);
	assert_int_equal(cst_store_images(api->store, &images, NULL), 0);
	assert_int_equal(cst_image_list_size(images), 3);
	assert_int_equal(cst_store_image_sizes(api->store, images, sizes, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		const char *id = cst_image_id(cst_image_list_get(images, i));
		assert_int_equal(cst_store_image_size(api->store, id, &size, NULL), 0);
		assert_true(size > 0);
		assert_int_equal(sizes[i], size);
	}
	assert_int_equal(sizes[2], -1);
	assert_int_equal(cst_store_image_size(api->store, "poor", &size, NULL), CST_ELAYER_UNKNOWN);
}

static void test_settings(void **state)
{
	const struct api *api = api_of(state);
	cst_store *store = api->store;
	_cleanup_(cst_strings_freep) cst_strings *options = NULL;
	const cst_idmap *map;
	assert_string_equal(cst_store_graph_root(store), api->root);
	assert_string_equal(cst_store_run_root(store), api->run);
	assert_string_equal(cst_store_image_store(store), "");
	assert_string_equal(cst_store_driver(store), api->driver);
	assert_false(cst_store_transient(store));
	assert_int_equal(cst_store_driver_options(store, &options, NULL), 0);
	assert_int_equal(cst_strings_size(options), 0);
	assert_int_equal(cst_store_uid_map(store, &map), 0);
	assert_int_equal(cst_store_gid_map(store, &map), 0);
}

static void test_other_settings(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *store = NULL;
	_cleanup_free_ char *images = path_join(api->dir.path, "images"),
	                    *root = path_join(api->dir.path, "root2"),
	                    *run = path_join(api->dir.path, "run2");
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	options.graph_root = root;
	options.run_root = run;
	options.image_store = images;
	options.driver = api->driver;
	options.transient_store = true;
	assert_int_equal(cst_store_open(&options, &store, NULL), 0);
	assert_string_equal(cst_store_image_store(store), images);
	assert_true(cst_store_transient(store));
	assert_int_equal(cst_store_shutdown(store, true, NULL, NULL), 0);
}

static void test_digest_lock(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_lock_freep) cst_lock *lock = NULL, *other = NULL, *none = NULL;
	_cleanup_free_ char *wanted = str_printf("%s/%s-locks/%s", api->run, api->driver, DIGEST);
	assert_int_equal(cst_store_digest_lock(api->store, "../../x", &none, NULL), CST_EINVAL);
	assert_int_equal(cst_store_digest_lock(api->store, DIGEST, &lock, NULL), 0);
	assert_int_equal(cst_store_digest_lock(api->store, DIGEST, &other, NULL), 0);
	assert_string_equal(cst_lock_path(lock), wanted);
	assert_int_equal(cst_lock_lock(lock, CST_LOCK_WRITE, NULL), 0);
	assert_int_equal(cst_lock_try(other, CST_LOCK_WRITE, NULL), CST_EBUSY);
	cst_lock_unlock(lock);
	assert_null(none);
}

/* ---- files in private directories ---- */

static int file_set(const struct api *api, enum cst_kind kind, const char *file, const char *text)
{
	return cst_store_set_directory_file(api->store, kind,
	                                    kind == CST_KIND_IMAGE ? "image" : "box", CST_DIRECTORY,
	                                    file, text, strlen(text), NULL);
}

static int file_get(const struct api *api, const char *file, void **data, cst_error **error)
{
	size_t size;
	return cst_store_directory_file(api->store, CST_KIND_CONTAINER, "box-name", CST_DIRECTORY,
	                                file, data, &size, error);
}

static void test_directory_files(void **state)
{
	const struct api *api = api_of(state);
	void *data = NULL;
	size_t size = 0;
	fill(api);
	assert_int_equal(file_set(api, CST_KIND_CONTAINER, "a/b/file", "one"), 0);
	assert_int_equal(file_set(api, CST_KIND_CONTAINER, "a/b/file", "other"), 0);
	assert_int_equal(file_get(api, "a/b/file", &data, NULL), 0);
	assert_string_equal(data, "other");
	cst_free(data);
	assert_int_equal(file_set(api, CST_KIND_IMAGE, "file", "of the image"), 0);
	assert_int_equal(cst_store_set_directory_file(api->store, CST_KIND_CONTAINER, "box",
	                                              CST_RUN_DIRECTORY, "r", "run", 3, NULL),
	                 0);
	assert_int_equal(cst_store_directory_file(api->store, CST_KIND_CONTAINER, "box",
	                                          CST_RUN_DIRECTORY, "r", &data, &size, NULL),
	                 0);
	assert_int_equal(size, 3);
	cst_free(data);
	data = NULL;
	assert_int_equal(file_get(api, "none", &data, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(file_get(api, "a/b", &data, NULL), CST_EINVAL);
	assert_int_equal(cst_store_set_directory_file(api->store, CST_KIND_LAYER, "base",
	                                              CST_DIRECTORY, "f", "", 0, NULL),
	                 CST_EINVAL);
	assert_int_equal(cst_store_set_directory_file(api->store, CST_KIND_IMAGE, "image",
	                                              (enum cst_directory)5, "f", "", 0, NULL),
	                 CST_EINVAL);
	assert_null(data);
}

static void test_directory_files_stay_inside(void **state)
{
	static const char *const bad[] = {"",   "/etc/x", "../x", "a/../../x",
	                                  "a/", "a//b",   ".",    ".."};
	const struct api *api = api_of(state);
	char *path = NULL;
	void *data = NULL;
	fill(api);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(file_set(api, CST_KIND_CONTAINER, bad[i], "x"), CST_EINVAL);
		assert_int_equal(file_get(api, bad[i], &data, NULL), CST_EINVAL);
	}
	assert_int_equal(cst_store_container_directory(api->store, "box", &path, NULL), 0);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat(api->dir.path, fd, "out"), 0);
	assert_int_equal(symlinkat("../../..", fd, "up"), 0);
	assert_int_equal(symlinkat("/etc/hostname", fd, "link"), 0);
	assert_int_equal(file_set(api, CST_KIND_CONTAINER, "out/x", "x"), CST_ESYS);
	assert_int_equal(file_set(api, CST_KIND_CONTAINER, "up/x", "x"), CST_ESYS);
	assert_int_equal(file_get(api, "link", &data, NULL), CST_ESYS);
	assert_false(fs_exists(api->dir.fd, "x"));
	assert_int_equal(file_set(api, CST_KIND_CONTAINER, "link", "mine"), 0); /* replaced */
	assert_int_equal(file_get(api, "link", &data, NULL), 0);
	assert_string_equal(data, "mine");
	cst_free(data);
	cst_free(path);
}

/* ---- threads ---- */

struct worker {
	struct api *api;
	int number, failed;
	char message[256];
};

static int one_round(struct worker *worker, int round, cst_error **error)
{
	cst_store *store = worker->api->store;
	char name[32], *id = NULL, *path = NULL;
	const char *names = name;
	cst_layer *layer = NULL;
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	cst_memory memory = {.data = worker->api->tar.data, .size = worker->api->tar.len};
	cst_memory out = {0};
	cst_source source = cst_source_memory(&memory);
	cst_sink sink = cst_sink_memory(&out);
	snprintf(name, sizeof(name), "w%d-%d", worker->number, round);
	options.names = &names;
	options.n_names = 1;
	int r = cst_store_create_layer(store, &options, &source, &layer, error);
	if (r == 0)
		r = cst_store_lookup(store, name, &id, error);
	if (r == 0)
		r = cst_store_mount(store, id, NULL, &path, error);
	if (r == 0)
		r = cst_store_diff(store, NULL, name, NULL, &sink, error);
	if (r == 0)
		r = cst_store_set_metadata(store, id, name, error);
	if (r == 0)
		r = cst_store_unmount(store, id, false, NULL, error);
	if (r == 0 && round % 2)
		r = cst_store_delete_layer(store, id, error);
	cst_layer_free(layer);
	cst_free(id);
	cst_free(path);
	free(out.data);
	return r;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	cst_error *error = NULL;
	for (int round = 0; round < 6 && worker->failed == 0; round++)
		worker->failed = one_round(worker, round, &error);
	if (error)
		snprintf(worker->message, sizeof(worker->message), "%s", cst_error_message(error));
	cst_error_free(error);
	return NULL;
}

/* An image is made after its layer and goes before it: in no snapshot is it without. */
static void *watch(void *arg)
{
	struct worker *worker = arg;
	for (int round = 0; round < 40 && worker->failed == 0; round++) {
		_cleanup_(cst_layer_list_freep) cst_layer_list *layers = NULL;
		_cleanup_(cst_image_list_freep) cst_image_list *images = NULL;
		_cleanup_(cst_container_list_freep) cst_container_list *containers = NULL;
		worker->failed =
		        cst_store_snapshot(worker->api->store, &layers, &images, &containers, NULL);
		for (size_t i = 0; i < cst_image_list_size(images); i++) {
			const char *top = cst_image_top_layer(cst_image_list_get(images, i));
			bool found = false;
			for (size_t j = 0; j < cst_layer_list_size(layers); j++)
				found = found ||
				        streq(top, cst_layer_id(cst_layer_list_get(layers, j)));
			if (!found)
				worker->failed = CST_ECORRUPT;
		}
	}
	return NULL;
}

static void *make_and_delete_images(void *arg)
{
	struct worker *worker = arg;
	for (int round = 0; round < 6 && worker->failed == 0; round++) {
		worker->failed = create_layer(worker->api, "top", NULL, NULL, NULL);
		if (worker->failed == 0)
			worker->failed = create_image(worker->api, "image", "top", NULL);
		if (worker->failed == 0)
			worker->failed = cst_store_delete_image(worker->api->store, "image", true,
			                                        NULL, NULL);
	}
	return NULL;
}

static void test_threads(void **state)
{
	void *(*const jobs[])(void *) = {work, work, work, watch, make_and_delete_images};
	struct api *api = api_of(state);
	struct worker workers[ARRAY_SIZE(jobs)] = {0};
	pthread_t threads[ARRAY_SIZE(jobs)];
	_cleanup_(cst_layer_list_freep) cst_layer_list *layers = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		workers[i] = (struct worker){.api = api, .number = (int)i};
		assert_int_equal(pthread_create(&threads[i], NULL, jobs[i], &workers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		if (workers[i].failed)
			print_message("worker %zu: %d %s\n", i, workers[i].failed,
			              workers[i].message);
		assert_int_equal(workers[i].failed, 0);
	}
	assert_int_equal(cst_store_layers(api->store, &layers, NULL), 0);
	assert_int_equal(cst_layer_list_size(layers), 3 * 3);
}

/* ---- both drivers ---- */

#define EACH(X)                             \
	X(test_lookup)                      \
	X(test_diff)                        \
	X(test_callbacks)                   \
	X(test_waits_for_locks)             \
	X(test_snapshot)                    \
	X(test_count)                       \
	X(test_image_sizes)                 \
	X(test_settings)                    \
	X(test_other_settings)              \
	X(test_digest_lock)                 \
	X(test_directory_files)             \
	X(test_directory_files_stay_inside) \
	X(test_threads)

DEFINE_RUN_ON_DRIVERS("api reading", EACH)

int main(void)
{
	return run_on_drivers();
}
