/* SPDX-License-Identifier: Apache-2.0 */
/* What one record says: the members, the odd values, the names of data files. Vectors:
 * docs/format/store.md. */
#include "records_fixture.h"

/* ---- files that the Go program wrote: read and written again they must not change ---- */

#define T1    "\"created\":\"2026-11-20T22:50:55.664249673Z\""
#define T2    "\"created\":\"2026-11-20T22:51:11.49553Z\""
#define D1    "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"
#define D2    "sha256:27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a"
#define MAP   "[{\"container_id\":0,\"host_id\":100000,\"size\":65536}]"
#define FLAGS "\"flags\":{\"MountLabel\":\"\",\"ProcessLabel\":\"\"}"

static const char layers_json[] =
        "[{\"id\":\"1111\",\"names\":[\"base\\u003c\\u0026\\u003e\"]," T1
        ",\"compressed-diff-digest\":\"" D1 "\",\"compressed-size\":120,\"diff-digest\":\"" D2
        "\",\"diff-size\":10240,\"compression\":2,\"uidset\":[0],\"gidset\":[0,7],"
        "\"big-data-names\":[\"Some/Key\"]},"
        "{\"id\":\"c896\",\"parent\":\"1111\",\"mountlabel\":\"system_u:object_r:x:s0:c1,c2\"," T2
        ",\"toc-digest\":\"" D1 "\",\"diff-size\":-1,\"uidmap\":" MAP ",\"gidmap\":" MAP "}]";
static const char images_json[] =
        "[{\"id\":\"aaaa\",\"digest\":\"" D1
        "\",\"names\":[\"x/y:2\",\"x/y:1\"],\"names-history\":[\"x/y:1\",\"x/y:2\"],"
        "\"layer\":\"1111\",\"mapped-layers\":[\"c896\"],\"metadata\":\"{\\\"k\\\":\\\"\\u003cv"
        "\\u003e\\\"}\",\"big-data-names\":[\"manifest\",\"Sha256:abc\"],"
        "\"big-data-sizes\":{\"Sha256:abc\":4,\"manifest\":8},"
        "\"big-data-digests\":{\"Sha256:abc\":\"" D2 "\",\"manifest\":\"" D1 "\"}," T1
        "},{\"id\":\"bbbb\",\"names\":[\"ib\"],\"layer\":\"2222\"," T2 "}]";
static const char containers_json[] =
        "[{\"id\":\"cccc\",\"names\":[\"ctr1\"],\"image\":\"aaaa\",\"layer\":\"835b\",\"metadata\":"
        "\"meta\",\"big-data-names\":[\"artifact\"],\"big-data-sizes\":{\"artifact\":4},"
        "\"big-data-digests\":{\"artifact\":\"" D2 "\"}," T1 ",\"uidmap\":" MAP ",\"gidmap\":" MAP
        "," FLAGS "},{\"id\":\"dddd\",\"image\":\"\",\"layer\":\"\"," T2
        ",\"flags\":{\"MountLabel\":\"l\\u003c\",\"MountOpts\":[\"nodev\",\"ro\"],\"ProcessLabel\":"
        "\"p\",\"Volatile\":true,\"f\":1.5,\"n\":1,\"s\":\"\\u003c\\u003e\"}}]";

/* Marks everything dirty by an edit of each record, and saves. */
static void test_layers_unchanged(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "layers.json", layers_json);
	_cleanup_layers_ struct record_set *t = layers_loaded(&f);
	assert_int_equal(record_set_size(t), 2);
	assert_true(record_set_replace(t, layer_table_get(t, "1111")));
	assert_true(record_set_replace(t, layer_table_get(t, "c896")));
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "layers.json", layers_json);
}

static void test_images_unchanged(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json", images_json);
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	assert_true(record_set_replace(t, image_table_get(t, "aaaa")));
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "images.json", images_json);
}

static void test_containers_unchanged(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "containers.json", containers_json);
	_cleanup_containers_ struct record_set *t = containers_loaded(&f);
	assert_true(record_set_replace(t, container_table_get(t, "dddd")));
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "containers.json", containers_json);
}

/* ---- what the accessors say ---- */

static void check_layer(const cst_layer *layer)
{
	const char *const *names;
	const uint32_t *ids;
	const cst_idmap *map;
	int32_t nsec;
	assert_string_equal(cst_layer_id(layer), "1111");
	assert_int_equal(cst_layer_names(layer, &names), 1);
	assert_string_equal(names[0], "base<&>");
	assert_string_equal(cst_layer_parent(layer), "");
	assert_string_equal(cst_layer_compressed_digest(layer), D1);
	assert_int_equal(cst_layer_compressed_size(layer), 120);
	assert_string_equal(cst_layer_diff_digest(layer), D2);
	assert_int_equal(cst_layer_uncompressed_size(layer), 10240);
	assert_string_equal(cst_layer_toc_digest(layer), "");
	assert_int_equal(cst_layer_compression(layer), CST_GZIP);
	assert_int_equal(cst_layer_created(layer, &nsec), 1795215055);
	assert_int_equal(nsec, 664249673);
	assert_int_equal(cst_layer_gids(layer, &ids), 2);
	assert_int_equal(ids[1], 7);
	assert_int_equal(cst_layer_uids(layer, NULL), 1);
	assert_int_equal(cst_layer_uid_map(layer, &map), 0);
	assert_int_equal(cst_layer_data_names(layer, &names), 1);
	assert_string_equal(names[0], "Some/Key");
	assert_string_equal(cst_layer_mount_point(layer), "");
	assert_int_equal(cst_layer_mount_count(layer), 0);
	assert_false(cst_layer_read_only(layer));
}

static void test_layer_accessors(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "layers.json", layers_json);
	struct record_set *t = layers_loaded(&f);
	const cst_layer *all[] = {layer_table_at(t, 0), layer_table_at(t, 1)};
	check_layer(all[0]);
	cst_layer *copy = NULL;
	assert_int_equal(layer_give(all[0], &copy, NULL), 0);
	cst_layer_list *list = layer_list_new(all, 2);
	record_set_free(t); /* copies live on */
	assert_non_null(copy);
	assert_non_null(list);
	check_layer(copy);
	cst_layer_free(copy);
	assert_int_equal(cst_layer_list_size(list), 2);
	check_layer(cst_layer_list_get(list, 0));
	const cst_layer *mapped = cst_layer_list_get(list, 1);
	const cst_idmap *map;
	assert_int_equal(cst_layer_gid_map(mapped, &map), 1);
	assert_int_equal(map[0].host_id, 100000);
	assert_int_equal(cst_layer_uncompressed_size(mapped), -1);
	assert_int_equal(cst_layer_compressed_size(mapped), -1);
	assert_string_equal(cst_layer_mount_label(mapped), "system_u:object_r:x:s0:c1,c2");
	assert_null(cst_layer_list_get(list, 2));
	cst_layer_list_free(list);
	cst_layer_list_free(NULL);
	cst_layer_free(NULL);
	assert_int_equal(cst_layer_list_size(NULL), 0);
}

static void test_image_accessors(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json", images_json);
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	cst_image *image = NULL;
	assert_int_equal(image_give(image_table_get(t, "aaaa"), &image, NULL), 0);
	const char *const *names;
	assert_string_equal(cst_image_digest(image), D1);
	assert_int_equal(cst_image_digests(image, &names), 1);
	assert_string_equal(names[0], D1);
	assert_int_equal(cst_image_names_history(image, &names), 2);
	assert_string_equal(names[0], "x/y:1");
	assert_string_equal(cst_image_top_layer(image), "1111");
	assert_int_equal(cst_image_mapped_layers(image, &names), 1);
	assert_string_equal(cst_image_metadata(image), "{\"k\":\"<v>\"}");
	assert_int_equal(cst_image_data_names(image, &names), 2);
	assert_string_equal(names[1], "Sha256:abc");
	assert_int_equal(cst_image_data_size(image, "manifest"), 8);
	assert_int_equal(cst_image_data_size(image, "none"), -1);
	assert_string_equal(cst_image_data_digest(image, "Sha256:abc"), D2);
	assert_string_equal(cst_image_data_digest(image, "none"), "");
	assert_false(cst_image_read_only(image));
	cst_image_free(image);
	const cst_image *items[] = {image_table_at(t, 1)};
	cst_image_list *list = image_list_new(items, 1);
	assert_string_equal(cst_image_id(cst_image_list_get(list, 0)), "bbbb");
	cst_image_list_free(list);
}

static void test_container_accessors(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "containers.json", containers_json);
	_cleanup_containers_ struct record_set *t = containers_loaded(&f);
	cst_container *c = NULL;
	assert_int_equal(container_give(container_table_get(t, "dddd"), &c, NULL), 0);
	assert_string_equal(cst_container_mount_label(c), "l<");
	assert_string_equal(cst_container_process_label(c), "p");
	assert_true(cst_container_volatile(c));
	assert_false(cst_container_volatile(container_table_get(t, "cccc")));
	assert_string_equal(cst_container_image(container_table_get(t, "cccc")), "aaaa");
	assert_string_equal(cst_container_layer(container_table_get(t, "cccc")), "835b");
	assert_int_equal(cst_container_data_size(container_table_get(t, "cccc"), "artifact"), 4);
	cst_container_free(c);
	const struct record_set *sets[] = {t};
	cst_container_list *list = NULL;
	assert_int_equal(container_list_all(sets, 1, 0, &list, NULL), 0);
	assert_int_equal(cst_container_list_size(list), 2);
	assert_string_equal(cst_container_mount_label(cst_container_list_get(list, 1)), "l<");
	cst_container_list_free(list);
}

/* ---- odd input ---- */

/* One record in, the same record after an edit out. */
static void assert_rewritten(const char *in, const char *out)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json", in);
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	set_image_metadata(t, "A", "x");
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "images.json", out);
}

#define ZERO_TIME "\"created\":\"0001-01-01T00:00:00Z\""

static void test_member_names(void **state)
{
	assert_rewritten(
	        "[{\"ID\":\"A\",\"Names\":[\"n1\"],\"zzz\":{\"a\":1},\"CREATED\":\"2020-01-02T03:"
	        "04:05+02:00\",\"layer\":\"L\"}]",
	        "[{\"id\":\"A\",\"names\":[\"n1\"],\"layer\":\"L\",\"metadata\":\"x\",\"created\":"
	        "\"2020-01-02T03:04:05+02:00\",\"zzz\":{\"a\":1}}]");
	/* null is nothing, the later of two counts, unknown ones keep their order and bytes */
	assert_rewritten(
	        " [ {\"id\":\"B\" , \"names\":null,\"metadata\":null,\"id\":\"A\",\"created\":null,"
	        "\"u2\":[1 ,2.0],\"u1<\":null,\"flags\":null,\"big-data-sizes\":null} ] ",
	        "[{\"id\":\"A\",\"metadata\":\"x\"," ZERO_TIME
	        ",\"u2\":[1 ,2.0],\"u1\\u003c\":null}]");
	assert_rewritten("[{\"id\":\"A\",\"flags\":{},\"names\":[],\"big-data-names\":[]}]",
	                 "[{\"id\":\"A\",\"metadata\":\"x\"," ZERO_TIME "}]");
}

static void test_flag_numbers(void **state)
{
	assert_rewritten(
	        "[{\"id\":\"A\",\"flags\":{\"z\":1,\"b\":1.50,\"c\":1e30,\"d\":"
	        "12345678901234567890,"
	        "\"g\":1e-9,\"h\":100000000000000000000,\"i\":1000000000000000000000,\"j\":-0.0}}]",
	        "[{\"id\":\"A\",\"metadata\":\"x\"," ZERO_TIME
	        ",\"flags\":{\"b\":1.5,\"c\":1e+30,\"d\":12345678901234567000,\"g\":1e-09,"
	        "\"h\":100000000000000000000,\"i\":1e+21,\"j\":-0,\"z\":1}}]");
	assert_rewritten(
	        "[{\"id\":\"A\",\"flags\":{\"b\":{\"y\":[1.0,{\"q\":2,\"p\":\"\\/\"}],\"x\":null},"
	        "\"a\":true,\"b2\":1,\"b2\":2}}]",
	        "[{\"id\":\"A\",\"metadata\":\"x\"," ZERO_TIME
	        ",\"flags\":{\"a\":true,\"b\":{\"x\":null,\"y\":[1,{\"p\":\"/"
	        "\",\"q\":2}]},\"b2\":2}}]");
}

static void test_name_escapes(void **state)
{
	assert_rewritten(
	        "[{\"id\":\"A\",\"names\":[\"\\u2028\\u2029\",\"\\u007f\\b\\f\\t\\u0001\","
	        "\"\\ud83d\\ude00\",\"\\ud800\",\"a/b\\/c\",\"x\xff\xfey\"]}]",
	        "[{\"id\":\"A\",\"names\":[\"\\u2028\\u2029\",\"\x7f\\u0008\\u000c\\t\\u0001\","
	        "\"\xf0\x9f\x98\x80\",\"\xef\xbf\xbd\",\"a/b/c\",\"x\\ufffd\\ufffdy\"],"
	        "\"metadata\":\"x\"," ZERO_TIME "}]");
}

static void test_printed_form(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json",
	         "[{\"id\":\"A\",\"names\":[\"\\b\\f\"],\"flags\":{\"a\":1e-9,\"b\":\"\\b\"},"
	         "\"new\":1}]");
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	_cleanup_free_ char *json = NULL;
	size_t n;
	assert_int_equal(cst_image_json(image_table_at(t, 0), &json, &n, NULL), 0);
	assert_string_equal(json, "{\"id\":\"A\",\"names\":[\"\\b\\f\"]," ZERO_TIME
	                          ",\"flags\":{\"a\":1e-9,\"b\":\"\\b\"},\"new\":1}");
	assert_int_equal(n, strlen(json));
	set_image_metadata(t, "A", "");
	assert_int_equal(record_set_save(t, f.lock, NULL), 0);
	assert_file(&f, "images.json",
	            "[{\"id\":\"A\",\"names\":[\"\\u0008\\u000c\"]," ZERO_TIME
	            ",\"flags\":{\"a\":1e-09,\"b\":\"\\u0008\"},\"new\":1}]");
}

/* ---- searchable digests ---- */

static void test_image_digests(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	put_file(&f, "images.json",
	         "[{\"id\":\"A\",\"digest\":\"" D1
	         "\",\"big-data-names\":[\"manifest\",\"config\"],"
	         "\"big-data-digests\":{\"manifest\":\"" D2 "\",\"config\":\"" D1 "\"}},"
	         "{\"id\":\"B\",\"big-data-names\":[\"manifest-z\",\"manifest-a\"],"
	         "\"big-data-digests\":{\"manifest-z\":\"" D2 "\",\"manifest-a\":\"" D1 "\"}},"
	         "{\"id\":\"C\",\"big-data-names\":[\"manifest-a\",\"manifest\"],"
	         "\"big-data-digests\":{\"manifest-a\":\"" D1 "\",\"manifest\":\"" D2 "\"}}]");
	_cleanup_images_ struct record_set *t = images_loaded(&f);
	assert_names(&image_table_get(t, "A")->digests, D1 " " D2);
	assert_string_equal(image_table_get(t, "B")->digest, D1);
	assert_string_equal(image_table_get(t, "C")->digest, D2);
	/* the digests follow an edit */
	cst_image edited = *image_table_get(t, "A");
	struct data_item item = {.name = "manifest-2",
	                         .size = 3,
	                         .digest = "sha256:"
	                                   "77"};
	edited.data = (struct data_items){.items = &item, .len = 1};
	edited.digest = "";
	assert_true(record_set_replace(t, &edited));
	assert_names(&image_table_get(t, "A")->digests, "sha256:77");
	const char *const *names;
	assert_int_equal(cst_image_data_names(image_table_get(t, "A"), &names), 1);
	assert_string_equal(names[0], "manifest-2");
}

/* ---- flags ---- */

static void test_flags(void **state)
{
	_cleanup_arena_ struct arena arena = {0};
	struct raw_members flags = {0};
	assert_false(flags_get_bool(&flags, "incomplete"));
	assert_true(flags_set(&arena, &flags, "incomplete", "true"));
	assert_true(flags_set(&arena, &flags, "s", "\"a\\u003c\""));
	assert_true(flags_get_bool(&flags, "incomplete"));
	assert_false(flags_get_bool(&flags, "s"));
	assert_string_equal(flags_get_string(&arena, &flags, "s"), "a<");
	assert_null(flags_get_string(&arena, &flags, "incomplete"));
	assert_null(flags_get_string(&arena, &flags, "none"));
	assert_true(flags_set(&arena, &flags, "s", "\"b\""));
	assert_int_equal(flags.len, 2);
	assert_string_equal(flags_get_string(&arena, &flags, "s"), "b");
	assert_true(flags_set(&arena, &flags, "incomplete", NULL));
	assert_true(flags_set(&arena, &flags, "none", NULL));
	assert_int_equal(flags.len, 1);
	assert_false(flags_get_bool(&flags, "incomplete"));
}

/* ---- data file names: docs/format/store.md, "Big data file names" ---- */

static void test_data_file_names(void **state)
{
	static const struct {
		const char *key, *file;
	} names[] = {
	        {"manifest", "manifest"},
	        {"config.json", "config.json"},
	        {"abcD", "abcD"},
	        {"abc-", "abc-"},
	        {"A", "A"},
	        {"\xc3\xa9", "\xc3\xa9"},
	        {"x\xc3\xa9", "x\xc3\xa9"},
	        {"x\xc3", "x\xc3"},
	        {"\xc3\xa9x", "=w6l4"},
	        {"\xff\xff", "=//8="},
	        {"Abc", "=QWJj"},
	        {"a/", "a/"},
	        {"sha256:abc", "=c2hhMjU2OmFiYw=="},
	        {"manifest-sha256:00", "=bWFuaWZlc3Qtc2hhMjU2OjAw"},
	        {".tmp-x", "=LnRtcC14"},
	        {"a?\?", "=YT8/"},
	        {"a?\?b", "=YT8/Yg=="},
	        {".", "."},
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *file = data_file_name(names[i].key);
		assert_string_equal(file, names[i].file);
	}
}

static void test_data_keys(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(data_check_key("image", "", &error), CST_EINVALID_BIG_DATA_NAME);
	assert_string_equal(cst_error_message(error),
	                    "can't set empty name for image big data item: "
	                    "not a valid name for a big data item");
	static const char *const bad[] = {"/", ".", "..", "a/", "a?\?", "userdata"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(data_check_key("layer", bad[i], NULL), CST_EINVAL);
	assert_int_equal(data_check_key("layer", "sha256:abc", NULL), 0);
	assert_int_equal(data_check_key("container", "../x", NULL), 0); /* escaped */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_layers_unchanged),
	        cmocka_unit_test(test_images_unchanged),
	        cmocka_unit_test(test_containers_unchanged),
	        cmocka_unit_test(test_layer_accessors),
	        cmocka_unit_test(test_image_accessors),
	        cmocka_unit_test(test_container_accessors),
	        cmocka_unit_test(test_member_names),
	        cmocka_unit_test(test_flag_numbers),
	        cmocka_unit_test(test_name_escapes),
	        cmocka_unit_test(test_printed_form),
	        cmocka_unit_test(test_image_digests),
	        cmocka_unit_test(test_flags),
	        cmocka_unit_test(test_data_file_names),
	        cmocka_unit_test(test_data_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
