/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library as a caller sees it: public functions only, on a store of its own, with vfs and,
 * where it can be mounted, overlay. What each error is called (docs/format/store.md, "Error
 * values"), and that out-parameters stay as they were on failure.
 */
#include "api_fixture.h"

DEFINE_CLEANUP(cst_lock *, cst_lock_free)
DEFINE_CLEANUP(cst_strings *, cst_strings_free)

#define DIGEST "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"

/* ---- errors ---- */

static void test_open_errors(void **state)
{
	const struct api *api = api_of(state);
	cst_store *store = (cst_store *)0x1;
	_cleanup_error_ cst_error *error = NULL;
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	assert_int_equal(cst_store_open(&options, &store, &error), CST_EINCOMPLETE_OPTIONS);
	assert_string_equal(cst_error_message(error), "no storage runroot or graphroot specified: "
	                                              "missing necessary StoreOptions");
	options.graph_root = api->root;
	options.run_root = api->run;
	options.driver = "no-such-driver";
	assert_int_equal(cst_store_open(&options, &store, NULL), CST_ENOTSUP);
	options.driver = api->driver;
	options.driver_options = (const char *const[]){"no-such-option=1"};
	options.n_driver_options = 1;
	assert_int_not_equal(cst_store_open(&options, &store, NULL), 0);
	assert_ptr_equal(store, (cst_store *)0x1);
}

static void test_unknown(void **state)
{
	cst_store *store = api_of(state)->store;
	cst_layer *layer = NULL;
	cst_image *image = NULL;
	cst_container *container = NULL;
	char *text = NULL;
	int count = 77;
	int64_t size = 77;
	assert_int_equal(cst_store_layer(store, "x", &layer, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_image(store, "x", &image, NULL), CST_EIMAGE_UNKNOWN);
	assert_int_equal(cst_store_container(store, "x", &container, NULL), CST_ECONTAINER_UNKNOWN);
	assert_int_equal(cst_store_lookup(store, "x", &text, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_metadata(store, "x", &text, NULL), CST_ENOT_AN_ID);
	assert_int_equal(cst_store_set_metadata(store, "x", "", NULL), CST_ENOT_AN_ID);
	assert_int_equal(cst_store_set_names(store, "x", NULL, 0, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_mount(store, "x", NULL, &text, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_mounted(store, "x", &count, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_delete(store, "x", NULL, NULL, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_delete_layer(store, "x", NULL), CST_ENOT_A_LAYER);
	assert_int_equal(cst_store_delete_image(store, "x", true, NULL, NULL), CST_ENOT_AN_IMAGE);
	assert_int_equal(cst_store_delete_container(store, "x", NULL), CST_ENOT_A_CONTAINER);
	assert_int_equal(cst_store_layer_size(store, "x", &size, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_image_size(store, "x", &size, NULL), CST_EIMAGE_UNKNOWN);
	assert_int_equal(cst_store_container_size(store, "x", &size, NULL), CST_ECONTAINER_UNKNOWN);
	assert_int_equal(cst_store_container_directory(store, "x", &text, NULL),
	                 CST_ECONTAINER_UNKNOWN);
	assert_false(cst_store_exists(store, "x"));
	assert_null(layer);
	assert_null(image);
	assert_null(container);
	assert_null(text);
	assert_int_equal(count, 77);
	assert_int_equal(size, 77);
}

static void test_duplicates(void **state)
{
	const struct api *api = api_of(state);
	cst_layer *layer = NULL;
	fill(api);
	assert_int_equal(create_layer(api, "base", NULL, NULL, &layer), CST_EDUPLICATE_ID);
	assert_int_equal(create_layer(api, "new", NULL, "base-name", &layer), CST_EDUPLICATE_NAME);
	assert_int_equal(create_layer(api, "new", "nothing", NULL, &layer), CST_ELAYER_UNKNOWN);
	assert_int_equal(create_layer(api, "new", "box-layer", NULL, &layer),
	                 CST_EPARENT_IS_CONTAINER);
	assert_int_equal(create_layer(api, "../new", NULL, NULL, &layer), CST_EINVAL);
	assert_int_equal(create_image(api, "image", "top", NULL), CST_EDUPLICATE_ID);
	assert_int_equal(create_image(api, "new", "top", "image-name"), CST_EDUPLICATE_NAME);
	assert_int_equal(create_image(api, "new", "nothing", NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(create_container(api, "box", "image", NULL), CST_EDUPLICATE_ID);
	assert_int_equal(create_container(api, "new", "image", "box-name"), CST_EDUPLICATE_NAME);
	assert_int_equal(create_container(api, "new", "nothing", NULL), CST_EIMAGE_UNKNOWN);
	assert_null(layer);
	assert_false(cst_store_exists(api->store, "new"));
}

static void test_in_use(void **state)
{
	const struct api *api = api_of(state);
	cst_store *store = api->store;
	_cleanup_(cst_strings_freep) cst_strings *gone = NULL;
	_cleanup_error_ cst_error *error = NULL;
	fill(api);
	assert_int_equal(cst_store_delete_layer(store, "base", &error), CST_ELAYER_HAS_CHILDREN);
	assert_string_equal(cst_error_object(error), "base");
	assert_non_null(
	        strstr(cst_error_message(error), "the layer \"base\" is used by the layer \""));
	assert_non_null(strstr(cst_error_go_message(error), "layer has children"));
	assert_int_equal(cst_store_delete_layer(store, "box-layer", NULL),
	                 CST_ELAYER_USED_BY_CONTAINER);
	assert_int_equal(cst_store_delete_image(store, "image-name", true, &gone, NULL),
	                 CST_EIMAGE_USED_BY_CONTAINER);
	assert_null(gone);
	assert_int_equal(cst_store_delete_container(store, "box-name", NULL), 0);
	assert_false(cst_store_exists(store, "box-layer"));
	assert_int_equal(cst_store_delete_layer(store, "top", NULL), CST_ELAYER_USED_BY_IMAGE);
	assert_int_equal(cst_store_delete_image(store, "image", false, &gone, NULL), 0);
	assert_int_equal(cst_strings_size(gone), 2);
	assert_string_equal(cst_strings_get(gone, 0), "top");
	assert_true(cst_store_exists(store, "image"));
	assert_int_equal(cst_store_delete_image(store, "image", true, NULL, NULL), 0);
	assert_false(cst_store_exists(store, "base"));
}

static void test_bad_containers(void **state)
{
	const struct api *api = api_of(state);
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	cst_idmap overlapping[] = {{0, 1000, 10}, {5, 2000, 10}};
	fill(api);
	options.image = "image";
	options.uid_map = options.gid_map = overlapping;
	options.n_uid_map = options.n_gid_map = 2;
	assert_int_equal(cst_store_create_container(api->store, &options, NULL, NULL),
	                 CST_EINVALID_MAPPINGS);
	options.n_uid_map = options.n_gid_map = 0;
	options.mount_label = "label";
	assert_int_equal(cst_store_create_container(api->store, &options, NULL, NULL), CST_EINVAL);
}

/* A progress callback that looks at the store through another handle, as another process would. */
struct onlooker {
	const struct api *api;
	int calls, failures;
};

static int look_on(const cst_progress_state *state, void *userdata)
{
	struct onlooker *onlooker = userdata;
	_cleanup_(cst_store_closep) cst_store *other = NULL;
	_cleanup_(cst_layer_list_freep) cst_layer_list *layers = NULL;
	onlooker->calls++;
	alarm(60); /* a deadlock ends the test */
	if (open_store(onlooker->api, false, &other, NULL) < 0 ||
	    cst_store_layers(other, &layers, NULL) < 0 ||
	    cst_store_set_metadata(other, "onlooker", "seen", NULL) < 0)
		onlooker->failures++;
	alarm(0);
	return 0;
}

static void test_progress_without_locks(void **state)
{
	const struct api *api = api_of(state);
	struct onlooker onlooker = {.api = api};
	const cst_progress progress = {.callback = look_on, .userdata = &onlooker};
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	fill(api);
	assert_int_equal(create_image(api, "onlooker", NULL, NULL), 0);
	assert_int_equal(create_layer(api, "target", NULL, NULL, NULL), 0);
	assert_int_equal(cst_store_apply_diff(api->store, "target", &source, &progress, NULL), 0);
	assert_true(onlooker.calls > 0);
	const struct {
		const char *id;
		int kind;
	} items[] = {
	        {"target", CST_KIND_LAYER}, {"box", CST_KIND_CONTAINER}, {"image", CST_KIND_IMAGE}};
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		cst_delete_options options = CST_DELETE_OPTIONS_INIT;
		options.kind = items[i].kind;
		options.progress = &progress;
		onlooker.calls = 0;
		assert_int_equal(cst_store_delete(api->store, items[i].id, &options, NULL, NULL),
		                 0);
		assert_true(onlooker.calls > 0);
	}
	assert_int_equal(onlooker.failures, 0);
}

static void test_flags(void **state)
{
	const struct api *api = api_of(state);
	const cst_flag flags[] = {{"yes", "true"}, {"name", "\"a\\n\""}, {"list", "[1, 2]"}};
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	_cleanup_(cst_image_freep) cst_image *image = NULL;
	_cleanup_free_ char *text = NULL, *json = NULL;
	options.flags = flags;
	options.n_flags = ARRAY_SIZE(flags);
	assert_int_equal(cst_store_create_image(api->store, &options, &image, NULL), 0);
	assert_true(cst_image_flag_bool(image, "yes"));
	assert_false(cst_image_flag_bool(image, "name") || cst_image_flag_bool(image, "no"));
	assert_int_equal(cst_image_flag_string(image, "name", &text, NULL), 0);
	assert_string_equal(text, "a\n");
	assert_int_equal(cst_image_flag_json(image, "list", &json, NULL), 0);
	assert_string_equal(json, "[1,2]");
	assert_int_equal(cst_image_flag_string(image, "yes", &text, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(cst_image_flag_json(image, "no", &json, NULL), CST_EDATA_UNKNOWN);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_(cst_container_freep) cst_container *box = NULL;
	_cleanup_free_ char *none = NULL;
	fill(api);
	assert_int_equal(cst_store_layer(api->store, "base", &layer, NULL), 0);
	assert_false(cst_layer_flag_bool(layer, "yes"));
	assert_int_equal(cst_layer_flag_string(layer, "yes", &none, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(cst_layer_flag_json(layer, "yes", &none, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(cst_store_container(api->store, "box", &box, NULL), 0);
	assert_false(cst_container_flag_bool(box, "yes"));
	assert_int_equal(cst_container_flag_string(box, "yes", &none, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(cst_container_flag_json(box, "yes", &none, NULL), CST_EDATA_UNKNOWN);
}

static void test_version_and_pairs(void **state)
{
	const struct api *api = api_of(state);
	unsigned major = 0, minor = 0, patch = 0;
	assert_int_equal(sscanf(cst_version(), "%u.%u.%u", &major, &minor, &patch), 3);
	assert_int_equal(cst_version_number(), major * 1000000 + minor * 1000 + patch);
	cst_pairs *pairs = NULL;
	assert_int_equal(cst_store_status(api->store, &pairs, NULL), 0);
	assert_true(cst_pairs_size(pairs) > 0);
	assert_non_null(cst_pairs_key(pairs, 0));
	assert_non_null(cst_pairs_value(pairs, 0));
	assert_null(cst_pairs_key(pairs, cst_pairs_size(pairs)));
	assert_null(cst_pairs_value(pairs, cst_pairs_size(pairs)));
	cst_pairs_free(pairs);
	assert_int_equal(cst_pairs_size(NULL), 0);
}

/* Every call that would change something says so, and changes nothing. */
static void test_read_only(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *store = NULL;
	_cleanup_(cst_lock_freep) cst_lock *lock = NULL;
	const char *name = "new";
	char *path = NULL;
	fill(api);
	assert_int_equal(open_store(api, true, &store, NULL), 0);
	assert_true(cst_store_exists(store, "image-name"));
	cst_layer_options layer = CST_LAYER_OPTIONS_INIT;
	cst_image_options image = CST_IMAGE_OPTIONS_INIT;
	cst_container_options container = CST_CONTAINER_OPTIONS_INIT;
	assert_int_equal(cst_store_create_layer(store, &layer, NULL, NULL, NULL),
	                 CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_create_image(store, &image, NULL, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_create_container(store, &container, NULL, NULL),
	                 CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_delete_layer(store, "base", NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_delete_image(store, "image", true, NULL, NULL),
	                 CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_delete_container(store, "box", NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_delete(store, "box", NULL, NULL, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_wipe(store, NULL, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_set_names(store, "base", &name, 1, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_set_metadata(store, "base", "", NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_set_data(store, CST_KIND_IMAGE, "image", "k", "", 0, NULL),
	                 CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_mount(store, "box", NULL, &path, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_shutdown(store, false, NULL, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_digest_lock(store, DIGEST, &lock, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_store_set_directory_file(store, CST_KIND_CONTAINER, "box",
	                                              CST_DIRECTORY, "f", "", 0, NULL),
	                 CST_ESTORE_READ_ONLY);
	assert_null(path);
}

/* ---- both drivers ---- */

#define EACH(X)                        \
	X(test_open_errors)            \
	X(test_unknown)                \
	X(test_duplicates)             \
	X(test_in_use)                 \
	X(test_bad_containers)         \
	X(test_progress_without_locks) \
	X(test_flags)                  \
	X(test_version_and_pairs)      \
	X(test_read_only)

DEFINE_RUN_ON_DRIVERS("api", EACH)

int main(void)
{
	return run_on_drivers();
}
