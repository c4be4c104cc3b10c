/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody else does to a layer in the middle of an operation of ours, by a callback that is
 * called there. */
#include "api_fixture.h"
#include "tree_fixture.h"

struct interruption {
	const struct api *api;
	cst_store *other;
	int (*what)(const struct interruption *interruption);
	bool done;
};

static int interrupt(const cst_progress_state *state, void *userdata)
{
	struct interruption *interruption = userdata;
	if (state->bytes_done && !interruption->done) {
		interruption->done = true;
		assert_int_equal(interruption->what(interruption), 0);
	}
	return 0;
}

static int delete_layer(const struct interruption *interruption)
{
	return cst_store_delete_layer(interruption->other, "work", NULL);
}

static int make_another(const struct interruption *interruption)
{
	int r = delete_layer(interruption);
	return r == 0 ? create_layer(interruption->api, "work", "base", NULL, NULL) : r;
}

static int apply_patch(const struct interruption *interruption)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	TAR_ADD(&tar, .name = "patched", .data = "yes", .len = 3, .uid = getuid(), .gid = getgid());
	tar_add_end(&tar);
	cst_memory memory = {.data = tar.data, .size = tar.len};
	cst_source source = cst_source_memory(&memory);
	return cst_store_apply_diff(interruption->other, "work", &source, NULL, NULL);
}

static int unmount(const struct interruption *interruption)
{
	return cst_store_unmount(interruption->other, "work", false, NULL, NULL);
}

/* Who mounted a layer of that ID before, for instance, which was deleted, gives it back. */
static int unmount_and_apply(const struct interruption *interruption)
{
	int r = unmount(interruption);
	return r == 0 ? apply_patch(interruption) : r;
}

static int unmount_apply_and_mount(const struct interruption *interruption)
{
	_cleanup_free_ char *mount = NULL;
	int r = unmount_and_apply(interruption);
	return r == 0 ? cst_store_mount(interruption->other, "work", NULL, &mount, NULL) : r;
}

static int nothing(const struct interruption *interruption)
{
	(void)interruption;
	return 0;
}

/* Copies five directories with a file each to or from "work", interrupted after the first. */
static int copy_beside(const struct api *api, bool out,
                       int (*what)(const struct interruption *interruption), cst_error **error)
{
	char path[128], name[16];
	snprintf(path, sizeof(path), "%s/tree", api->dir.path);
	assert_int_equal(mkdir(path, 0755), 0);
	_cleanup_close_ int tree = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		add_dir(tree, name);
		snprintf(name, sizeof(name), "d%d/f", i);
		add_file(tree, name, "content");
	}
	cst_copy_place outside = {.path = path}, inside = {.layer = "work", .path = "/copied"};
	assert_int_equal(create_layer(api, "base", NULL, NULL, NULL), 0);
	assert_int_equal(create_layer(api, "work", "base", NULL, NULL), 0);
	if (out) {
		assert_int_equal(cst_store_copy(api->store, &outside, 1, &inside, NULL, NULL), 0);
		snprintf(path, sizeof(path), "%s/out", api->dir.path);
	}
	struct interruption interruption = {.api = api, .what = what};
	assert_int_equal(open_store(api, false, &interruption.other, NULL), 0);
	cst_progress progress = {.callback = interrupt, .userdata = &interruption};
	cst_copy_options options = CST_COPY_OPTIONS_INIT;
	options.progress = &progress;
	int r = cst_store_copy(api->store, out ? &inside : &outside, 1, out ? &outside : &inside,
	                       &options, error);
	assert_true(interruption.done);
	cst_store_close(interruption.other);
	return r;
}

static bool layer_has(const struct api *api, const char *path)
{
	_cleanup_free_ char *mount = NULL;
	assert_int_equal(cst_store_mount(api->store, "work", NULL, &mount, NULL), 0);
	_cleanup_free_ char *file = path_join(mount, path);
	bool there = access(file, F_OK) == 0;
	assert_int_equal(cst_store_unmount(api->store, "work", false, NULL, NULL), 0);
	return there;
}

static void test_copy_beside_nothing(void **state)
{
	const struct api *api = api_of(state);
	assert_int_equal(copy_beside(api, false, nothing, NULL), 0);
	assert_true(layer_has(api, "copied/d0/f") && layer_has(api, "copied/d4/f"));
}

static void test_copy_into_deleted(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	int r = copy_beside(api_of(state), false, delete_layer, &error);
	assert_int_equal(r, CST_ELAYER_UNKNOWN);
	assert_string_equal(cst_error_message(error), "there is no layer \"work\"");
	assert_string_equal(cst_error_object(error), "work");
	assert_string_equal(cst_error_go_message(error),
	                    "error finding layer \"work\": layer not known");
}

static void test_copy_into_another_one_now(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	int r = copy_beside(api_of(state), false, make_another, &error);
	assert_int_equal(r, CST_ELAYER_UNKNOWN);
}

static void test_copy_out_of_deleted(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	int r = copy_beside(api_of(state), true, delete_layer, &error);
	assert_int_equal(r, CST_ELAYER_UNKNOWN);
}

static void test_copy_out_of_unmounted(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	int r = copy_beside(api_of(state), true, unmount_and_apply, &error);
	assert_int_equal(r, CST_ELAYER_NOT_MOUNTED);
}

/* Somebody works in it: it is patched in place. */
static void test_apply_beside_copy(void **state)
{
	const struct api *api = api_of(state);
	assert_int_equal(copy_beside(api, false, apply_patch, NULL), 0);
	assert_true(layer_has(api, "patched"));
	assert_true(layer_has(api, "copied/d0/f") && layer_has(api, "copied/d4/f"));
}

static void test_copy_into_unmounted(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	int r = copy_beside(api_of(state), false, unmount_and_apply, &error);
	assert_int_equal(r, CST_ELAYER_NOT_MOUNTED);
	assert_string_equal(cst_error_message(error), "the layer \"work\" was unmounted meanwhile: "
	                                              "layer is not mounted");
	assert_true(layer_has(api_of(state), "patched"));
}

/* A process that was killed between counting and unmounting leaves such a mount. Who still works in it
 * sees the patch, and keeps what it wrote. */
static void test_apply_to_a_mount_that_nobody_counts(void **state)
{
	const struct api *api = api_of(state);
	struct interruption interruption = {.api = api};
	_cleanup_free_ char *mount = NULL;
	_cleanup_free_ char *records = str_printf("%s/%s-layers", api->run, api->driver);
	assert_int_equal(create_layer(api, "work", NULL, NULL, NULL), 0);
	assert_int_equal(cst_store_mount(api->store, "work", NULL, &mount, NULL), 0);
	_cleanup_close_ int mounted = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	add_file(mounted, "mine", "content");
	_cleanup_close_ int run = open(records, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(unlinkat(run, "mountpoints.json", 0), 0);
	assert_int_equal(open_store(api, false, &interruption.other, NULL), 0);
	assert_int_equal(apply_patch(&interruption), 0);
	cst_store_close(interruption.other);
	_cleanup_free_ char *patched = path_join(mount, "patched"),
	                    *mine = path_join(mount, "mine");
	assert_true(fs_exists(AT_FDCWD, patched) && fs_exists(AT_FDCWD, mine));
}

/* Whose mount is there now keeps it. */
static void test_copy_gives_back_its_own(void **state)
{
	const struct api *api = api_of(state);
	int count = 0;
	(void)copy_beside(api, false, unmount_apply_and_mount, NULL);
	assert_int_equal(cst_store_mounted(api->store, "work", &count, NULL), 0);
	assert_int_equal(count, 1);
}

#define EACH(X)                                     \
	X(test_copy_beside_nothing)                 \
	X(test_copy_into_deleted)                   \
	X(test_copy_into_another_one_now)           \
	X(test_copy_out_of_deleted)                 \
	X(test_copy_out_of_unmounted)               \
	X(test_apply_beside_copy)                   \
	X(test_copy_into_unmounted)                 \
	X(test_apply_to_a_mount_that_nobody_counts) \
	X(test_copy_gives_back_its_own)

DEFINE_RUN_ON_DRIVERS("meanwhile", EACH)

int main(void)
{
	return run_on_drivers();
}
