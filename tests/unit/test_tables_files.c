/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and their files: which file, in which order, when they are stale, what a failed save leaves, mount points. */
#include "tables_fixture.h"
#include <unistd.h>

static struct record_set *split_layers_new(const struct fixture *f)
{
	_cleanup_free_ char *images = path_join(f->dir.path, "i/overlay-layers");
	struct layer_paths paths = {
	        .dir = f->dir.path, .image_dir = images, .volatile_dir = f->dir.path};
	struct record_set *t = NULL;
	assert_int_equal(fs_mkdir_p(images, 0700, NULL), 0);
	assert_int_equal(layer_table_new(&paths, &t, NULL), 0);
	return t;
}

static void test_image_store_file(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = split_layers_new(&f);
	bool repair;
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	add_layer(t, "v", "", LAYER_VOLATILE, NULL, 0);
	add_layer(t, "i", "", LAYER_IMAGE_STORE, NULL, 0);
	add_layer(t, "s", "", LAYER_STABLE, NULL, 0);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "layers.json", "[{\"id\":\"s\"," TIME "}]");
	assert_file(&f, "i/overlay-layers/layers.json", "[{\"id\":\"i\"," TIME "}]");
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	assert_string_equal(layer_table_at(t, 1)->id, "i");
	assert_int_equal(layer_table_at(t, 1)->file, LAYER_IMAGE_STORE);
	assert_int_equal(layer_table_at(t, 2)->file, LAYER_VOLATILE);
}

/* A write of this file fails as long as the directory in its place is there. */
static void block(const struct fixture *f, const char *temporary)
{
	_cleanup_free_ char *path = path_join(f->dir.path, temporary);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void unblock(const struct fixture *f, const char *temporary)
{
	_cleanup_free_ char *path = path_join(f->dir.path, temporary);
	assert_int_equal(rmdir(path), 0);
}

/* i <- s <- v, each in a file of its own: whatever a crash leaves, nothing builds on what is not
 * there. */
static void test_order_of_saving(void **state)
{
	static const char image[] = "i/overlay-layers/layers.json",
	                  image_temporary[] = "i/overlay-layers/.tmp-layers.json0",
	                  volatile_temporary[] = ".tmp-volatile-layers.json0";
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = split_layers_new(&f);
	bool repair;
	for (int blocked = 1; blocked >= 0; blocked--) {
		assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
		assert_int_equal(record_set_size(t), 0);
		if (blocked)
			block(&f, image_temporary);
		add_layer(t, "v", "s", LAYER_VOLATILE, NULL, 0);
		add_layer(t, "s", "i", LAYER_STABLE, NULL, 0);
		add_layer(t, "i", "", LAYER_IMAGE_STORE, NULL, 0);
		int r = record_set_save(t, f.lock, NULL);
		assert_int_equal(r < 0, blocked);
		if (blocked)
			unblock(&f, image_temporary);
	}
	for (int blocked = 1; blocked >= 0; blocked--) {
		assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
		assert_int_equal(record_set_size(t), 3);
		if (blocked)
			block(&f, volatile_temporary);
		assert_true(record_set_remove(t, "i"));
		assert_true(record_set_remove(t, "s"));
		assert_true(record_set_remove(t, "v"));
		int r = record_set_save(t, f.lock, NULL);
		assert_int_equal(r < 0, blocked);
		if (blocked)
			unblock(&f, volatile_temporary);
	}
	assert_file(&f, image, "[]");
}

/* ---- freshness, tokens, garbage ---- */

static void test_stale(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_new(&f);
	struct lock_token token;
	bool repair;
	assert_true(layers_stale(&f, t));
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	assert_false(layers_stale(&f, t));
	put_file(&f, "volatile-layers.json", "[]"); /* by hand, without the token */
	assert_true(layers_stale(&f, t));
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	assert_false(layers_stale(&f, t));
	assert_int_equal(lockfile_touch(f.lock, &token, NULL), 0);
	assert_true(layers_stale(&f, t));
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	add_layer(t, "A", "", LAYER_STABLE, NULL, 0);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_false(layers_stale(&f, t)); /* our own save is known */
	assert_int_equal(unlinkat(f.dir.fd, "layers.json", 0), 0);
	assert_true(layers_stale(&f, t));
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	assert_int_equal(record_set_size(t), 0);
}

/* Changed in place, as long as before, and dated back. */
static void test_stale_by_change_time(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	struct stat st;
	put_file(&f, "images.json", "[{\"id\":\"A\"}]");
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	assert_int_equal(fstatat(f.dir.fd, "images.json", &st, 0), 0);
	usleep(20000); /* a tick of the file system's clock */
	put_file(&f, "images.json", "[{\"id\":\"B\"}]");
	struct timespec times[2] = {st.st_atim, st.st_mtim};
	assert_int_equal(utimensat(f.dir.fd, "images.json", times, 0), 0);
	assert_true(images_stale(&f, t));
}

/* The edit is in memory only, so memory may not be used. */
static void test_save_without_token(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	struct rlimit before;
	put_file(&f, "images.json", "[{\"id\":\"A\"}]");
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	set_image_metadata(t, "A", "new");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	const struct rlimit nothing = {.rlim_max = before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &nothing), 0); /* the token cannot be written */
	int r = record_set_save(t, f.lock, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, CST_ESYS);
	assert_true(images_stale(&f, t));
	assert_file(&f, "images.json", "[{\"id\":\"A\"}]");
}

struct saved {
	struct fixture *f;
	struct record_set *images;
	struct record_set *layers;
};

static void save_images(void *arg)
{
	struct saved *saved = arg;
	(void)record_set_save(saved->images, saved->f->lock, NULL);
}

static void save_mounts(void *arg)
{
	struct saved *saved = arg;
	(void)layer_table_save_mounts(saved->layers, saved->f->lock, NULL);
}

/* A mistake of ours that another process would pay for: it ends this one. */
static void test_save_without_lock(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json", "[{\"id\":\"A\"}]");
	put_file(&f, "layers.json", "[{\"id\":\"L\"}]");
	_cleanup_images_ struct record_set *images = images_loaded(&f);
	_cleanup_layers_ struct record_set *layers = layers_loaded(&f);
	struct saved saved = {.f = &f, .images = images, .layers = layers};
	set_image_metadata(images, "A", "new");
	assert_true(layer_table_set_mount(layers, "L", "/m", 1));
	lockfile_unlock(f.lock);
	assert_true(test_aborts(save_images, &saved));
	assert_true(test_aborts(save_mounts, &saved));
	assert_int_equal(lockfile_lock(f.lock, LOCKFILE_READ, NULL), 0);
	assert_true(test_aborts(save_images, &saved)); /* a reader's lock is not enough */
	assert_true(test_aborts(save_mounts, &saved));
	assert_file(&f, "images.json", "[{\"id\":\"A\"}]");
}

/* What was opened under the lock is what is parsed, though it was replaced since. */
static void test_open_then_replaced(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_images_ struct record_set *t = images_new(&f);
	struct lock_token token;
	bool repair;
	put_file(&f, "images.json", "[{\"id\":\"old\"}]");
	assert_int_equal(lockfile_read_token(f.lock, &token, NULL), 0);
	assert_int_equal(record_set_open(t, &token, NULL), 0);
	assert_int_equal(fs_replace_file(f.dir.fd, "images.json", "[]", 2, 0600, 0, NULL, NULL), 0);
	assert_int_equal(record_set_parse(t, &repair, NULL), 0);
	assert_non_null(image_table_get(t, "old"));
	assert_true(images_stale(&f, t));
}

static void test_failed_save(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json", "[{\"id\":\"A\"}]");
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	set_image_metadata(t, "A", "new");
	assert_int_equal(unlinkat(f.dir.fd, "images.json", 0), 0);
	assert_int_equal(mkdirat(f.dir.fd, "images.json", 0700), 0); /* in the way of the rename */
	assert_int_equal(record_set_save(t, f.lock, NULL), CST_ESYS);
	assert_true(images_stale(&f, t));
	struct strv names = {0};
	assert_int_equal(fs_list_dir(f.dir.fd, ".", &names, NULL, NULL), 0);
	assert_int_equal(names.len, 2); /* the lock and the directory: no temporary file */
	strv_free(&names);
}

static void test_stale_temporary_files(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, ".tmp-layers.json123", "x");
	put_file(&f, ".tmp-volatile-layers.json5", "x");
	put_file(&f, ".tmp-other7", "x");
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	assert_true(fs_exists(f.dir.fd, ".tmp-layers.json123")); /* reading removes nothing */
	add_layer(t, "A", "", LAYER_STABLE, NULL, 0);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_false(fs_exists(f.dir.fd, ".tmp-layers.json123"));
	assert_true(fs_exists(f.dir.fd, ".tmp-other7"));
	add_layer(t, "B", "", LAYER_VOLATILE, NULL, 0);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_false(fs_exists(f.dir.fd, ".tmp-volatile-layers.json5"));
}

/* ---- mount points ---- */

static void assert_mounted(const struct record_set *t, const char *id, const char *path, int count)
{
	assert_string_equal(layer_table_get(t, id)->mount_point, path);
	assert_int_equal(layer_table_get(t, id)->mount_count, count);
}

static void test_mounts(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "layers.json",
	         "[{\"id\":\"aa\",\"names\":[\"n\"]},{\"id\":\"bb\"},{\"id\":\"cc\"}]");
	put_file(&f, "mountpoints.json",
	         "[{\"id\":\"bb\",\"path\":\"/m/b\",\"count\":2},{\"id\":\"gone\",\"path\":\"/m/"
	         "g\",\"count\":1},"
	         "{\"id\":\"cc\",\"path\":\"\",\"count\":1},{\"id\":\"n\",\"path\":\"/m/"
	         "a\",\"count\":1}]");
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	assert_int_equal(layer_table_load_mounts(t, f.lock, NULL), 0);
	assert_mounted(t, "aa", "/m/a", 1);
	assert_mounted(t, "bb", "/m/b", 2);
	assert_mounted(t, "cc", "", 0);
	assert_false(record_set_dirty(t));
	assert_int_equal(layer_table_save_mounts(t, f.lock, NULL), 0); /* no change: not written */
	_cleanup_free_ char *text = NULL;
	size_t n;
	assert_int_equal(fs_read_file(f.dir.fd, "mountpoints.json", 4096, &text, &n, NULL), 0);
	assert_non_null(strstr(text, "gone"));
	/* an edit of the record keeps the mount, and the mount is no edit */
	cst_layer edited = *layer_table_get(t, "bb");
	edited.metadata = "x";
	edited.mount_point = "/elsewhere";
	assert_true(record_set_replace(t, &edited));
	assert_mounted(t, "bb", "/m/b", 2);
	assert_true(layer_table_set_mount(t, "bb", "/m/b", 1));
	assert_true(layer_table_set_mount(t, "aa", NULL, 0));
	assert_true(layer_table_set_mount(t, "cc", "/m/<c>", 1));
	assert_true(layer_table_set_mount(t, "none", "/x", 1));
	assert_int_equal(layer_table_save_mounts(t, f.lock, NULL), 0);
	assert_file(&f, "mountpoints.json",
	            "[{\"id\":\"bb\",\"path\":\"/m/b\",\"count\":1},"
	            "{\"id\":\"cc\",\"path\":\"/m/\\u003cc\\u003e\",\"count\":1}]");
	/* seen by somebody else; changed by somebody else */
	_cleanup_layers_ struct record_set *other = layers_loaded(&f);
	assert_int_equal(layer_table_load_mounts(other, f.lock, NULL), 0);
	assert_mounted(other, "bb", "/m/b", 1);
	assert_true(layer_table_set_mount(other, "bb", "", 0));
	assert_true(layer_table_set_mount(other, "cc", "", 0));
	assert_int_equal(layer_table_save_mounts(other, f.lock, NULL), 0);
	assert_file(&f, "mountpoints.json", "[]");
	assert_int_equal(layer_table_load_mounts(t, f.lock, NULL), 0);
	assert_mounted(t, "bb", "", 0);
	assert_mounted(t, "cc", "", 0);
}

/* Entries of another store, which shares the run directory, stay, and are not believed. */
static void test_mounts_of_another_store(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	struct layer_paths paths = {.dir = f.dir.path,
	                            .volatile_dir = f.dir.path,
	                            .run_dir = f.dir.path,
	                            .mounts_home = "/ours/vfs"};
	bool repair;
	put_file(&f, "layers.json", "[{\"id\":\"aa\"},{\"id\":\"bb\"}]");
	put_file(&f, "mountpoints.json",
	         "[{\"id\":\"aa\",\"path\":\"/theirs/vfs/dir/aa\",\"count\":2},"
	         "{\"id\":\"bb\",\"path\":\"/ours/vfs/dir/bb\",\"count\":1}]");
	_cleanup_layers_ struct record_set *t = NULL;
	assert_int_equal(layer_table_new(&paths, &t, NULL), 0);
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	assert_int_equal(layer_table_load_mounts(t, f.lock, NULL), 0);
	assert_mounted(t, "aa", "", 0);
	assert_mounted(t, "bb", "/ours/vfs/dir/bb", 1);
	assert_true(layer_table_set_mount(t, "bb", "", 0));
	assert_int_equal(layer_table_save_mounts(t, f.lock, NULL), 0);
	assert_file(&f, "mountpoints.json",
	            "[{\"id\":\"aa\",\"path\":\"/theirs/vfs/dir/aa\",\"count\":2}]");
}

static void test_mounts_damaged(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "layers.json", "[{\"id\":\"aa\"}]");
	put_file(&f, "mountpoints.json", "[{\"id\":\"aa\"");
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	assert_int_equal(layer_table_load_mounts(t, f.lock, NULL), CST_ECORRUPT);
	assert_true(layer_table_set_mount(t, "aa", "/m", 1));
	assert_int_equal(layer_table_save_mounts(t, f.lock, NULL), CST_ECORRUPT);
	assert_file(&f, "mountpoints.json", "[{\"id\":\"aa\"");
}

/* A removed layer goes from the mounts too. */
static void test_mounts_of_removed(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "layers.json", "[{\"id\":\"aa\"}]");
	put_file(&f, "mountpoints.json", "[{\"id\":\"aa\",\"path\":\"/m\",\"count\":1}]");
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	assert_int_equal(layer_table_load_mounts(t, f.lock, NULL), 0);
	assert_true(record_set_remove(t, "aa"));
	assert_int_equal(layer_table_save_mounts(t, f.lock, NULL), 0);
	assert_file(&f, "mountpoints.json", "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_image_store_file),
	        cmocka_unit_test(test_order_of_saving),
	        cmocka_unit_test(test_stale),
	        cmocka_unit_test(test_stale_by_change_time),
	        cmocka_unit_test(test_save_without_token),
	        cmocka_unit_test(test_save_without_lock),
	        cmocka_unit_test(test_open_then_replaced),
	        cmocka_unit_test(test_failed_save),
	        cmocka_unit_test(test_stale_temporary_files),
	        cmocka_unit_test(test_mounts),
	        cmocka_unit_test(test_mounts_of_another_store),
	        cmocka_unit_test(test_mounts_damaged),
	        cmocka_unit_test(test_mounts_of_removed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
