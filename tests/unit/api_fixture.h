/* SPDX-License-Identifier: Apache-2.0 */
/* A store with something in it, through public functions only, with vfs and, where it can be
 * mounted, overlay. */
#ifndef CST_TESTS_UNIT_API_FIXTURE_H
#define CST_TESTS_UNIT_API_FIXTURE_H

#include "tar_build.h"
#include "test.h"
#include <cstorage/cstorage.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

DEFINE_CLEANUP(cst_store *, cst_store_close)
DEFINE_CLEANUP(cst_layer *, cst_layer_free)
DEFINE_CLEANUP(cst_image *, cst_image_free)
DEFINE_CLEANUP(cst_container *, cst_container_free)
DEFINE_CLEANUP(cst_layer_list *, cst_layer_list_free)
DEFINE_CLEANUP(cst_image_list *, cst_image_list_free)
DEFINE_CLEANUP(cst_container_list *, cst_container_list_free)

struct api {
	struct test_dir dir;
	char root[96], run[96];
	const char *driver;
	cst_store *store;
	struct strbuf tar;
};

static inline int open_store(const struct api *api, bool read_only, cst_store **store,
                             cst_error **error)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	options.graph_root = api->root;
	options.run_root = api->run;
	options.driver = api->driver;
	options.read_only = read_only;
	return cst_store_open(&options, store, error);
}

/* A second store that reads the first one. */
static inline int open_store_over(const struct api *api, cst_store **store, cst_error **error)
{
	_cleanup_free_ char *option = str_printf("%s.imagestore=%s", api->driver, api->root);
	const char *driver_option = option;
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	char root[112];
	snprintf(root, sizeof(root), "%s/root2", api->dir.path);
	options.graph_root = root;
	options.run_root = api->run;
	options.driver = api->driver;
	options.driver_options = &driver_option;
	options.n_driver_options = 1;
	return cst_store_open(&options, store, error);
}

/* The store of the test, opened again with one more option of pulls. */
static inline void reopen_with_pull_option(struct api *api, const char *option, bool as_upstream)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_store_close(steal_ptr(&api->store));
	options.graph_root = api->root;
	options.run_root = api->run;
	options.driver = api->driver;
	options.pull_options = &option;
	options.n_pull_options = 1;
	options.as_upstream = as_upstream;
	assert_int_equal(cst_store_open(&options, &api->store, NULL), 0);
}

/* The store of the test, opened again with one option of its driver. */
static inline int reopen_with_driver_option(struct api *api, const char *option, cst_error **error)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	cst_store_close(steal_ptr(&api->store));
	options.graph_root = api->root;
	options.run_root = api->run;
	options.driver = api->driver;
	options.driver_options = &option;
	options.n_driver_options = 1;
	return cst_store_open(&options, &api->store, error);
}

/* The plain tar of a layer, in memory that the caller frees. */
static inline cst_memory plain_tar(const struct api *api, const char *id)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_memory memory = {0};
	const cst_sink sink = cst_sink_memory(&memory);
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	options.compression = CST_PLAIN;
	if (cst_store_diff(api->store, NULL, id, &options, &sink, &error) < 0)
		fail_msg("%s", cst_error_message(error));
	return memory;
}

static inline int create_layer(const struct api *api, const char *id, const char *parent,
                               const char *name, cst_layer **layer)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	options.id = id;
	options.parent = parent;
	options.names = &name;
	options.n_names = name ? 1 : 0;
	return cst_store_create_layer(api->store, &options, parent ? NULL : &source, layer, NULL);
}

static inline int create_image(const struct api *api, const char *id, const char *layer,
                               const char *name)
{
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	cst_data_item data = {.key = "config", .data = "{}", .data_size = 2};
	options.id = id;
	options.layer = layer;
	options.names = &name;
	options.n_names = name ? 1 : 0;
	options.data = &data;
	options.n_data = 1;
	return cst_store_create_image(api->store, &options, NULL, NULL);
}

static inline int create_container(const struct api *api, const char *id, const char *image,
                                   const char *name)
{
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	options.id = id;
	options.image = image;
	options.layer = "box-layer";
	options.names = &name;
	options.n_names = name ? 1 : 0;
	return cst_store_create_container(api->store, &options, NULL, NULL);
}

/* base <- top; image `image` on top; container `box` of it with the layer `box-layer`. */
static inline void fill(const struct api *api)
{
	assert_int_equal(create_layer(api, "base", NULL, "base-name", NULL), 0);
	assert_int_equal(create_layer(api, "top", "base", NULL, NULL), 0);
	assert_int_equal(create_image(api, "image", "top", "image-name"), 0);
	assert_int_equal(create_container(api, "box", "image", "box-name"), 0);
}

static inline int set_up(void **state, const char *driver)
{
	struct api *api = calloc(1, sizeof(*api));
	cst_error *error = NULL;
	*state = api;
	api->driver = driver;
	api->dir = test_dir_make();
	snprintf(api->root, sizeof(api->root), "%s/root", api->dir.path);
	snprintf(api->run, sizeof(api->run), "%s/run", api->dir.path);
	TAR_ADD(&api->tar, .name = "etc/", .type = '5', .mode = 0755, .uid = getuid(),
	        .gid = getgid());
	TAR_ADD(&api->tar, .name = "etc/hostname", .data = "box\n", .len = 4, .uid = getuid(),
	        .gid = getgid());
	tar_add_end(&api->tar);
	if (open_store(api, false, &api->store, &error) < 0)
		print_message("%s: %s\n", driver, cst_error_message(error));
	cst_error_free(error);
	return 0;
}

static inline int set_up_vfs(void **state)
{
	return set_up(state, "vfs");
}

static inline int set_up_overlay(void **state)
{
	return set_up(state, "overlay");
}

static inline int tear_down(void **state)
{
	struct api *api = *state;
	if (api->store)
		(void)cst_store_shutdown(api->store, true, NULL, NULL);
	cst_store_close(api->store);
	strbuf_free(&api->tar);
	test_dir_remove(&api->dir);
	free(api);
	return 0;
}

/* The store of this test; what cannot be mounted is not tested. */
static inline struct api *api_of(void **state)
{
	struct api *api = *state;
	if (!api->store && streq(api->driver, "overlay"))
		skip_because("no overlay store can be opened here");
	assert_non_null(api->store);
	return api;
}

static inline bool own_mounts(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

#define ON_VFS(f)     cmocka_unit_test_setup_teardown(f, set_up_vfs, tear_down),
#define ON_OVERLAY(f) {#f " on overlay", f, set_up_overlay, tear_down, NULL},

static inline void help_thread_sanitizer(void)
{
#ifdef __SANITIZE_THREAD__
	/* It takes the clone() that holds a user namespace for a fork, and forgets what happened
	 * before what. */
	setenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP", "yes", 1);
#endif
}

/* run_on_drivers() runs every test of the list EACH(X), on vfs and on overlay; the number that
 * failed. */
#define DEFINE_RUN_ON_DRIVERS(name, each)                                                       \
	static int run_on_drivers(void)                                                         \
	{                                                                                       \
		const struct CMUnitTest vfs[] = {each(ON_VFS)};                                 \
		const struct CMUnitTest overlay[] = {each(ON_OVERLAY)};                         \
		help_thread_sanitizer();                                                        \
		int failed = cmocka_run_group_tests_name(name " on vfs", vfs, NULL, NULL);      \
		if (own_mounts())                                                               \
			failed += cmocka_run_group_tests_name(name " on overlay", overlay, NULL, \
			                                      NULL);                            \
		return failed;                                                                  \
	}

#endif
