/* SPDX-License-Identifier: Apache-2.0 */
/* Mending files of records: what can be read is kept, the damaged file too, and nothing else changes. */
#include "records_fixture.h"

#include <unistd.h>

#define TIME "\"created\":\"2020-01-02T03:04:05Z\""
#define A    "{\"id\":\"A\",\"names\":[\"a\"],\"flags\":{\"x\":[1,{}]}," TIME "}"
#define B    "{\"id\":\"B\",\"names\":[\"b\"],\"metadata\":\"}]\"," TIME "}"
#define C    "{\"id\":\"C\",\"names\":[\"c\"]," TIME "}"
#define WHEN "20201130T102000Z"

static int mend(struct fixture *f, struct record_set *t, struct strv *mended)
{
	return record_set_mend(t, f->lock, WHEN, mended, NULL);
}

static void assert_bytes(struct fixture *f, const char *name, const char *want, size_t len)
{
	_cleanup_free_ char *data = NULL;
	size_t n;
	assert_int_equal(fs_read_file(f->dir.fd, name, 1 << 20, &data, &n, NULL), 0);
	assert_int_equal(n, len);
	assert_memory_equal(data, want, n);
}

/* Mends images.json with these bytes, and loads it. The first `kept` of A, B, C are there. */
static void assert_mended(const char *data, size_t n, size_t kept)
{
	static const char *const ids[] = {"A", "B", "C"};
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_images_ struct record_set *t = images_new(&f);
	_cleanup_strv_ struct strv mended = {0};
	bool repair = false;
	put_bytes(&f, "images.json", data, n);
	assert_int_equal(mend(&f, t, &mended), 0);
	_cleanup_free_ char *path = str_join(f.dir.path, "/images.json");
	assert_int_equal(mended.len, 1);
	assert_string_equal(mended.items[0], path);
	assert_bytes(&f, "images.json.damaged-" WHEN, data, n);
	assert_true(images_stale(&f, t));
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	if (record_set_size(t) != kept)
		fail_msg("%zu records of: %.*s", record_set_size(t), (int)n, data);
	for (size_t i = 0; i < kept; i++)
		assert_string_equal(image_table_at(t, i)->id, ids[i]);
	strv_free(&mended);
	/* It is whole now. */
	assert_int_equal(mend(&f, t, &mended), 0);
	assert_int_equal(mended.len, 0);
}

static void test_every_cut(void **state)
{
	static const char text[] = "[" A "," B "," C "]";
	const size_t ends[] = {strlen("[" A), strlen("[" A "," B), strlen("[" A "," B "," C)};
	for (size_t n = 1; n < strlen(text); n++) {
		size_t kept = 0;
		while (kept < ARRAY_SIZE(ends) && ends[kept] <= n)
			kept++;
		assert_mended(text, n, kept);
	}
}

static void test_other_damage(void **state)
{
	static const struct {
		const char *text;
		size_t kept;
	} cases[] = {{" ", 0},
	             {"{}", 0},
	             {"[" A "]x", 1},
	             {"[" A "," B "][", 2},
	             {"[" A ",1," B "]", 2},
	             {"[" A ",{\"id\":2}," B "]", 2}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_mended(cases[i].text, strlen(cases[i].text), cases[i].kept);
	assert_mended("\0\0\0\0", 4, 0);
}

/* What is whole is not written again. */
static void test_whole(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_layers_ struct record_set *t = layers_new(&f);
	_cleanup_strv_ struct strv mended = {0};
	put_file(&f, "layers.json", "[ " A " ]");
	put_file(&f, "volatile-layers.json", "[" B);
	assert_int_equal(mend(&f, t, &mended), 0);
	assert_int_equal(mended.len, 1);
	assert_true(has_suffix(mended.items[0], "/volatile-layers.json"));
	assert_file(&f, "layers.json", "[ " A " ]");
	assert_false(fs_exists(f.dir.fd, "layers.json.damaged-" WHEN));
	assert_file(&f, "volatile-layers.json.damaged-" WHEN, "[" B);
}

static void test_twice_in_a_second(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_images_ struct record_set *t = images_new(&f);
	_cleanup_strv_ struct strv mended = {0};
	put_file(&f, "images.json", "[" A);
	assert_int_equal(mend(&f, t, &mended), 0);
	put_file(&f, "images.json", "[" B);
	assert_int_equal(mend(&f, t, &mended), 0);
	assert_file(&f, "images.json.damaged-" WHEN, "[" A);
	assert_file(&f, "images.json.damaged-" WHEN "x", "[" B);
}

/* The symlink goes aside as it is, and what it leads to is neither read nor changed. */
static void test_symlink(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make();
	_cleanup_images_ struct record_set *t = images_new(&f);
	_cleanup_strv_ struct strv mended = {0};
	bool repair;
	put_file(&f, "elsewhere", "[" A "]");
	assert_int_equal(symlinkat("elsewhere", f.dir.fd, "images.json"), 0);
	assert_int_equal(mend(&f, t, &mended), 0);
	_cleanup_free_ char *target = fs_readlink(f.dir.fd, "images.json.damaged-" WHEN);
	assert_string_equal(target, "elsewhere");
	assert_file(&f, "elsewhere", "[" A "]");
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	assert_int_equal(record_set_size(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_cut), cmocka_unit_test(test_other_damage),
	        cmocka_unit_test(test_whole),     cmocka_unit_test(test_twice_in_a_second),
	        cmocka_unit_test(test_symlink),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
