/* SPDX-License-Identifier: Apache-2.0 */
/* Edits and saves of a set with an index: the same as of a set that is parsed and printed. */
#include "index_fixture.h"

#define MANY 60

struct pair {
	struct fixture f[2]; /* the first is printed, the second spliced */
	struct record_set *t[2];
	struct random r;
	unsigned next; /* number of the next new layer */
};

static void pair_load(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		record_set_free(p->t[i]);
		p->t[i] = i ? indexed(layers_new(&p->f[i]), &p->f[i]) : layers_new(&p->f[i]);
		load(&p->f[i], p->t[i], i);
	}
}

static void pair_start_with(struct pair *p, uint64_t seed, unsigned n)
{
	*p = (struct pair){.r = {seed}, .next = n};
	for (int i = 0; i < 2; i++) {
		p->f[i] = quick_fixture_make();
		put_layers(&p->f[i], "layers.json", seed, 0, n / 2);
		put_layers(&p->f[i], "volatile-layers.json", seed, n / 2, n);
	}
	pair_load(p);
}

static void pair_start(struct pair *p, uint64_t seed)
{
	pair_start_with(p, seed, MANY);
}

static void pair_done(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		record_set_free(p->t[i]);
		fixture_remove(&p->f[i]);
	}
}
#define _cleanup_pair_ _cleanup_(pair_done)

static cst_layer plain_layer(const char *id, const char *parent)
{
	return (cst_layer){.id = id,
	                   .parent = parent,
	                   .metadata = "\"<",
	                   .mount_label = "",
	                   .created = TIMESTAMP_ZERO,
	                   .compressed_digest = "sha256:c1",
	                   .diff_digest = "sha256:d2",
	                   .toc_digest = "",
	                   .mount_point = ""};
}

static void pair_add(struct pair *p)
{
	char id[65], parent[65], name[24];
	const char *names[] = {name, "moves", name};
	layer_id(p->next, id);
	layer_id(below(&p->r, p->next++), parent);
	(void)snprintf(name, sizeof(name), "name%u", below(&p->r, MANY));
	cst_layer layer = plain_layer(id, parent);
	layer.names = (struct strings){.items = names, .len = below(&p->r, 4)};
	layer.file = below(&p->r, 2) ? LAYER_STABLE : LAYER_VOLATILE;
	for (int i = 0; i < 2; i++)
		assert_true(record_set_add(p->t[i], &layer));
}

static void pair_replace(struct pair *p)
{
	size_t size = record_set_size(p->t[0]);
	char name[24], digest[24];
	const char *names[] = {name, "moves"};
	if (!size)
		return;
	size_t at = below(&p->r, (unsigned)size);
	(void)snprintf(name, sizeof(name), "name%u", below(&p->r, MANY));
	(void)snprintf(digest, sizeof(digest), "sha256:d%u", below(&p->r, WORDS));
	size_t n = below(&p->r, 3);
	for (int i = 0; i < 2; i++) {
		cst_layer edited = *layer_table_at(p->t[i], at);
		edited.names = (struct strings){.items = names, .len = n};
		edited.diff_digest = digest;
		edited.metadata = "edited";
		assert_true(record_set_replace(p->t[i], &edited));
	}
}

static void pair_remove(struct pair *p)
{
	size_t size = record_set_size(p->t[0]);
	if (!size)
		return;
	size_t at = below(&p->r, (unsigned)size);
	for (int i = 0; i < 2; i++)
		assert_true(record_set_remove(p->t[i], layer_table_at(p->t[i], at)->id));
}

static void pair_mount(struct pair *p)
{
	size_t size = record_set_size(p->t[0]);
	if (!size)
		return;
	size_t at = below(&p->r, (unsigned)size);
	int count = (int)below(&p->r, 3);
	for (int i = 0; i < 2; i++)
		assert_true(layer_table_set_mount(p->t[i], layer_table_at(p->t[i], at)->id,
		                                  count ? "/m" : "", count));
}

static void same_file(struct pair *p, const char *name)
{
	_cleanup_free_ char *first = NULL, *second = NULL;
	size_t n, m;
	assert_int_equal(fs_read_file(p->f[0].dir.fd, name, 1 << 24, &first, &n, NULL), 0);
	assert_int_equal(fs_read_file(p->f[1].dir.fd, name, 1 << 24, &second, &m, NULL), 0);
	assert_string_equal(first, second);
	assert_int_equal(n, m);
}

/* The next process finds an index that fits. */
static void pair_save(struct pair *p)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(record_set_save(p->t[i], p->f[i].lock, NULL), 0);
	same_file(p, "layers.json");
	same_file(p, "volatile-layers.json");
	assert_non_null(p->t[1]->base);
	_cleanup_layers_ struct record_set *parsed = layers_loaded(&p->f[1]);
	_cleanup_layers_ struct record_set *found = indexed(layers_new(&p->f[1]), &p->f[1]);
	struct lock_token token;
	bool repair;
	assert_int_equal(lockfile_read_token(p->f[1].lock, &token, NULL), 0);
	assert_int_equal(record_set_open(found, &token, NULL), 0);
	assert_non_null(found->opened_index);
	assert_int_equal(record_set_parse(found, &repair, NULL), 0);
	(void)sums_are_told(parsed, found, p->next);
	same_answers(parsed, found, p->next);
	assert_non_null(found->base);
}

static void test_edits(void **state)
{
	for (uint64_t seed = 1; seed < 8; seed++) {
		_cleanup_pair_ struct pair p;
		pair_start(&p, seed);
		for (int step = 0; step < 150; step++) {
			unsigned what = below(&p.r, 40);
			if (what < 10)
				pair_add(&p);
			else if (what < 20)
				pair_replace(&p);
			else if (what < 20 + (unsigned)seed)
				pair_remove(&p);
			else if (what < 35)
				pair_mount(&p);
			else if (what < 39)
				pair_save(&p);
			else if (!record_set_dirty(p.t[0]))
				pair_load(&p);
			same_answers_in(p.t[0], p.t[1], p.next, true);
			same_list(p.t[0], p.t[1]);
		}
	}
}

/* One change of many records. Whatever it did, the next one goes on with the index that it left. */
static void test_many_edits(void **state)
{
	_cleanup_pair_ struct pair p;
	pair_start_with(&p, 11, 2000);
	for (int round = 0; round < 2; round++) {
		for (int n = 0; n < 400; n++)
			pair_add(&p);
		for (int n = 0; n < 800; n++)
			pair_replace(&p);
		for (int n = 0; n < 1000; n++)
			(below(&p.r, 3) ? pair_remove : pair_replace)(&p);
		same_answers_in(p.t[0], p.t[1], p.next, true);
		same_list(p.t[0], p.t[1]);
		pair_save(&p);
	}
}

/* Down to nothing. */
static void test_remove_all(void **state)
{
	_cleanup_pair_ struct pair p;
	pair_start(&p, 5);
	while (record_set_size(p.t[0])) {
		pair_remove(&p);
		if (below(&p.r, 8) == 0)
			pair_save(&p);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(record_set_save(p.t[i], p.f[i].lock, NULL), 0);
	assert_file(&p.f[1], "layers.json", "[]");
	assert_file(&p.f[1], "volatile-layers.json", "[]");
}

/* What an index may not have is saved, and the next process parses. */
static void save_out_of_order(struct pair *p, int i, const char *id, const char *lost, bool circle)
{
	static const struct raw_member flag = {.key = "incomplete", .json = "true", .len = 4};
	cst_layer edited = *layer_table_get(p->t[i], id);
	if (circle)
		edited.parent = lost;
	else
		edited.flags = (struct raw_members){.items = &flag, .len = 1};
	assert_true(record_set_replace(p->t[i], &edited));
	edited = plain_layer(lost, id);
	assert_true(record_set_add(p->t[i], &edited));
	assert_int_equal(record_set_save(p->t[i], p->f[i].lock, NULL), 0);
	assert_int_equal(layers_stale(&p->f[i], p->t[i]), i);
	/* a second save of the same hold */
	edited.metadata = "more";
	assert_true(record_set_replace(p->t[i], &edited));
	assert_int_equal(record_set_save(p->t[i], p->f[i].lock, NULL), 0);
}

static void test_saved_out_of_order(void **state)
{
	for (int circle = 0; circle < 2; circle++) {
		_cleanup_pair_ struct pair p;
		char id[65], lost[65];
		bool repair;
		pair_start(&p, 9);
		layer_id(1000, lost);
		layer_id(3, id);
		for (int i = 0; i < 2; i++)
			save_out_of_order(&p, i, id, lost, circle);
		same_file(&p, "layers.json");
		same_file(&p, "volatile-layers.json");
		assert_int_equal(layers_load(&p.f[1], p.t[1], &repair, NULL), 0);
		assert_int_equal(repair, !circle);
		assert_null(p.t[1]->base);
		assert_int_equal(record_set_size(p.t[1]), circle ? MANY - 1 : MANY + 1);
	}
}

/* The index is damaged before the first edit, or the file of records after it. */
static void test_damaged_before_edits(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_pair_ struct pair p;
	pair_start(&p, 10);
	pair_load(&p);
	_cleanup_free_ char *path = index_path(&p.f[1]);
	assert_int_equal(truncate(path, 4000), 0);
	pair_replace(&p);
	assert_null(p.t[1]->base);
	for (int i = 0; i < 2; i++)
		assert_int_equal(record_set_save(p.t[i], p.f[i].lock, NULL), 0);
	same_file(&p, "layers.json");
	same_file(&p, "volatile-layers.json");
	pair_load(&p);
	pair_replace(&p);
	assert_int_equal(truncate(p.t[1]->files[0].path, 100), 0);
	assert_int_equal(truncate(p.t[1]->files[1].path, 100), 0);
	assert_int_equal(record_set_save(p.t[1], p.f[1].lock, &error), CST_ECORRUPT);
	assert_true(layers_stale(&p.f[1], p.t[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_edits),
	        cmocka_unit_test(test_many_edits),
	        cmocka_unit_test(test_remove_all),
	        cmocka_unit_test(test_saved_out_of_order),
	        cmocka_unit_test(test_damaged_before_edits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
