/* SPDX-License-Identifier: Apache-2.0 */
/* The library as a caller sees it, as in test_api.c: mounts, and who owns what is above them. */
#include "api_fixture.h"

DEFINE_CLEANUP(cst_strings *, cst_strings_free)

static void test_parent_owners(void **state)
{
	const struct api *api = api_of(state);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	cst_idmap map = {.container_id = 0, .host_id = 100000, .size = 1000};
	uint32_t *uids = NULL, *gids = NULL;
	size_t n_uids = 0, n_gids = 0;
	if (geteuid() != 0)
		skip_because("not root");
	options.id = "mapped";
	options.uid_map = options.gid_map = &map;
	options.n_uid_map = options.n_gid_map = 1;
	assert_int_equal(cst_store_create_layer(api->store, &options, NULL, NULL, NULL), 0);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	const cst_idmap *recorded;
	assert_int_equal(cst_store_layer(api->store, "mapped", &layer, NULL), 0);
	int r = cst_store_layer_parent_owners(api->store, "mapped", &uids, &n_uids, &gids, &n_gids,
	                                      NULL);
	/* a driver that maps at mount time records no map, and then there is nothing to tell */
	assert_int_equal(r, cst_layer_uid_map(layer, &recorded) ? CST_ELAYER_NOT_MOUNTED : 0);
	assert_int_equal(n_uids, 0);
	cst_free(uids);
	cst_free(gids);
}

static void test_mounting(void **state)
{
	const struct api *api = api_of(state);
	cst_store *store = api->store;
	_cleanup_(cst_strings_freep) cst_strings *mounted = NULL;
	char *path = NULL;
	int count = 0;
	bool still = true;
	fill(api);
	assert_int_equal(cst_store_mount(store, "box-name", NULL, &path, NULL), 0);
	_cleanup_free_ char *file = path_join(path, "etc/hostname");
	assert_int_equal(access(file, R_OK), 0);
	cst_free(path);
	assert_int_equal(cst_store_mount(store, "box", NULL, &path, NULL), 0);
	cst_free(path);
	assert_int_equal(cst_store_mounted(store, "box", &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(cst_store_shutdown(store, false, &mounted, NULL),
	                 CST_ELAYER_USED_BY_CONTAINER);
	assert_int_equal(cst_strings_size(mounted), 1);
	assert_string_equal(cst_strings_get(mounted, 0), "box-layer");
	assert_int_equal(cst_store_unmount(store, "box", false, &still, NULL), 0);
	assert_true(still);
	assert_int_equal(cst_store_unmount(store, "box", false, &still, NULL), 0);
	assert_false(still);
	assert_int_equal(cst_store_mounted(store, "box", &count, NULL), 0);
	assert_int_equal(count, 0);
}

/* An image's layer, read-only, be it here or in an additional store. */
static void test_mounting_images(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *over = NULL;
	fill(api);
	assert_int_equal(open_store_over(api, &over, NULL), 0);
	cst_store *const stores[] = {api->store, over};
	for (size_t i = 0; i < ARRAY_SIZE(stores); i++) {
		char *path = NULL;
		bool still = true;
		assert_int_equal(cst_store_mount_image(stores[i], "none", NULL, &path, NULL),
		                 CST_EIMAGE_UNKNOWN);
		assert_int_equal(cst_store_mount_image(stores[i], "image-name", NULL, &path, NULL),
		                 0);
		_cleanup_free_ char *file = path_join(path, "etc/hostname");
		assert_int_equal(access(file, F_OK), 0);
		cst_free(path);
		assert_int_equal(cst_store_unmount_image(stores[i], "image", false, &still, NULL),
		                 0);
		assert_false(still);
	}
	assert_int_equal(cst_store_shutdown(over, true, NULL, NULL), 0);
}

/* ---- both drivers ---- */

#define EACH(X)               \
	X(test_parent_owners) \
	X(test_mounting)      \
	X(test_mounting_images)

DEFINE_RUN_ON_DRIVERS("api_mount", EACH)

int main(void)
{
	return run_on_drivers();
}
