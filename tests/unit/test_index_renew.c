/* SPDX-License-Identifier: Apache-2.0 */
/* An index that is out of date is made good again: the answers are those of the parsed records, whatever another writer did. */
#include "index_fixture.h"

#define FEW 12

static const uint64_t *secret_of(const struct record_set *t)
{
	return index_secret(t->base->index);
}

/* What another process finds, which reads the index before it is asked anything. True: the records were not all parsed. */
static bool answers_are_right(struct fixture *f, const uint64_t secret[2], unsigned n)
{
	_cleanup_layers_ struct record_set *plain = layers_new(f);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(f), f);
	bool repair[2] = {false, false};
	int r = layers_load(f, plain, &repair[0], NULL);
	assert_int_equal(layers_load(f, t, &repair[1], NULL), r);
	if (r < 0)
		return false;
	assert_int_equal(repair[0], repair[1]);
	bool renewed = t->base && memcmp(secret_of(t), secret, 16) == 0;
	same_list(plain, t);
	if (renewed)
		(void)sums_are_told(plain, t, n);
	same_answers(plain, t, n);
	return renewed;
}

/* ---- random changes by others ---- */

static cst_layer random_layer(struct random *r, const char *id, const char *const *names,
                              const char *metadata)
{
	static const char *const digests[] = {"", "sha256:d1", "sha256:d2"};
	return (cst_layer){.id = id,
	                   .names = {.items = names, .len = below(r, 3)},
	                   .parent = "",
	                   .metadata = metadata,
	                   .mount_label = "",
	                   .created = TIMESTAMP_ZERO,
	                   .compressed_digest = digests[below(r, 3)],
	                   .diff_digest = digests[below(r, 3)],
	                   .toc_digest = digests[below(r, 3)],
	                   .mount_point = "",
	                   .file = below(r, 4) ? LAYER_STABLE : LAYER_VOLATILE};
}

/* Some records are longer than what is read at once. */
static char *random_metadata(struct random *r)
{
	size_t n = below(r, 6) ? below(r, 40) : below(r, 3) ? below(r, 40000) : below(r, 600000);
	char *text = malloc(n + 1);
	assert_non_null(text);
	memset(text, 'a' + (int)below(r, 26), n);
	text[n] = '\0';
	return text;
}

static void change(struct random *r, struct record_set *t, unsigned *next)
{
	char id[65], parent[65], name[24];
	const char *names[] = {name, "moves"};
	_cleanup_free_ char *metadata = random_metadata(r);
	size_t size = record_set_size(t), at = below(r, (unsigned)size + 1);
	(void)snprintf(name, sizeof(name), "name%u", below(r, 100));
	unsigned what = below(r, 3);
	if (at == size || what == 0) {
		layer_id(below(r, *next), parent);
		layer_id((*next)++, id);
		cst_layer layer = random_layer(r, id, names, metadata);
		layer.parent = parent;
		assert_true(record_set_add(t, &layer));
	} else if (what == 1) {
		assert_true(record_set_remove(t, layer_table_at(t, at)->id));
	} else {
		const cst_layer *old = layer_table_at(t, at);
		cst_layer layer = random_layer(r, old->id, names, metadata);
		layer.parent = old->parent;
		layer.file = old->file;
		assert_true(record_set_replace(t, &layer));
	}
}

static void change_and_save(struct fixture *f, struct random *r, struct record_set *t,
                            unsigned *next)
{
	for (unsigned n = below(r, 5) ? below(r, 4) : below(r, 40); n; n--)
		change(r, t, next);
	assert_int_equal(record_set_save(t, f->lock, NULL), 0);
}

static void test_other_writers(void **state)
{
	for (uint64_t seed = 1; seed < 12; seed++) {
		_cleanup_fixture_ struct fixture f = quick_fixture_make();
		struct random r = {seed};
		unsigned next = 300;
		put_layers(&f, "layers.json", seed, 0, 200);
		put_layers(&f, "volatile-layers.json", seed, 200, next);
		_cleanup_layers_ struct record_set *ours = indexed(layers_new(&f), &f);
		load(&f, ours, true);
		const uint64_t secret[2] = {secret_of(ours)[0], secret_of(ours)[1]};
		for (unsigned step = 0; step < 25; step++) {
			_cleanup_layers_ struct record_set *other = layers_loaded(&f);
			change_and_save(&f, &r, other, &next);
			if (step % 3 == 0) {
				load(&f, ours, true);
				change_and_save(&f, &r, ours, &next);
			}
			assert_true(answers_are_right(&f, secret, next));
		}
	}
}

/* Another writer edits so many records, or deletes them and adds others, that a search for each would take long. */
static void test_many_changes(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	struct random r = {3};
	unsigned next = 4000;
	put_layers(&f, "layers.json", 3, 0, next);
	_cleanup_layers_ struct record_set *other = layers_loaded(&f);
	change(&r, other, &next); /* prints all as a save does */
	assert_int_equal(record_set_save(other, f.lock, NULL), 0);
	_cleanup_layers_ struct record_set *ours = indexed(layers_new(&f), &f);
	load(&f, ours, true);
	const uint64_t secret[2] = {secret_of(ours)[0], secret_of(ours)[1]};
	for (unsigned n = 0; n < 600; n++)
		change(&r, other, &next);
	assert_int_equal(record_set_save(other, f.lock, NULL), 0);
	assert_true(answers_are_right(&f, secret, next));
}

/* Files from elsewhere, with few records in common. */
static void test_other_files(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	struct random r = {1};
	for (unsigned step = 0; step < 60; step++) {
		_cleanup_layers_ struct record_set *ours = indexed(layers_new(&f), &f);
		bool repair;
		assert_int_equal(layers_load(&f, ours, &repair, NULL), 0);
		const uint64_t secret[2] = {ours->base ? secret_of(ours)[0] : 0,
		                            ours->base ? secret_of(ours)[1] : 0};
		unsigned n = 1 + below(&r, 400), in_first = below(&r, n);
		put_layers(&f, "layers.json", 1 + step / 3, 0, in_first);
		put_layers(&f, "volatile-layers.json", 1 + step / 3, in_first, n);
		(void)answers_are_right(&f, secret, n);
	}
}

/* ---- what no index may have ---- */

#define A "{\"id\":\"00000000a\",\"names\":[\"n\"],\"parent\":\"00000000c\"}"
#define B "{\"id\":\"00000000b\",\"parent\":\"00000000a\"}"
#define D "{\"id\":\"00000000d\",\"created\":\"2020-01-02T03:04:05Z\"}"

struct text {
	const char *text;
	bool renewed;
};

static void test_texts(void **state)
{
	static const struct text texts[] = {
	        {"[" A "," B "," D "]", true},
	        {"[" B "," A "," D "]", true}, /* A is parsed */
	        {"[" A "," D "]", true},
	        {"[" D "]", true},
	        {"[]", true},
	        {"[" A "," B "," D ",{\"id\":\"00000000e\",\"names\":[\"m\"]}]", true},
	        {"[{\"id\":\"00000000e\"}," A "," B "," D "]", true},
	        {"[" A "," B "," D ",{\"id\":\"e\",\"names\":[\"n\"]}]", false}, /* a name of A's */
	        {"[" A "," B "," D ",{\"id\":\"e\",\"names\":[\"m\",\"m\"]}]", false},
	        {"[" A "," B "," D ",{\"id\":\"00000000a\"}]", false},
	        {"[" A "," B "," D "," A "]", false},
	        {"[" A "," B "," D ",{\"id\":\"00000000c\",\"parent\":\"00000000b\"}]",
	         false}, /* a circle */
	        {"[" A "," B "," D ",{\"id\":\"e\",\"flags\":{\"incomplete\":true}}]", false},
	        {"[" A "," B "," D ",{\"id\":\"e\",\"created\":\"x\"}]", false},
	        {"[" A "," B "," D ",{\"id\":\"\"}]", false},
	        {"[" A "," B "," D ",{}]", false},
	        {"[" A "," B "," D ",null]", false},
	        {"[" A "," B "," D ",5]", false},
	        {"[" A "," B "," D ",]", false},
	        {"[" A "," B "," D, false},
	        {"[" A "," B "," D "]]", false},
	        {"[" A "," B "," D "] ", false},
	        {"[ " A "," B "," D "]", false},
	        {"[" A "," B ",{\"id\":\"e\"", false},
	        {"[" A B D "]", false},
	        {"null", false},
	        {"[", false},
	        {"{", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_fixture_ struct fixture f = quick_fixture_make();
		_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
		put_file(&f, "layers.json", "[" A "," B "," D "]");
		put_layers(&f, "volatile-layers.json", 1, 0, FEW); /* stays as it is */
		load(&f, t, true);
		put_file(&f, "layers.json", texts[i].text);
		bool renewed = answers_are_right(&f, secret_of(t), FEW);
		if (renewed != texts[i].renewed)
			fail_msg("%s: %d", texts[i].text, renewed);
	}
}

/* The old index is damaged where only a renewal looks. */
static void test_damaged(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	_cleanup_free_ char *good = NULL, *path = NULL;
	size_t n;
	put_layers(&f, "layers.json", 1, 0, FEW);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
	load(&f, t, true);
	path = index_path(&f);
	assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 24, &good, &n, NULL), 0);
	put_layers(&f, "layers.json", 2, 0, FEW);
	for (size_t i = 0; i < n; i += i < 400 || i > 4090 ? 1 : 100) {
		good[i] = (char)(good[i] ^ 4);
		assert_int_equal(fs_write_file(AT_FDCWD, path, good, n, 0600, NULL, NULL), 0);
		(void)answers_are_right(&f, secret_of(t), FEW);
		good[i] = (char)(good[i] ^ 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_other_writers), cmocka_unit_test(test_many_changes),
	        cmocka_unit_test(test_other_files),   cmocka_unit_test(test_texts),
	        cmocka_unit_test(test_damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
