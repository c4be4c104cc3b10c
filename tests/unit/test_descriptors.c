/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of a layer's content and of a mount: cst_store_layer_fd(), cst_store_mount_fd(). */
#include "api_fixture.h"
#include <errno.h>

static int layer_fd(const struct api *api, const char *id)
{
	int fd = -1;
	assert_int_equal(cst_store_layer_fd(api->store, id, &fd, NULL), 0);
	return fd;
}

static int mount_fd(cst_store *store, const char *id)
{
	int fd = -1;
	assert_int_equal(cst_store_mount_fd(store, id, &fd, NULL), 0);
	return fd;
}

static void assert_path_descriptor(int fd)
{
	assert_int_equal(fcntl(fd, F_GETFL) & (O_PATH | O_DIRECTORY), O_PATH | O_DIRECTORY);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

typedef int (*descriptor)(cst_store *store, const char *id, int *fd, cst_error **error);

static void assert_none(descriptor get, cst_store *store, const char *id, int code)
{
	_cleanup_error_ cst_error *error = NULL;
	int fd = 12345;
	assert_int_equal(get(store, id, &fd, &error), code);
	assert_int_equal(fd, 12345);
	assert_string_equal(cst_error_object(error), id);
	assert_int_equal(get(store, id, &fd, NULL), code);
}

static bool is_overlay(const struct api *api)
{
	return streq(api->driver, "overlay");
}

static bool same_directory(int fd, const char *path)
{
	struct stat held, now;
	assert_int_equal(fstat(fd, &held), 0);
	assert_int_equal(stat(path, &now), 0);
	return held.st_dev == now.st_dev && held.st_ino == now.st_ino;
}

/* ---- content ---- */

static void test_layer(void **state)
{
	const struct api *api = api_of(state);
	fill(api);
	_cleanup_close_ int base = layer_fd(api, "base"), by_name = layer_fd(api, "base-name"),
	                    by_prefix = layer_fd(api, "bas"), top = layer_fd(api, "top");
	assert_path_descriptor(base);
	assert_true(fs_exists(base, "etc/hostname"));
	assert_true(fs_exists(by_name, "etc/hostname"));
	assert_true(fs_exists(by_prefix, "etc/hostname"));
	assert_true(fs_exists(top, "etc/hostname") != is_overlay(api)); /* not its own */
	int at = openat(base, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(at >= 0);
	close(at);
}

static void test_layer_unknown(void **state)
{
	const struct api *api = api_of(state);
	fill(api);
	assert_none(cst_store_layer_fd, api->store, "nosuch", CST_ELAYER_UNKNOWN);
	assert_none(cst_store_layer_fd, api->store, "image", CST_ELAYER_UNKNOWN);
	assert_none(cst_store_layer_fd, api->store, "", CST_ELAYER_UNKNOWN);
}

static void test_layer_deleted(void **state)
{
	const struct api *api = api_of(state);
	struct stat st;
	assert_int_equal(create_layer(api, "base", NULL, NULL, NULL), 0);
	_cleanup_close_ int fd = layer_fd(api, "base");
	assert_int_equal(cst_store_delete_layer(api->store, "base", NULL), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_false(fs_exists(fd, "etc/hostname"));
	assert_none(cst_store_layer_fd, api->store, "base", CST_ELAYER_UNKNOWN);
}

static void test_layer_of_another_store(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *over = NULL;
	fill(api);
	assert_int_equal(open_store_over(api, &over, NULL), 0);
	int fd = -1;
	assert_int_equal(cst_store_layer_fd(over, "base", &fd, NULL), 0);
	assert_true(fs_exists(fd, "etc/hostname"));
	close(fd);
}

/* ---- mounts ---- */

static void test_mount(void **state)
{
	static const char *const ids[] = {"box", "box-name", "box-layer"};
	const struct api *api = api_of(state);
	_cleanup_free_ char *path = NULL;
	fill(api);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_none(cst_store_mount_fd, api->store, ids[i], CST_ELAYER_NOT_MOUNTED);
	assert_int_equal(cst_store_mount(api->store, "box", NULL, &path, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		_cleanup_close_ int fd = mount_fd(api->store, ids[i]);
		assert_path_descriptor(fd);
		assert_true(fs_exists(fd, "etc/hostname"));
		assert_true(same_directory(fd, path));
	}
	assert_none(cst_store_mount_fd, api->store, "top", CST_ELAYER_NOT_MOUNTED);
	assert_none(cst_store_mount_fd, api->store, "nosuch", CST_ELAYER_UNKNOWN);
}

/* The mount point is free at once, what was mounted there is not. */
static void test_mount_outlives_unmount(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_free_ char *path = NULL;
	bool still = true;
	fill(api);
	assert_int_equal(cst_store_mount(api->store, "box", NULL, &path, NULL), 0);
	_cleanup_close_ int fd = mount_fd(api->store, "box");
	assert_int_equal(cst_store_unmount(api->store, "box", false, &still, NULL), 0);
	assert_false(still);
	assert_true(fs_exists(fd, "etc/hostname"));
	assert_true(same_directory(fd, path) != is_overlay(api));
	assert_none(cst_store_mount_fd, api->store, "box", CST_ELAYER_NOT_MOUNTED);
}

/* The store counts a mount that somebody took away without telling it. */
static void test_mount_taken_away(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_free_ char *path = NULL;
	if (!is_overlay(api))
		return; /* nothing is mounted */
	fill(api);
	assert_int_equal(cst_store_mount(api->store, "box", NULL, &path, NULL), 0);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	assert_none(cst_store_mount_fd, api->store, "box", CST_ELAYER_NOT_MOUNTED);
}

/* Nobody counts what a process left mounted that was killed while it unmounted: it is nobody's to use. */
static void test_mount_not_counted(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *other = NULL;
	_cleanup_free_ char *path = NULL, *counts = str_printf("%s/%s-layers/mountpoints.json",
	                                                       api->run, api->driver);
	fill(api);
	assert_int_equal(cst_store_mount(api->store, "box", NULL, &path, NULL), 0);
	assert_int_equal(unlink(counts), 0);
	assert_int_equal(open_store(api, false, &other, NULL), 0);
	assert_none(cst_store_mount_fd, other, "box", CST_ELAYER_NOT_MOUNTED);
}

/* A handle that never writes leaves the run root alone, and with it the mount counts. */
static void test_mount_read_only(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *reader = NULL;
	_cleanup_free_ char *path = NULL;
	fill(api);
	assert_int_equal(cst_store_mount(api->store, "box", NULL, &path, NULL), 0);
	assert_int_equal(open_store(api, true, &reader, NULL), 0);
	assert_none(cst_store_mount_fd, reader, "box", CST_ELAYER_NOT_MOUNTED);
}

static int open_split(const struct api *api, const char *name, cst_store **store)
{
	_cleanup_free_ char *root = str_printf("%s/%s", api->dir.path, name),
	                    *images = str_printf("%s/%s-images", api->dir.path, name);
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	options.graph_root = root;
	options.image_store = images;
	options.run_root = api->run;
	options.driver = api->driver;
	return cst_store_open(&options, store, NULL);
}

/* Two stores that share a run root have layers of one ID, which have one mount point there: only the store whose layer is
 * mounted gives a descriptor. */
static void test_mount_of_another_store(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *one = NULL, *two = NULL;
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	_cleanup_free_ char *path = NULL;
	options.id = "same";
	assert_int_equal(open_split(api, "one", &one), 0);
	assert_int_equal(open_split(api, "two", &two), 0);
	assert_int_equal(cst_store_create_layer(one, &options, NULL, NULL, NULL), 0);
	assert_int_equal(cst_store_create_layer(two, &options, NULL, NULL, NULL), 0);
	assert_int_equal(cst_store_mount(one, "same", NULL, &path, NULL), 0);
	_cleanup_close_ int fd = mount_fd(one, "same");
	assert_true(same_directory(fd, path));
	assert_none(cst_store_mount_fd, two, "same", CST_ELAYER_NOT_MOUNTED);
	assert_int_equal(cst_store_unmount(one, "same", false, NULL, NULL), 0);
}

/* An image of an additional store is mounted, but never counted. */
static void test_mount_of_an_image(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *over = NULL;
	_cleanup_free_ char *path = NULL;
	if (!is_overlay(api))
		return; /* nothing is mounted */
	fill(api);
	assert_int_equal(open_store_over(api, &over, NULL), 0);
	assert_none(cst_store_mount_fd, over, "top", CST_ELAYER_NOT_MOUNTED);
	assert_int_equal(cst_store_mount_image(over, "image", NULL, &path, NULL), 0);
	_cleanup_close_ int fd = mount_fd(over, "top");
	assert_true(same_directory(fd, path));
	assert_int_equal(cst_store_unmount_image(over, "image", false, NULL, NULL), 0);
	assert_none(cst_store_mount_fd, over, "top", CST_ELAYER_NOT_MOUNTED);
}

#define EACH(X)                        \
	X(test_layer)                  \
	X(test_layer_unknown)          \
	X(test_layer_deleted)          \
	X(test_layer_of_another_store) \
	X(test_mount)                  \
	X(test_mount_outlives_unmount) \
	X(test_mount_taken_away)       \
	X(test_mount_not_counted)      \
	X(test_mount_read_only)        \
	X(test_mount_of_another_store) \
	X(test_mount_of_an_image)

DEFINE_RUN_ON_DRIVERS("descriptors", EACH)

int main(void)
{
	return run_on_drivers();
}
