/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: load, clashes, damage, edits, saves, mount points. Vectors: docs/format/store.md. */
#include "records_fixture.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <time.h>
#include <unistd.h>

#define TIME    "\"created\":\"0001-01-01T00:00:00Z\""
#define DIGEST1 "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"
#define DIGEST2 "sha256:27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a"

static cst_layer new_layer(const char *id, enum layer_file file)
{
	return (cst_layer){.id = id,
	                   .parent = "",
	                   .metadata = "",
	                   .mount_label = "",
	                   .created = TIMESTAMP_ZERO,
	                   .compressed_digest = "",
	                   .diff_digest = "",
	                   .toc_digest = "",
	                   .mount_point = "",
	                   .file = file};
}

static void add_layer(struct record_set *t, const char *id, const char *parent,
                      enum layer_file file, const char *const *names, size_t n)
{
	cst_layer layer = new_layer(id, file);
	layer.parent = parent;
	layer.names = (struct strings){.items = names, .len = n};
	assert_true(record_set_add(t, &layer));
}

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

/* ---- look-ups ---- */

static void assert_found(const struct record_set *t, const char *id, const char *want)
{
	const cst_layer *layer = layer_table_find(t, id);
	if (want)
		assert_string_equal(layer ? layer->id : "nothing", want);
	else
		assert_null(layer);
}

#define ONES   "1111111111111111111111111111111111111111111111111111111111111111"
#define TWELVE "1200000000000000000000000000000000000000000000000000000000000000"

static void test_find(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	static const char *const names[] = {"l1", "sh"};
	add_layer(t, ONES, "", LAYER_STABLE, names, 2);
	add_layer(t, "short", ONES, LAYER_STABLE, NULL, 0);
	assert_found(t, "1", ONES);
	add_layer(t, TWELVE, ONES, LAYER_STABLE, NULL, 0); /* after the index was sorted */
	add_layer(t, "with blank", "", LAYER_STABLE, NULL, 0);
	assert_found(t, "1111", ONES);
	assert_found(t, "1", NULL);
	assert_found(t, "12", TWELVE);
	assert_found(t, "sho", "short");
	assert_found(t, "sh", ONES); /* a name goes before a prefix */
	assert_found(t, "short", "short");
	assert_found(t, "shorter", NULL);
	assert_found(t, "", NULL);
	assert_found(t, "w", NULL);
	assert_found(t, "with blank", "with blank");
	assert_true(record_set_remove(t, TWELVE));
	assert_found(t, "12", NULL);
	assert_found(t, "1", ONES);
	assert_true(record_set_remove(t, "nothing"));
	assert_int_equal(record_set_size(t), 3);
}

static void test_find_container(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "containers.json",
	         "[{\"id\":\"abc\",\"names\":[\"n\"],\"layer\":\"L1\"},{\"id\":\"L2x\",\"layer\":"
	         "\"L\"}]");
	_cleanup_containers_ struct record_set *t = containers_loaded(&f);
	assert_string_equal(container_table_find(t, "L1")->id, "abc");
	assert_string_equal(container_table_find(t, "L")->id, "L2x"); /* a layer, not a prefix */
	assert_string_equal(container_table_find(t, "a")->id, "abc");
	assert_string_equal(container_table_find(t, "n")->id, "abc");
	cst_container edited = *container_table_get(t, "abc");
	edited.layer = "L9";
	assert_true(record_set_replace(t, &edited));
	assert_null(container_table_by_layer(t, "L1"));
	assert_string_equal(container_table_by_layer(t, "L9")->id, "abc");
	assert_true(record_set_remove(t, "abc"));
	assert_null(container_table_by_layer(t, "L9"));
}

static void test_list_order(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	add_layer(t, "v1", "", LAYER_VOLATILE, NULL, 0);
	add_layer(t, "s1", "", LAYER_STABLE, NULL, 0);
	add_layer(t, "v2", "", LAYER_VOLATILE, NULL, 0);
	add_layer(t, "s2", "", LAYER_IMAGE_STORE, NULL, 0); /* there is none: the stable file */
	static const char *const want[] = {"s1", "s2", "v1", "v2"};
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 4; i++)
			assert_string_equal(layer_table_at(t, i)->id, want[i]);
		assert_int_equal(layer_table_get(t, "s2")->file, LAYER_STABLE);
		assert_int_equal(record_set_save(t, f.lock, NULL), 0);
		bool repair;
		assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	}
	cst_layer twice = new_layer("s1", LAYER_STABLE);
	assert_false(record_set_add(t, &twice));
	cst_layer unknown = new_layer("none", LAYER_STABLE);
	assert_false(record_set_replace(t, &unknown));
	assert_int_equal(record_set_size(t), 4);
}

/* With an image store below `i`. */
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

static void add_with_digests(struct record_set *t, const char *id, const char *parent,
                             const char *compressed, const char *diff)
{
	cst_layer layer = new_layer(id, LAYER_STABLE);
	layer.parent = parent;
	layer.compressed_digest = compressed;
	layer.diff_digest = diff;
	assert_true(record_set_add(t, &layer));
}

static void assert_by_digest(const struct record_set *t, enum layer_digest which,
                             const char *digest, const char *want)
{
	_cleanup_strbuf_ struct strbuf found = {0};
	const cst_layer *layer = NULL;
	while ((layer = layer_table_by_digest(t, which, digest, layer)))
		strbuf_adds(&found, layer->id);
	assert_string_equal(strbuf_str(&found), want);
}

static void assert_children(const struct record_set *t, const char *id, const char *want)
{
	_cleanup_strbuf_ struct strbuf found = {0};
	const cst_layer *child = layer_table_first_child(t, id);
	for (; child; child = layer_table_next_child(t, child))
		strbuf_adds(&found, child->id);
	assert_string_equal(strbuf_str(&found), want);
}

static void test_chains(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	add_with_digests(t, "a", "", "c1", "d1");
	add_with_digests(t, "b", "a", "c1", "d2");
	assert_children(t, "a", "b"); /* builds the indexes */
	add_with_digests(t, "c", "a", "c1", "d2");
	add_with_digests(t, "d", "b", "c2", "");
	assert_by_digest(t, LAYER_COMPRESSED_DIGEST, "c1", "abc");
	assert_by_digest(t, LAYER_DIFF_DIGEST, "d2", "bc");
	assert_by_digest(t, LAYER_DIFF_DIGEST, "c1", "");
	assert_by_digest(t, LAYER_DIFF_DIGEST, "", "");
	assert_by_digest(t, LAYER_TOC_DIGEST, "t", "");
	assert_children(t, "a", "bc");
	assert_children(t, "", "");
	cst_layer edited = *layer_table_get(t, "b");
	edited.compressed_digest = "c3";
	edited.toc_digest = "t";
	edited.parent = "c";
	assert_true(record_set_replace(t, &edited));
	assert_by_digest(t, LAYER_COMPRESSED_DIGEST, "c1", "ac");
	assert_by_digest(t, LAYER_COMPRESSED_DIGEST, "c3", "b");
	assert_by_digest(t, LAYER_TOC_DIGEST, "t", "b");
	assert_children(t, "a", "c");
	assert_children(t, "c", "b");
	assert_true(record_set_remove(t, "c"));
	assert_children(t, "a", "");
	assert_by_digest(t, LAYER_COMPRESSED_DIGEST, "c1", "a");
	assert_by_digest(t, LAYER_DIFF_DIGEST, "d2", "b");
	add_with_digests(t, "e", "", "c1", "d2"); /* behind one that was last and went */
	assert_by_digest(t, LAYER_COMPRESSED_DIGEST, "c1", "ae");
	assert_by_digest(t, LAYER_DIFF_DIGEST, "d2", "be");
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

/* ---- many ---- */

static void hex_id(unsigned long n, char id[65])
{
	for (int i = 0; i < 64; i++) {
		n = n * 6364136223846793005UL + 1442695040888963407UL;
		id[i] = "0123456789abcdef"[n >> 60];
	}
	id[64] = '\0';
}

static void put_many(struct fixture *f, size_t n)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	struct json_writer w;
	char id[65], parent[65] = "", digest[80];
	json_writer_init(&w, &text, JSON_STORE);
	json_array_open(&w);
	for (size_t i = 0; i < n; i++) {
		hex_id(i, id);
		(void)snprintf(digest, sizeof(digest), "sha256:%s", id);
		const char *name = digest + 60;
		cst_layer layer = new_layer(id, LAYER_STABLE);
		layer.parent = i % 10 ? parent : "";
		layer.names = (struct strings){.items = &name, .len = i % 4 == 0};
		layer.compressed_digest = layer.diff_digest = digest;
		layer.compressed_size = layer.diff_size = (int64_t)i + 1;
		layer_write(&w, &layer);
		memcpy(parent, id, sizeof(id));
	}
	json_array_close(&w);
	put_bytes(f, "layers.json", text.data, text.len);
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void test_many_layers(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_many(&f, 10000);
	_cleanup_layers_ struct record_set *t = layers_new(&f);
	bool repair;
	double start = seconds();
	assert_int_equal(layers_load(&f, t, &repair, NULL), 0);
	double loaded = seconds();
	assert_int_equal(record_set_size(t), 10000);
	char id[65];
	for (size_t i = 0; i < 10000; i += 7) {
		hex_id(i, id);
		const cst_layer *layer = layer_table_get(t, id);
		assert_non_null(layer);
		id[20] = '\0';
		assert_ptr_equal(layer_table_find(t, id), layer);
	}
	double found = seconds();
	for (size_t i = 0; i < 1000; i++) {
		cst_layer edited = *layer_table_at(t, i * 9);
		edited.metadata = "edited";
		assert_true(record_set_replace(t, &edited));
	}
	double edited = seconds();
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	print_message(
	        "10000 layers: load %.1f ms, 1429 look-ups by prefix %.1f ms, 1000 edits %.1f ms, "
	        "save %.1f ms\n",
	        (loaded - start) * 1e3, (found - loaded) * 1e3, (edited - found) * 1e3,
	        (seconds() - edited) * 1e3);
}

/* Zero where the C library does not tell. */
static size_t heap_in_use(void)
{
#ifdef __GLIBC__
	return mallinfo2().uordblks;
#else
	return 0;
#endif
}

/* Edits and saves for a long time: memory stays, and what is found stays right. */
static void test_long_life(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_many(&f, 200);
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	char id[65];
	size_t before = 0;
	const cst_layer *first = layer_table_at(t, 0);
	assert_children(t, first->id, layer_table_at(t, 1)->id);
	for (size_t round = 0; round < 3000; round++) {
		hex_id(round + 1000000, id);
		const char *name = "moving";
		add_layer(t, id, "", round % 3 ? LAYER_STABLE : LAYER_VOLATILE, &name, 1);
		const cst_layer *old = layer_table_at(t, round % 200);
		cst_layer edited = *old;
		edited.metadata = id;
		edited.diff_digest = id;
		assert_true(record_set_replace(t, &edited));
		assert_non_null(old->id); /* good until the save */
		assert_true(layer_table_set_mount(t, id, "/mnt", 1));
		hex_id(round + 1000000 - 5, id);
		if (round >= 5)
			assert_true(record_set_remove(t, id));
		if (round % 10 == 0)
			assert_int_equal(record_set_save(t, f.lock, NULL), 0);
		if (round == 1000)
			before = heap_in_use();
	}
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_int_equal(record_set_size(t), 205);
	hex_id(2999 + 1000000, id);
	assert_string_equal(layer_table_by_name(t, "moving")->id, id);
	assert_true(heap_in_use() < before + (1 << 20));
	_cleanup_layers_ struct record_set *again = layers_loaded(&f);
	assert_int_equal(record_set_size(again), 205);
	for (size_t i = 0; i < 205; i++) {
		const cst_layer *a = layer_table_at(t, i), *b = layer_table_at(again, i);
		_cleanup_free_ char *x = NULL, *y = NULL;
		assert_int_equal(cst_layer_json(a, &x, NULL, NULL), 0);
		assert_int_equal(cst_layer_json(b, &y, NULL, NULL), 0);
		assert_string_equal(x, y);
		assert_ptr_equal(layer_table_find(t, a->id), a);
		bool found = isempty(a->diff_digest);
		for (const cst_layer *l = NULL;
		     (l = layer_table_by_digest(t, LAYER_DIFF_DIGEST, a->diff_digest, l));)
			found |= l == a;
		assert_true(found);
	}
}

/* Records that were edited one by one do not stay scattered. */
static void test_compaction(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_many(&f, 2000);
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	size_t loaded = heap_in_use();
	for (size_t round = 0; round < 4; round++) {
		for (size_t i = 0; i < 2000; i++) {
			cst_layer edited = *layer_table_at(t, i);
			edited.metadata = "edited";
			assert_true(record_set_replace(t, &edited));
		}
		for (size_t i = 0; i < 400; i++)
			assert_true(record_set_remove(t, layer_table_at(t, 7)->id));
		assert_int_equal(record_set_save(t, f.lock, NULL), 0);
		for (size_t i = 0; i < 400; i++) {
			char id[65];
			hex_id(round * 1000 + i + 5000000, id);
			add_layer(t, id, "", LAYER_STABLE, NULL, 0);
		}
	}
	assert_int_equal(record_set_size(t), 2000);
	assert_true(heap_in_use() < loaded + (4 << 20));
	for (size_t i = 0; i < 2000; i++) {
		const cst_layer *layer = layer_table_at(t, i);
		assert_ptr_equal(layer_table_get(t, layer->id), layer);
		if (layer->names.len)
			assert_ptr_equal(layer_table_by_name(t, layer->names.items[0]), layer);
	}
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
	        cmocka_unit_test(test_find),
	        cmocka_unit_test(test_find_container),
	        cmocka_unit_test(test_list_order),
	        cmocka_unit_test(test_image_store_file),
	        cmocka_unit_test(test_order_of_saving),
	        cmocka_unit_test(test_chains),
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
	        cmocka_unit_test(test_many_layers),
	        cmocka_unit_test(test_long_life),
	        cmocka_unit_test(test_compaction),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
