/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: look-ups, lists and chains. Vectors: docs/format/store.md. */
#include "tables_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_find),
	        cmocka_unit_test(test_find_container),
	        cmocka_unit_test(test_list_order),
	        cmocka_unit_test(test_chains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
