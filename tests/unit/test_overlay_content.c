/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers whose content is not a directory of files. The Go tools make them with use_composefs: an EROFS image has the names,
 * and `diff` holds nothing but data, each file named after its digest. Whoever takes `diff` for the layer shows those names
 * to a container, or writes among them: nobody gets it for that, nor a damaged image (tests/store/composefs-layers.sh mounts whole
 * ones).
 */
#include "unit/overlay_fixture.h"
#include <cstorage/composefs.h>
#include <sys/mman.h>
#include <sys/statfs.h>

/* A, an image, which is damaged; B on it, a plain layer. */
static struct fixture image_fixture(void)
{
	struct fixture f = fixture_make("root");
	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "B", "A", false, "b");
	assert_int_equal(mkdir(in_home(&f, "A/composefs-data"), 0700), 0);
	write_text_at(AT_FDCWD, in_home(&f, "A/composefs-data/composefs.blob"), "EROFS");
	return f;
}

static void assert_refused(const struct fixture *f, int r, const cst_error *error)
{
	_cleanup_free_ char *text =
	        str_printf("the content of layer \"A\" is an EROFS image (composefs), which is "
	                   "read through a mount, and cannot be written to: %s/overlay/A",
	                   f->root);
	assert_int_equal(r, CST_ENOTSUP);
	assert_string_equal(cst_error_message(error), text);
}

static void assert_damaged(const struct fixture *f, int r, const cst_error *error)
{
	_cleanup_free_ char *text = str_printf(
	        "composefs image %s/overlay/A/composefs-data/composefs.blob: it is too short",
	        f->root);
	assert_int_equal(r, CST_ECORRUPT);
	assert_string_equal(cst_error_message(error), text);
}

static void test_not_mounted(void **state)
{
	static const char *const ids[] = {"A", "B"};
	static const char *const ro[] = {"ro"};
	_cleanup_fixture_ struct fixture f = image_fixture();
	char *path = NULL;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(ids); i++) {
		const struct driver_mount_options options = {.options = ro, .n_options = i / 2};
		_cleanup_error_ cst_error *error = NULL;
		int r = overlay_driver.get(f.driver, ids[i % 2], &options, &path, &error);
		if (i == 0) /* A, to be written to */
			assert_refused(&f, r, error);
		else
			assert_damaged(&f, r, error);
		assert_false(is_mounted(&f, ids[i % 2]));
	}
	assert_null(path);
}

static void test_not_read(void **state)
{
	static const char *const pairs[][2] = {{"A", NULL}, {"B", "A"}, {"B", NULL}};
	_cleanup_fixture_ struct fixture f = image_fixture();
	struct driver_view *view = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup_error_ cst_error *error = NULL;
		int r = overlay_driver.view_open(f.driver, pairs[i][0], pairs[i][1], NULL, &view,
		                                 &error);
		assert_damaged(&f, r, error);
	}
	assert_null(view);
}

static void test_not_copied(void **state)
{
	_cleanup_fixture_ struct fixture f = image_fixture();
	struct driver_staged *staged = NULL;
	int fd = -1;

	for (int i = 0; i < 3; i++) {
		_cleanup_error_ cst_error *error = NULL;
		int r = 0;
		switch (i) {
		case 0: r = overlay_driver.stage_copy(f.driver, "A", NULL, &staged, &error); break;
		case 1:
			r = overlay_driver.stage_in_place(f.driver, "A", NULL, &staged, &error);
			break;
		case 2: r = overlay_driver.content_open(f.driver, "A", &fd, &error); break;
		}
		assert_refused(&f, r, error);
	}
	assert_null(staged);
	assert_int_equal(fd, -1);
	assert_int_equal(entries(in_home(&f, "staging")), 0);
}

/* ---- images ---- */

static int make_image(void)
{
	static char dump[] = "/ 0 40755 2 0 0 0 0.0 - - -\n/f 3 100644 1 0 0 0 0.0 - abc -\n";
	cst_memory in = {.data = dump, .size = strlen(dump)};
	int fd = memfd_create("image", MFD_CLOEXEC);
	cst_source source = cst_source_memory(&in);
	cst_sink sink = cst_sink_fd(fd);
	assert_true(fd >= 0);
	assert_int_equal(cst_composefs_create(&source, &sink, NULL, NULL), 0);
	return fd;
}

/* From a file, and as a loop device, which goes with the mount. */
static void test_image_mounted(void **state)
{
	struct statfs fs;
	char text[4] = "";
	if (!is_root())
		skip_because("mounting EROFS needs root");
	for (int by_loop = 0; by_loop < 2; by_loop++) {
		_cleanup_close_ int image = make_image(),
		                    mount_fd = overlay_image_mount(image, false, by_loop);
		if (mount_fd < 0 && (errno == ENODEV || errno == ENOENT))
			skip_because("no EROFS, or no loop devices");
		assert_true(mount_fd >= 0);
		assert_int_equal(fstatfs(mount_fd, &fs), 0);
		assert_int_equal(fs.f_type, 0xe0f5e1e2);
		_cleanup_close_ int fd = openat(mount_fd, "f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(read(fd, text, sizeof(text)), 3);
		assert_string_equal(text, "abc");
	}
}

/* No new content takes the place of an image, and recovery can still tell which content there is. */
static void test_not_replaced(void **state)
{
	_cleanup_fixture_ struct fixture f = image_fixture();
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_stage_options options = {0};
	struct driver_identity before, after;
	struct driver_staged *staged = NULL;

	check(overlay_driver.content_identity(f.driver, "A", &before, &error), error);
	check(overlay_driver.stage(f.driver, &options, &staged, &error), error);
	assert_int_equal(overlay_driver.stage_replace(staged, "A", true, &error), CST_ENOTSUP);
	overlay_driver.stage_free(staged);
	check(overlay_driver.content_identity(f.driver, "A", &after, NULL), NULL);
	assert_string_equal(before.text, after.text);
}

/* A staged layer becomes an image once; one that was left half-way becomes none. */
static void test_made(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_stage_options options = {0};
	struct driver_staged *staged = NULL;
	_cleanup_error_ cst_error *error = NULL;

	bool is_image = false;
	f.options[0] = "overlay.use_composefs=true";
	f.n_options = 1;
	fixture_open(&f);
	check(overlay_driver.stage(f.driver, &options, &staged, &error), error);
	write_text_at(staged->diff_fd, "file", "content");
	for (int again = 0; again < 2; again++) {
		check(overlay_driver.stage_as_image(staged, NULL, &is_image, &error), error);
		assert_true(is_image);
		assert_true(fs_exists(staged->dir_fd, "composefs-data/composefs.blob"));
		assert_false(fs_exists(staged->diff_fd, "file"));
		assert_true(fs_exists(
		        staged->diff_fd,
		        "ed/7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"));
	}
	assert_int_equal(mkdirat(staged->dir_fd, "objects", 0700), 0);
	assert_int_equal(overlay_driver.stage_as_image(staged, NULL, &is_image, &error),
	                 CST_ENOTSUP);
	overlay_driver.stage_free(staged);
}

/* Names without a mount for anybody to see; the image counts as a file. */
static void test_image_looked_at(void **state)
{
	_cleanup_fixture_ struct fixture f = image_fixture();
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_close_ int image = make_image(), blob = -1, names = -1;
	struct driver_usage usage = {0};
	struct stat st;
	char data[4096];

	blob = open(in_home(&f, "A/composefs-data/composefs.blob"), O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(blob >= 0);
	for (off_t at = 0; at < 16384; at += 4096) {
		assert_int_equal(pread(image, data, sizeof(data), at), 4096);
		assert_int_equal(write(blob, data, sizeof(data)), 4096);
	}
	if (overlay_driver.names_open(f.driver, "A", &names, &error) < 0 &&
	    cst_error_errno(error) == ENODEV)
		skip_because("no EROFS");
	assert_int_equal(fstatat(names, "f", &st, 0), 0);
	assert_int_equal(st.st_size, 3);
	check(overlay_driver.usage(f.driver, "A", &usage, &error), error);
	assert_int_equal(usage.bytes, 16384 + 1); /* and the file "a" of the fixture */
	assert_int_equal(usage.inodes, 3);
}

/* Only an absolute path leads into an additional layer store. */
static void test_elsewhere(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_mount_options options = {0};
	char *path = NULL;

	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "B", "A", false, "b");
	assert_int_equal(rename(in_home(&f, "A/diff"), in_home(&f, "A/elsewhere")), 0);
	assert_int_equal(symlink("elsewhere", in_home(&f, "A/diff")), 0);
	assert_int_equal(overlay_driver.get(f.driver, "B", &options, &path, &error), CST_ECORRUPT);
	assert_non_null(strstr(cst_error_message(error),
	                       "A/diff: linkpath must be absolute (got: \"elsewhere\")"));
	assert_false(is_mounted(&f, "B"));
}

/* ---- measuring ---- */

static void assert_usage(const struct driver_ops *ops, struct driver *d, const char *id,
                         int64_t bytes, int64_t inodes)
{
	_cleanup_error_ cst_error *error = NULL;
	struct driver_usage usage = {.bytes = -1};
	check(ops->usage(d, id, &usage, &error), error);
	assert_int_equal(usage.bytes, bytes);
	assert_int_equal(usage.inodes, inodes);
}

/* A layer's own files, each once however many names it has; directories have no bytes. */
static void test_usage(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;
	struct driver_usage usage = {.bytes = -1};

	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "four");
	make_layer(&f, "B", "A", false, "eleven-long");
	assert_int_equal(link(in_home(&f, "B/diff/eleven-long"), in_home(&f, "B/diff/again")), 0);
	assert_int_equal(mkdir(in_home(&f, "B/diff/dir"), 0700), 0);
	assert_int_equal(symlink("abc", in_home(&f, "B/diff/dir/link")), 0);
	assert_usage(&overlay_driver, f.driver, "A", 4, 2);
	assert_usage(&overlay_driver, f.driver, "B", 11 + 3, 4);
	assert_int_equal(overlay_driver.usage(f.driver, "nosuch", &usage, &error),
	                 CST_ELAYER_UNKNOWN);
	assert_int_equal(usage.bytes, -1);
}

/* On vfs a layer's own content has its parent's in it. */
static void test_usage_of_vfs(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_config config = {.graph_root = t.path, .run_root = t.path};
	struct driver *d = NULL;

	check(vfs_driver.open(&config, &d, &error), error);
	for (size_t i = 0; i < 2; i++) {
		const struct driver_stage_options options = {.parent = i ? "A" : NULL};
		struct driver_staged *staged = NULL;
		_cleanup_close_ int fd = -1;
		check(vfs_driver.stage(d, &options, &staged, &error), error);
		check(vfs_driver.stage_commit(staged, i ? "B" : "A", true, &error), error);
		vfs_driver.stage_free(staged);
		check(vfs_driver.content_open(d, i ? "B" : "A", &fd, &error), error);
		write_text_at(fd, i ? "b" : "four", i ? "b" : "four");
	}
	assert_usage(&vfs_driver, d, "A", 4, 2);
	assert_usage(&vfs_driver, d, "B", 4 + 1, 3);
	vfs_driver.close(d);
}

/* ---- what does not ask ---- */

/* What works on a layer as a whole does not ask what is in it. */
static void test_listed_and_removed(void **state)
{
	_cleanup_fixture_ struct fixture f = image_fixture();
	_cleanup_strv_ struct strv ids = {0}, paths = {0};
	_cleanup_error_ cst_error *error = NULL;

	check(overlay_driver.list(f.driver, &ids, &error), error);
	assert_int_equal(ids.len, 2);
	check(overlay_driver.paths(f.driver, "B", &paths, &error), error);
	make_layer(&f, "C", "A", true, "c");
	remove_layer(&f, "C");
	remove_layer(&f, "B");
	remove_layer(&f, "A");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_not_mounted),
	        cmocka_unit_test(test_not_read),
	        cmocka_unit_test(test_not_copied),
	        cmocka_unit_test(test_not_replaced),
	        cmocka_unit_test(test_made),
	        cmocka_unit_test(test_image_mounted),
	        cmocka_unit_test(test_image_looked_at),
	        cmocka_unit_test(test_elsewhere),
	        cmocka_unit_test(test_usage),
	        cmocka_unit_test(test_usage_of_vfs),
	        cmocka_unit_test(test_listed_and_removed),
	};

	if (!own_mounts())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
