/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of random layers with an index, and whether two sets give the same answers. */
#ifndef CST_TESTS_UNIT_INDEX_FIXTURE_H
#define CST_TESTS_UNIT_INDEX_FIXTURE_H

#include "records/record_base.h"
#include "records_fixture.h"

/* In memory where that can be had, since thousands of files are replaced. */
static inline struct fixture quick_fixture_make(void)
{
	struct fixture f = {.dir = {.path = "/dev/shm/cstorage-test-XXXXXX"}};
	char path[128];
	if (!mkdtemp(f.dir.path))
		return fixture_make();
	assert_int_equal(fs_open_dir(f.dir.path, &f.dir.fd, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/records.lock", f.dir.path);
	assert_int_equal(lockfile_new(path, false, &f.lock, NULL), 0);
	assert_int_equal(lockfile_lock(f.lock, LOCKFILE_WRITE, NULL), 0);
	return f;
}

#define WORDS 7 /* names, digests and beginnings of IDs are few, so that they clash */

struct random {
	uint64_t state;
};

static inline unsigned below(struct random *r, unsigned n)
{
	r->state = r->state * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)(r->state >> 33) % n;
}

/* ---- random records ---- */

static inline void layer_id(unsigned i, char ret[65])
{
	/* Some begin with the same eight digits, as an index orders them by those first. */
	(void)snprintf(ret, 65, "%08x%056x", i % 3 ? i * 2654435761U : 0, i);
}

static inline void add_layer(struct strbuf *json, struct random *r, unsigned i)
{
	char id[65], parent[65];
	layer_id(i, id);
	layer_id(below(r, i ? i : 1), parent);
	strbuf_addf(json, "%s{\"id\":\"%s\"", i ? "," : "", id);
	if (below(r, 2))
		strbuf_addf(json, ",\"names\":[\"name%u\",\"\\u003c%u\"]", i, i);
	if (i && below(r, 3))
		strbuf_addf(json, ",\"parent\":\"%s\"", parent);
	strbuf_addf(json, ",\"created\":\"2020-01-02T03:04:05.%uZ\"", i + 1);
	if (below(r, 2))
		strbuf_addf(json, ",\"compressed-diff-digest\":\"sha256:c%u\"", below(r, WORDS));
	if (below(r, 2))
		strbuf_addf(json, ",\"diff-digest\":\"sha256:d%u\"", below(r, WORDS));
	if (below(r, 2))
		strbuf_addf(json, ",\"toc-digest\":\"sha256:t%u\"", below(r, WORDS));
	if (i % 2)
		strbuf_addf(json, ",\"diff-size\":%u", i);
	if (!below(r, 5))
		strbuf_addf(json, ",\"flags\":{\"b\":1.50,\"a\":\"x\"}");
	strbuf_addc(json, '}');
}

static inline void put_layers(struct fixture *f, const char *name, uint64_t seed, unsigned from,
                              unsigned to)
{
	struct random r = {seed};
	_cleanup_strbuf_ struct strbuf json = {0}, all = {0};
	for (unsigned i = 0; i < to; i++)
		add_layer(i >= from ? &json : &all, &r, i);
	strbuf_reset(&all);
	strbuf_addc(&all, '[');
	strbuf_adds(&all, strbuf_str(&json) + (from && json.len));
	strbuf_addc(&all, ']');
	put_file(f, name, all.data);
}

static inline struct record_set *indexed(struct record_set *t, struct fixture *f)
{
	_cleanup_free_ char *dir = path_join(f->dir.path, "index");
	record_set_use_index(t, dir, true);
	t->worth_an_index = 1;
	return t;
}

static inline void load(struct fixture *f, struct record_set *t, bool by_index)
{
	bool repair;
	assert_int_equal(layers_load(f, t, &repair, NULL), 0);
	assert_false(repair);
	assert_int_equal(t->base != NULL, by_index);
}

/* The one file of the index. */
static inline char *index_path(struct fixture *f)
{
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(f->dir.fd, "index", &names, NULL, NULL), 0);
	assert_int_equal(names.len, 1);
	return path_join3(f->dir.path, "index", names.items[0]);
}

/* ---- the same answers ---- */

static inline void same_layer(const cst_layer *a, const cst_layer *b)
{
	if (!a || !b) {
		assert_ptr_equal(a, b);
		return;
	}
	_cleanup_strbuf_ struct strbuf first = {0}, second = {0};
	struct json_writer w;
	json_writer_init(&w, &first, JSON_STORE);
	layer_write(&w, a);
	json_writer_init(&w, &second, JSON_STORE);
	layer_write(&w, b);
	assert_string_equal(strbuf_str(&first), strbuf_str(&second));
	assert_int_equal(a->file, b->file);
	assert_int_equal(a->mount_count, b->mount_count);
	assert_string_equal(a->mount_point, b->mount_point);
}

/* Two lists of IDs. Edits change the order in which layers of one digest or parent are found. */
struct both {
	struct strv first, second;
	bool sorted;
};

static inline void both_add(struct both *both, const cst_layer *first, const cst_layer *second)
{
	assert_true(!first || strv_add(&both->first, first->id));
	assert_true(!second || strv_add(&both->second, second->id));
}

static inline void both_same(struct both *both)
{
	assert_int_equal(both->first.len, both->second.len);
	if (both->sorted) {
		strv_sort(&both->first);
		strv_sort(&both->second);
	}
	for (size_t i = 0; i < both->first.len; i++)
		assert_string_equal(both->first.items[i], both->second.items[i]);
	strv_free(&both->first);
	strv_free(&both->second);
}

static inline void same_children(const struct record_set *a, const struct record_set *b,
                                 const char *id, bool sorted)
{
	struct both both = {.sorted = sorted};
	const cst_layer *first = layer_table_first_child(a, id);
	const cst_layer *second = layer_table_first_child(b, id);
	while (first || second) {
		both_add(&both, first, second);
		first = first ? layer_table_next_child(a, first) : NULL;
		second = second ? layer_table_next_child(b, second) : NULL;
	}
	both_same(&both);
}

/* By the records. False: one of them does not tell. */
static inline bool sum_of_records(const struct record_set *t, const char *id, int64_t *ret)
{
	*ret = 0;
	while (*id) {
		const cst_layer *layer = layer_table_get(t, id);
		if (!layer || !(*layer->diff_digest || *layer->toc_digest))
			return false;
		*ret += MAX(layer->diff_size, (int64_t)0);
		id = layer->parent;
	}
	return true;
}

static inline void same_sum(const struct record_set *a, const struct record_set *b, const char *id)
{
	int64_t by_records, by_index;
	bool told = layer_table_sum(b, id, &by_index);
	assert_true(!told || sum_of_records(a, id, &by_records));
	assert_true(!told || by_index == by_records);
}

/* The index tells all that the records do. Returns how many sums those are. */
static inline unsigned sums_are_told(const struct record_set *plain, const struct record_set *t, unsigned n)
{
	unsigned told = 0;
	for (unsigned i = 0; i < n; i++) {
		char id[65];
		int64_t by_records, by_index;
		layer_id(i, id);
		bool known = sum_of_records(plain, id, &by_records);
		assert_int_equal(layer_table_sum(t, id, &by_index), known);
		told += known;
	}
	return told;
}

static inline void same_by_id(const struct record_set *a, const struct record_set *b, unsigned i,
                              bool sorted)
{
	char id[65], name[24];
	layer_id(i, id);
	same_layer(layer_table_get(a, id), layer_table_get(b, id));
	same_children(a, b, id, sorted);
	same_sum(a, b, id);
	static const size_t lengths[] = {0, 1, 2, 3, 8, 9, 63};
	for (size_t n = 0; n < ARRAY_SIZE(lengths); n++) {
		id[lengths[n]] = '\0';
		same_layer(layer_table_find(a, id), layer_table_find(b, id));
		layer_id(i, id);
	}
	(void)snprintf(name, sizeof(name), i % 2 ? "name%u" : "<%u", i);
	same_layer(layer_table_by_name(a, name), layer_table_by_name(b, name));
	same_layer(layer_table_find(a, name), layer_table_find(b, name));
}

static inline void same_by_digest(const struct record_set *a, const struct record_set *b,
                                  bool sorted)
{
	for (unsigned i = 0; i < 3 * (WORDS + 1); i++) {
		char digest[24];
		enum layer_digest which = i % 3;
		struct both both = {.sorted = sorted};
		(void)snprintf(digest, sizeof(digest), "sha256:%c%u", "cdt"[which], i / 3);
		const cst_layer *first = layer_table_by_digest(a, which, digest, NULL);
		const cst_layer *second = layer_table_by_digest(b, which, digest, NULL);
		while (first || second) {
			both_add(&both, first, second);
			first = first ? layer_table_by_digest(a, which, digest, first) : NULL;
			second = second ? layer_table_by_digest(b, which, digest, second) : NULL;
		}
		both_same(&both);
	}
}

static inline void same_answers_in(const struct record_set *a, const struct record_set *b,
                                   unsigned n, bool sorted)
{
	assert_int_equal(record_set_size(a), record_set_size(b));
	for (unsigned i = 0; i < n + 3; i++)
		same_by_id(a, b, i, sorted);
	same_by_digest(a, b, sorted);
	for (size_t i = 0; i < record_set_size(a) + 1; i++)
		same_layer(layer_table_at(a, i), layer_table_at(b, i));
	assert_int_equal(record_set_problem(b, NULL), 0);
}

static inline void same_answers(const struct record_set *a, const struct record_set *b, unsigned n)
{
	same_answers_in(a, b, n, false);
}

/* A list of all, of which some were looked at before. */
static inline void same_list(const struct record_set *a, const struct record_set *b)
{
	cst_layer_list *first = NULL, *second = NULL;
	assert_int_equal(layer_list_all(&a, 1, 0, &first, NULL), 0);
	(void)layer_table_at(b, record_set_size(b) / 2);
	assert_int_equal(layer_list_all(&b, 1, 0, &second, NULL), 0);
	assert_int_equal(cst_layer_list_size(first), cst_layer_list_size(second));
	for (size_t i = 0; i < cst_layer_list_size(first); i++)
		same_layer(cst_layer_list_get(first, i), cst_layer_list_get(second, i));
	cst_layer_list_free(first);
	cst_layer_list_free(second);
}

#endif
