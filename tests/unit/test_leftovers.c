/* SPDX-License-Identifier: Apache-2.0 */
/* What others left behind: announcements that cannot be meant, mount points of another store, and
 * what a failing open may not leave. */
#include "api_fixture.h"
#include "base/checksum.h"
#include "base/fs.h"
#include <sys/stat.h>

/* ---- announcements ---- */

/* A journal as a process leaves it that dies after its announcement. */
static void leave_announcement(const struct api *api, const char *journal, const char *json)
{
	struct {
		char magic[8];
		uint64_t length, crc;
	} header = {.magic = "cstjrnl1", .length = strlen(json)};
	_cleanup_free_ char *dir = path_join(api->root, "cstorage");
	_cleanup_strbuf_ struct strbuf file = {0};
	_cleanup_close_ int fd = -1;
	header.crc = crc64_iso(0, json, strlen(json));
	memcpy(header.magic, "cstjrnl1", 8);
	strbuf_add(&file, &header, sizeof(header));
	strbuf_adds(&file, json);
	assert_int_equal(fs_mkdir_p(dir, 0700, NULL), 0);
	assert_int_equal(fs_open_dir(dir, &fd, NULL), 0);
	assert_int_equal(fs_write_file(fd, journal, file.data, file.len, 0600, NULL, NULL), 0);
}

static void assert_all_there(const struct api *api)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_(cst_image_freep) cst_image *image = NULL;
	_cleanup_(cst_container_freep) cst_container *container = NULL;
	assert_int_equal(cst_store_layer(api->store, "top", &layer, NULL), 0);
	assert_int_equal(cst_store_image(api->store, "image", &image, NULL), 0);
	assert_int_equal(cst_store_container(api->store, "box", &container, NULL), 0);
	assert_int_equal(create_layer(api, "late", "top", NULL, NULL), 0);
	assert_int_equal(cst_store_delete(api->store, "late", NULL, NULL, NULL), 0);
}

/* Files of the store itself, items of another kind than the journal's, names that escape. */
static void test_what_cannot_be_meant(void **state)
{
	static const struct {
		const char *journal, *json;
	} left[] = {
	        {"images.intent", "[{\"kind\":\"image\",\"id\":\"images.json\"}]"},
	        {"images.intent", "[{\"kind\":\"image\",\"id\":\"images.lock\"}]"},
	        {"images.intent", "[{\"kind\":\"layer\",\"id\":\"ghost\"}]"},
	        {"images.intent", "[{\"kind\":\"container\",\"id\":\"box2\"}]"},
	        {"containers.intent", "[{\"kind\":\"container\",\"id\":\"containers.json\"}]"},
	        {"containers.intent", "[{\"kind\":\"layer\",\"id\":\"x\",\"content\":\"1\"}]"},
	        {"layers.intent", "[{\"kind\":\"layer\",\"id\":\"tmp\"}]"},
	        {"layers.intent", "[{\"kind\":\"layer\",\"id\":\"l\"}]"},
	        {"layers.intent", "[{\"kind\":\"layer\",\"id\":\"layers.json\"}]"},
	        {"layers.intent", "[{\"kind\":\"layer\",\"id\":\"..\"}]"},
	        {"layers.intent", "[{\"kind\":\"network\",\"id\":\"x\"}]"},
	};
	struct api *api = api_of(state);
	fill(api);
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		cst_error *error = NULL;
		cst_store_close(api->store);
		api->store = NULL;
		leave_announcement(api, left[i].journal, left[i].json);
		if (open_store(api, false, &api->store, &error) < 0)
			fail_msg("%s: %s", left[i].json, cst_error_message(error));
		assert_all_there(api);
	}
}

/* ---- a failing open ---- */

static size_t open_descriptors(void)
{
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(AT_FDCWD, "/proc/self/fd", &names, NULL, NULL), 0);
	return names.len;
}

/* The layers are opened when somebody asks for them; here that fails, again and again. */
static void test_failing_open_leaves_nothing(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_free_ char *run = str_printf("%s/%s-layers", api->run, api->driver);
	_cleanup_close_ int dirfd = -1;
	cst_layer_list *list = NULL;
	assert_int_equal(fs_open_dir(api->run, &dirfd, NULL), 0);
	assert_int_equal(fs_write_file(dirfd, path_base(run), "", 0, 0600, NULL, NULL), 0);
	assert_true(cst_store_layers(api->store, &list, NULL) < 0);
	size_t before = open_descriptors();
	for (int i = 0; i < 50; i++)
		assert_true(cst_store_layers(api->store, &list, NULL) < 0);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(unlinkat(dirfd, path_base(run), 0), 0);
	assert_int_equal(cst_store_layers(api->store, &list, NULL), 0);
	cst_layer_list_free(list);
}

/* ---- mount points ---- */

static char *mounted_at(const struct api *api, int want_count)
{
	char *path = NULL;
	int count = 0;
	assert_int_equal(cst_store_mount(api->store, "base", NULL, &path, NULL), 0);
	if (!has_prefix(path, api->root))
		fail_msg("%s is not in %s", path, api->root);
	assert_int_equal(cst_store_mounted(api->store, "base", &count, NULL), 0);
	assert_int_equal(count, want_count);
	return path;
}

/* Two stores with one run root and a layer with the same ID. */
static void test_shared_run_root(void **state)
{
	struct api *first = api_of(state), second = *first;
	cst_error *error = NULL;
	int count = 0;
	snprintf(second.root, sizeof(second.root), "%s/other", first->dir.path);
	if (open_store(&second, false, &second.store, &error) < 0)
		fail_msg("%s", cst_error_message(error));
	assert_int_equal(create_layer(first, "base", NULL, NULL, NULL), 0);
	assert_int_equal(create_layer(&second, "base", NULL, NULL, NULL), 0);
	free(mounted_at(first, 1));
	free(mounted_at(&second, 1));
	free(mounted_at(first, 2));
	assert_int_equal(cst_store_unmount(second.store, "base", false, NULL, NULL), 0);
	assert_int_equal(cst_store_mounted(first->store, "base", &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(cst_store_unmount(first->store, "base", true, NULL, NULL), 0);
	(void)cst_store_shutdown(second.store, true, NULL, NULL);
	cst_store_close(second.store);
}

/* The path that was remembered is gone. */
static void test_moved_store(void **state)
{
	struct api *api = api_of(state);
	char old[sizeof(api->root)];
	assert_int_equal(create_layer(api, "base", NULL, NULL, NULL), 0);
	free(mounted_at(api, 1));
	assert_int_equal(cst_store_unmount(api->store, "base", true, NULL, NULL), 0);
	free(mounted_at(api, 1));
	if (streq(api->driver, "overlay")) /* a mounted one cannot be moved */
		return;
	cst_store_close(api->store);
	api->store = NULL;
	memcpy(old, api->root, sizeof(old));
	snprintf(api->root, sizeof(api->root), "%s/moved", api->dir.path);
	assert_int_equal(rename(old, api->root), 0);
	assert_int_equal(open_store(api, false, &api->store, NULL), 0);
	free(mounted_at(api, 1));
}

#define EACH(X)                             \
	X(test_what_cannot_be_meant)        \
	X(test_failing_open_leaves_nothing) \
	X(test_shared_run_root)             \
	X(test_moved_store)

DEFINE_RUN_ON_DRIVERS("leftovers", EACH)

int main(void)
{
	return run_on_drivers();
}
