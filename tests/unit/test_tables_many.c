/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of very many records, and tables that are edited and saved for a long time. */
#include "tables_fixture.h"
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <time.h>

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
	        cmocka_unit_test(test_many_layers),
	        cmocka_unit_test(test_long_life),
	        cmocka_unit_test(test_compaction),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
