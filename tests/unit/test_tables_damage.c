/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: what a load makes of damaged files, bad records, names that clash, and incomplete layers. */
#include "tables_fixture.h"

#define DIGEST1 "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"

/* ---- empty and damaged files ---- */

static void test_empty_files(void **state)
{
	static const char *const empty[] = {NULL, "", "null", "[]", " [ ] \n", "[null]"};
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		_cleanup_fixture_ struct fixture f = fixture_make();
		if (empty[i])
			put_file(&f, "images.json", empty[i]);
		_cleanup_images_ struct record_set *t = images_loaded(&f);
		assert_int_equal(record_set_size(t), 0);
		assert_null(image_table_find(t, "x"));
		assert_null(image_table_at(t, 0));
		assert_int_equal(record_set_save(t, f.lock, NULL), 0); /* nothing to do */
		if (empty[i])
			assert_file(&f, "images.json", empty[i]);
		else
			assert_false(fs_exists(f.dir.fd, "images.json"));
	}
}

/* An unreadable file fails the load, and no save goes over it. */
static void assert_damaged(const char *data, size_t n)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_images_ struct record_set *t = images_new(&f);
	bool repair = false;
	put_bytes(&f, "images.json", data, n);
	if (images_load(&f, t, &repair, &error) != CST_ECORRUPT)
		fail_msg("accepted: %.*s", (int)n, data);
	_cleanup_free_ char *start = str_printf("loading \"%s/images.json\": ", f.dir.path);
	assert_true(has_prefix(cst_error_message(error), start));
	assert_int_equal(record_set_size(t), 0);
	assert_true(images_stale(&f, t));
	assert_int_equal(record_set_save(t, f.lock, NULL), CST_ECORRUPT);
	cst_image image = {
	        .id = "X", .digest = "", .layer = "", .metadata = "", .created = TIMESTAMP_ZERO};
	assert_true(record_set_add(t, &image));
	assert_int_equal(record_set_save(t, f.lock, NULL), CST_ECORRUPT);
	_cleanup_free_ char *left = NULL;
	size_t left_len;
	assert_int_equal(fs_read_file(f.dir.fd, "images.json", 1 << 20, &left, &left_len, NULL), 0);
	assert_int_equal(left_len, n);
	assert_memory_equal(left, data, n);
	/* mended by hand, it loads */
	put_file(&f, "images.json", "[]");
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
}

static void test_damaged_files(void **state)
{
	static const char *const bad[] = {" ",
	                                  "{}",
	                                  "[] x",
	                                  "[1]",
	                                  "[\"a\"]",
	                                  "[{\"id\":1}]",
	                                  "[{\"id\":\"A\",\"names\":{}}]",
	                                  "[{\"id\":\"A\",\"big-data-sizes\":{\"a\":1.0}}]",
	                                  "[{\"id\":\"A\",\"created\":5}]",
	                                  "[{\"id\":\"A\",\"flags\":[]}]",
	                                  "[{\"id\":\"A\"},]",
	                                  "true",
	                                  "[{\"id\":\"A\",\"names\":[1]}]",
	                                  "[{\"id\":\"A\",\"big-data-digests\":{\"a\":1}}]"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_damaged(bad[i], strlen(bad[i]));
	assert_damaged("\0\0\0\0", 4);
}

static void test_every_cut(void **state)
{
	static const char text[] =
	        "[{\"id\":\"A\",\"digest\":\"" DIGEST1
	        "\",\"names\":[\"\\u00e9\"],\"big-data-names\":"
	        "[\"manifest\"],\"big-data-sizes\":{\"manifest\":4},\"big-data-digests\":{"
	        "\"manifest\":"
	        "\"" DIGEST1 "\"},\"created\":\"2020-01-02T03:04:05Z\",\"flags\":{\"a\":[1,{}]},"
	        "\"zzz\":{\"a\":1}}]";
	for (size_t n = 1; n < sizeof(text) - 1; n++)
		assert_damaged(text, n);
}

/* The other files stay as they were too. */
static void test_one_of_three_damaged(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_new(&f);
	bool repair;
	put_file(&f, "layers.json", "[{\"id\":\"A\"}]");
	put_file(&f, "volatile-layers.json", "[{\"id\":\"B\"}");
	assert_int_equal(layers_load(&f, t, &repair, NULL), CST_ECORRUPT);
	assert_int_equal(record_set_size(t), 0);
	assert_int_equal(record_set_save(t, f.lock, NULL), CST_ECORRUPT);
	assert_file(&f, "layers.json", "[{\"id\":\"A\"}]");
}

/* What a power cut makes of a file that was written without a barrier. */
static void test_lost_volatile_file(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_new(&f);
	bool repair = false;
	put_file(&f, "layers.json", "[{\"id\":\"A\"}]");
	put_bytes(&f, "volatile-layers.json", "\0\0\0", 3);
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	assert_int_equal(record_set_size(t), 1);
	assert_true(repair);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "volatile-layers.json", "[]");
	assert_file(&f, "layers.json", "[{\"id\":\"A\"}]"); /* not touched */
}

/* ---- single bad records ---- */

static void test_bad_records_stay(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	static const char head[] =
	        "[{\"id\":\"bad\", \"created\":\"yesterday\",\"u\":1},{\"id\":\"A\",";
	static const char tail[] = "},{\"id\":\"bad2\",\"digest\":\"foo\"},{\"names\":[\"x\"]},"
	                           "{\"id\":\"bad3\",\"metadata\":\"a\\u0000b\"},"
	                           "{\"id\":\"bad4\",\"flags\":{\"n\":1e999}}]";
	_cleanup_free_ char *before = str_printf("%s%s%s", head, TIME, tail);
	_cleanup_free_ char *after = str_printf("%s\"metadata\":\"m\",%s%s", head, TIME, tail);
	put_file(&f, "images.json", before);
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	assert_int_equal(record_set_size(t), 1);
	assert_null(image_table_find(t, "bad"));
	assert_null(image_table_find(t, "x"));
	assert_false(record_set_dirty(t));
	set_image_metadata(t, "A", "m");
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "images.json", after);
}

/* Layers: the first of one ID counts; images: the last. The other one stays in the file. */
static void test_duplicate_ids(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	static const char twice[] = "[{\"id\":\"A\",\"names\":[\"one\"]," TIME
	                            "},{\"id\":\"A\",\"names\":[\"two\"]," TIME "}]";
	put_file(&f, "layers.json", twice);
	put_file(&f, "images.json", twice);
	_cleanup_layers_ struct record_set *layers = layers_loaded(&f);
	_cleanup_images_ struct record_set *images = images_loaded(&f);
	assert_int_equal(record_set_size(layers), 1);
	assert_int_equal(record_set_size(images), 1);
	assert_names(&layer_table_get(layers, "A")->names, "one");
	assert_names(&image_table_get(images, "A")->names, "two");
	assert_null(layer_table_by_name(layers, "two"));
	assert_null(image_table_by_name(images, "one"));
	assert_true(record_set_replace(layers, layer_table_get(layers, "A")));
	assert_true(record_set_replace(images, image_table_get(images, "A")));
	assert_int_equal(record_set_save(layers, f.lock, NULL), 0);
	assert_int_equal(record_set_save(images, f.lock, NULL), 0);
	assert_file(&f, "layers.json", twice);
	assert_file(&f, "images.json", twice);
}

/* A layer that is its own ancestor stays in the file, and those built on it are served. */
static void test_circles(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	static const char circles[] =
	        "[{\"id\":\"tail\",\"parent\":\"A\"," TIME "},{\"id\":\"A\",\"parent\":\"B\"," TIME
	        "},{\"id\":\"B\",\"parent\":\"C\"," TIME
	        "},{\"id\":\"self\",\"parent\":\"self\"," TIME
	        "},{\"id\":\"good\",\"parent\":\"base\"," TIME "},{\"id\":\"base\"," TIME "}]";
	static const char other[] = "[{\"id\":\"C\",\"parent\":\"A\"," TIME "}]";
	put_file(&f, "layers.json", circles);
	put_file(&f, "volatile-layers.json", other);
	_cleanup_layers_ struct record_set *layers = layers_loaded(&f);
	assert_int_equal(record_set_size(layers), 3);
	assert_non_null(layer_table_get(layers, "tail"));
	assert_non_null(layer_table_get(layers, "good"));
	assert_null(layer_table_get(layers, "A"));
	assert_null(layer_table_get(layers, "self"));
	assert_true(record_set_replace(layers, layer_table_get(layers, "good")));
	assert_int_equal(record_set_save(layers, f.lock, NULL), 0);
	assert_file(&f, "layers.json", circles);
	assert_file(&f, "volatile-layers.json", other);
}

static void test_duplicate_id_in_other_file(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "containers.json", "[{\"id\":\"A\",\"layer\":\"L1\"}]");
	put_file(&f, "volatile-containers.json",
	         "[{\"id\":\"A\",\"layer\":\"L2\"},{\"id\":\"B\",\"layer\":\"L3\"}]");
	_cleanup_containers_ struct record_set *t = containers_loaded(&f);
	assert_int_equal(record_set_size(t), 2);
	assert_string_equal(container_table_get(t, "A")->layer, "L1");
	assert_null(container_table_by_layer(t, "L2"));
	assert_true(record_set_remove(t, "B"));
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "volatile-containers.json", "[{\"id\":\"A\",\"layer\":\"L2\"}]");
}

/* ---- names ---- */

/* The earlier holder loses; only a writer may say so in the file. */
static void test_name_clash(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_images_ struct record_set *t = images_new(&f);
	bool repair = false;
	put_file(&f, "images.json",
	         "[{\"id\":\"A\",\"names\":[\"one\",\"x\"]," TIME
	         "},{\"id\":\"B\",\"names\":[\"one\"]," TIME "}]");
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	assert_true(repair);
	assert_true(record_set_dirty(t));
	assert_names(&image_table_get(t, "A")->names, "x");
	assert_string_equal(image_table_by_name(t, "one")->id, "B");
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "images.json",
	            "[{\"id\":\"A\",\"names\":[\"x\"]," TIME
	            "},{\"id\":\"B\",\"names\":[\"one\"]," TIME "}]");
	assert_false(record_set_dirty(t));
	assert_false(images_stale(&f, t));
}

static void test_name_clash_across_files(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_containers_ struct record_set *t = containers_new(&f);
	bool repair = false;
	put_file(&f, "containers.json", "[{\"id\":\"A\",\"names\":[\"n\"]}]");
	put_file(&f, "volatile-containers.json", "[{\"id\":\"B\",\"names\":[\"n\"]}]");
	assert_int_equal(containers_load(&f, t, &repair, NULL), 0);
	assert_true(repair);
	assert_string_equal(container_table_find(t, "n")->id, "B");
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "containers.json",
	            "[{\"id\":\"A\",\"image\":\"\",\"layer\":\"\"," TIME "}]");
	assert_file(&f, "volatile-containers.json", "[{\"id\":\"B\",\"names\":[\"n\"]}]");
}

static void test_name_twice_in_one_record(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_new(&f);
	bool repair = true;
	put_file(&f, "layers.json", "[{\"id\":\"A\",\"names\":[\"l1\",\"l1\",\"dup\"]}]");
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	assert_true(repair);
	assert_names(&layer_table_get(t, "A")->names, "l1 dup");
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "layers.json", "[{\"id\":\"A\",\"names\":[\"l1\",\"dup\"]," TIME "}]");
	static const char *const names[] = {"l2", "l1", "l2", "x"};
	add_layer(t, "B", "", LAYER_STABLE, names, 4);
	assert_names(&layer_table_get(t, "B")->names, "l2 l1 x");
	assert_names(&layer_table_get(t, "A")->names, "dup");
}

/* In a store that cannot be mended a clash is an error. */
static void test_name_clash_read_only(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	struct record_set *images = NULL;
	struct record_set *layers = NULL;
	struct layer_paths paths = {.dir = f.dir.path, .read_only = true};
	bool repair = true;
	put_file(&f, "images.json",
	         "[{\"id\":\"A\",\"names\":[\"n\"]},{\"id\":\"B\",\"names\":[\"n\"]}]");
	put_file(&f, "layers.json", "[{\"id\":\"A\",\"flags\":{\"incomplete\":true}}]");
	assert_int_equal(image_table_new(f.dir.path, true, &images, NULL), 0);
	assert_int_equal(images_load(&f, images, &repair, NULL), CST_EDUPLICATE_IMAGE_NAMES);
	assert_int_equal(record_set_save(images, f.lock, NULL), 0);
	record_set_free(images);
	assert_int_equal(layer_table_new(&paths, &layers, NULL), 0);
	assert_int_equal(layers_load(&f, layers, &repair, NULL), 0);
	assert_false(repair);
	assert_true(layer_table_at(layers, 0)->read_only);
	assert_true(record_set_replace(layers, layer_table_at(layers, 0)));
	assert_int_equal(record_set_save(layers, f.lock, NULL), CST_ESTORE_READ_ONLY);
	record_set_free(layers);
}

/* set-names -n ia -n x B;  add-names -n x -n y A */
static void test_names_move(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json",
	         "[{\"id\":\"A\",\"names\":[\"ia\"]},{\"id\":\"B\",\"names\":[\"ib\"]}]");
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	static const char *const b_names[] = {"ia", "x"};
	static const char *const a_names[] = {"x", "y"};
	cst_image b = *image_table_get(t, "B");
	b.names = (struct strings){.items = b_names, .len = 2};
	assert_true(record_set_replace(t, &b));
	assert_names(&image_table_get(t, "A")->names, "");
	assert_names(&image_table_get(t, "B")->names, "ia x");
	assert_null(image_table_by_name(t, "ib"));
	cst_image a = *image_table_get(t, "A");
	a.names = (struct strings){.items = a_names, .len = 2};
	assert_true(record_set_replace(t, &a));
	assert_names(&image_table_get(t, "A")->names, "x y");
	assert_names(&image_table_get(t, "B")->names, "ia");
	assert_string_equal(image_table_by_name(t, "x")->id, "A");
	assert_string_equal(image_table_by_name(t, "ia")->id, "B");
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "images.json",
	            "[{\"id\":\"A\",\"names\":[\"x\",\"y\"]," TIME
	            "},{\"id\":\"B\",\"names\":[\"ia\"]," TIME "}]");
}

/* A name that moves between files: both are saved. */
static void test_names_move_between_files(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	static const char *const names[] = {"n", "m"};
	add_layer(t, "A", "", LAYER_STABLE, names, 2);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_false(fs_exists(f.dir.fd, "volatile-layers.json"));
	add_layer(t, "B", "", LAYER_VOLATILE, names, 1);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "layers.json", "[{\"id\":\"A\",\"names\":[\"m\"]," TIME "}]");
	assert_file(&f, "volatile-layers.json", "[{\"id\":\"B\",\"names\":[\"n\"]," TIME "}]");
}

/* ---- incomplete layers ---- */

static void test_incomplete(void **state)
{
	static const struct {
		const char *flags;
		bool incomplete;
	} cases[] = {{"true", true},
	             {"\"true\"", false},
	             {"1", false},
	             {"false", false},
	             {"null", false}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_fixture_ struct fixture f = fixture_make();
		_cleanup_layers_ struct record_set *t = layers_new(&f);
		_cleanup_free_ char *text =
		        str_printf("[{\"id\":\"A\",\"flags\":{\"incomplete\":%s}},"
		                   "{\"id\":\"B\",\"parent\":\"A\"}]",
		                   cases[i].flags);
		bool repair;
		put_file(&f, i % 2 ? "volatile-layers.json" : "layers.json", text);
		assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
		assert_int_equal(repair, cases[i].incomplete);
		assert_int_equal(layer_table_get(t, "A")->incomplete, cases[i].incomplete);
		assert_false(record_set_dirty(t));
	}
}

static void test_incomplete_follows_flags(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	_cleanup_arena_ struct arena arena = {0};
	cst_layer layer = new_layer("A", LAYER_VOLATILE);
	assert_true(flags_set(&arena, &layer.flags, "incomplete", "true"));
	assert_true(record_set_add(t, &layer));
	assert_true(layer_table_get(t, "A")->incomplete);
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "volatile-layers.json",
	            "[{\"id\":\"A\"," TIME ",\"flags\":{\"incomplete\":true}}]");
	cst_layer edited = *layer_table_get(t, "A");
	assert_true(flags_set(&arena, &edited.flags, "incomplete", NULL));
	assert_true(record_set_replace(t, &edited));
	assert_false(layer_table_get(t, "A")->incomplete);
	assert_int_equal(layer_table_get(t, "A")->file, LAYER_VOLATILE);
	assert_true(record_set_remove(t, "A"));
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "volatile-layers.json", "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_empty_files),
	        cmocka_unit_test(test_damaged_files),
	        cmocka_unit_test(test_every_cut),
	        cmocka_unit_test(test_one_of_three_damaged),
	        cmocka_unit_test(test_lost_volatile_file),
	        cmocka_unit_test(test_bad_records_stay),
	        cmocka_unit_test(test_duplicate_ids),
	        cmocka_unit_test(test_circles),
	        cmocka_unit_test(test_duplicate_id_in_other_file),
	        cmocka_unit_test(test_name_clash),
	        cmocka_unit_test(test_name_clash_across_files),
	        cmocka_unit_test(test_name_twice_in_one_record),
	        cmocka_unit_test(test_name_clash_read_only),
	        cmocka_unit_test(test_names_move),
	        cmocka_unit_test(test_names_move_between_files),
	        cmocka_unit_test(test_incomplete),
	        cmocka_unit_test(test_incomplete_follows_flags),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
