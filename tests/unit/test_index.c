/* SPDX-License-Identifier: Apache-2.0 */
/* The index of a set: its answers are those of the parsed records, whatever happens to its file. */
#include "records/record_base.h"
#include "records_fixture.h"

#include <errno.h>
#include <sys/stat.h>

/* In memory where that can be had, since thousands of files are replaced. */
static struct fixture quick_fixture_make(void)
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

static unsigned below(struct random *r, unsigned n)
{
	r->state = r->state * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)(r->state >> 33) % n;
}

/* ---- random records ---- */

static void layer_id(unsigned i, char ret[65])
{
	/* Some begin with the same eight digits, as an index orders them by those first. */
	(void)snprintf(ret, 65, "%08x%056x", i % 3 ? i * 2654435761U : 0, i);
}

static void add_layer(struct strbuf *json, struct random *r, unsigned i)
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
	if (!below(r, 5))
		strbuf_addf(json, ",\"flags\":{\"b\":1.50,\"a\":\"x\"}");
	strbuf_addc(json, '}');
}

static void put_layers(struct fixture *f, const char *name, uint64_t seed, unsigned from,
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

static struct record_set *indexed(struct record_set *t, struct fixture *f)
{
	_cleanup_free_ char *dir = path_join(f->dir.path, "index");
	record_set_use_index(t, dir, true);
	t->worth_an_index = 1;
	return t;
}

static void load(struct fixture *f, struct record_set *t, bool by_index)
{
	bool repair;
	assert_int_equal(layers_load(f, t, &repair, NULL), 0);
	assert_false(repair);
	assert_int_equal(t->base != NULL, by_index);
}

/* The one file of the index. */
static char *index_path(struct fixture *f)
{
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(f->dir.fd, "index", &names, NULL, NULL), 0);
	assert_int_equal(names.len, 1);
	return path_join3(f->dir.path, "index", names.items[0]);
}

/* ---- the same answers ---- */

static void same_layer(const cst_layer *a, const cst_layer *b)
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

static void both_add(struct both *both, const cst_layer *first, const cst_layer *second)
{
	assert_true(!first || strv_add(&both->first, first->id));
	assert_true(!second || strv_add(&both->second, second->id));
}

static void both_same(struct both *both)
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

static void same_children(const struct record_set *a, const struct record_set *b, const char *id,
                          bool sorted)
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

static void same_by_id(const struct record_set *a, const struct record_set *b, unsigned i,
                       bool sorted)
{
	char id[65], name[24];
	layer_id(i, id);
	same_layer(layer_table_get(a, id), layer_table_get(b, id));
	same_children(a, b, id, sorted);
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

static void same_by_digest(const struct record_set *a, const struct record_set *b, bool sorted)
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

static void same_answers_in(const struct record_set *a, const struct record_set *b, unsigned n,
                            bool sorted)
{
	assert_int_equal(record_set_size(a), record_set_size(b));
	for (unsigned i = 0; i < n + 3; i++)
		same_by_id(a, b, i, sorted);
	same_by_digest(a, b, sorted);
	for (size_t i = 0; i < record_set_size(a) + 1; i++)
		same_layer(layer_table_at(a, i), layer_table_at(b, i));
	assert_int_equal(record_set_problem(b, NULL), 0);
}

static void same_answers(const struct record_set *a, const struct record_set *b, unsigned n)
{
	same_answers_in(a, b, n, false);
}

/* A list of all, of which some were looked at before. */
static void same_list(const struct record_set *a, const struct record_set *b)
{
	cst_layer_list *first = NULL, *second = NULL;
	assert_int_equal(layer_list_all(&a, 1, &first, NULL), 0);
	(void)layer_table_at(b, record_set_size(b) / 2);
	assert_int_equal(layer_list_all(&b, 1, &second, NULL), 0);
	assert_int_equal(cst_layer_list_size(first), cst_layer_list_size(second));
	for (size_t i = 0; i < cst_layer_list_size(first); i++)
		same_layer(cst_layer_list_get(first, i), cst_layer_list_get(second, i));
	cst_layer_list_free(first);
	cst_layer_list_free(second);
}

static void test_answers(void **state)
{
	for (unsigned seed = 0; seed < 30; seed++) {
		_cleanup_fixture_ struct fixture f = quick_fixture_make();
		unsigned n = 1 + seed * seed / 3, in_first = seed % 3 ? n : n / 2;
		put_layers(&f, "layers.json", seed, 0, in_first);
		put_layers(&f, "volatile-layers.json", seed, in_first, n);
		_cleanup_layers_ struct record_set *plain = layers_loaded(&f);
		_cleanup_layers_ struct record_set *first = indexed(layers_new(&f), &f);
		_cleanup_layers_ struct record_set *second = indexed(layers_new(&f), &f);
		load(&f, first, true); /* makes the index */
		same_answers(plain, first, n);
		load(&f, second, true); /* finds it */
		same_list(plain, second);
		same_answers(plain, second, n);
	}
}

/* A small set has none, nor has one with something to be repaired or kept as it is. */
static void test_without_index(void **state)
{
	static const char *const texts[] = {
	        "[{\"id\":\"A\",\"created\":5}]",
	        "[{\"id\":\"A\"},{\"id\":\"A\"}]",
	        "[{\"id\":\"A\",\"created\":\"x\"}]",
	        "[{\"id\":\"A\",\"names\":[\"n\"]},{\"id\":\"B\",\"names\":[\"n\"]}]",
	        "[{\"id\":\"A\",\"parent\":\"A\"}]",
	        "[{\"id\":\"A\",\"flags\":{\"incomplete\":true}}]",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_fixture_ struct fixture f = quick_fixture_make();
		_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
		bool repair;
		put_file(&f, "layers.json", texts[i]);
		(void)layers_load(&f, t, &repair, NULL);
		assert_null(t->base);
		assert_false(fs_exists(f.dir.fd, "index"));
	}
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
	t->worth_an_index = 262144;
	put_layers(&f, "layers.json", 1, 0, 50);
	load(&f, t, false);
}

/* ---- damage ---- */

#define FEW 8

struct damage {
	struct fixture f;
	struct record_set *plain;
	char *path, *good;
	size_t size;
};

static void damage_start(struct damage *d)
{
	*d = (struct damage){.f = quick_fixture_make()};
	put_layers(&d->f, "layers.json", 3, 0, FEW);
	d->plain = layers_loaded(&d->f);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&d->f), &d->f);
	load(&d->f, t, true);
	d->path = index_path(&d->f);
	assert_int_equal(fs_read_file(AT_FDCWD, d->path, 1 << 24, &d->good, &d->size, NULL), 0);
}

static void damage_done(struct damage *d)
{
	record_set_free(d->plain);
	free(d->path);
	free(d->good);
	fixture_remove(&d->f);
}
#define _cleanup_damage_ _cleanup_(damage_done)

static void put_index(const struct damage *d, const char *data, size_t n)
{
	(void)unlink(d->path);
	assert_int_equal(fs_write_file(AT_FDCWD, d->path, data, n, 0600, NULL, NULL), 0);
}

/* What a process answers now; afterwards the index is good again. */
static void still_right(struct damage *d)
{
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&d->f), &d->f);
	_cleanup_layers_ struct record_set *next = indexed(layers_new(&d->f), &d->f);
	bool repair;
	assert_int_equal(layers_load(&d->f, t, &repair, NULL), 0);
	same_answers(d->plain, t, FEW);
	load(&d->f, next, true);
	assert_non_null(layer_table_at(next, FEW - 1));
	assert_non_null(next->base);
}

static void test_every_byte(void **state)
{
	_cleanup_damage_ struct damage d;
	damage_start(&d);
	_cleanup_free_ char *bad = malloc(d.size);
	for (size_t i = 0; i < d.size; i++) {
		memcpy(bad, d.good, d.size);
		bad[i] = (char)(bad[i] ^ (1 << i % 8));
		put_index(&d, bad, d.size);
		still_right(&d);
	}
}

static void test_every_length(void **state)
{
	_cleanup_damage_ struct damage d;
	damage_start(&d);
	for (size_t n = 0; n < d.size; n += n < 600 || n > 4090 ? 1 : 100) {
		put_index(&d, d.good, n);
		still_right(&d);
	}
}

/* Damaged, or gone, after it was opened. */
static void test_damaged_later(void **state)
{
	for (int how = 0; how < 3; how++) {
		_cleanup_damage_ struct damage d;
		damage_start(&d);
		_cleanup_layers_ struct record_set *t = indexed(layers_new(&d.f), &d.f);
		load(&d.f, t, true);
		int fd = open(d.path, O_WRONLY | O_CLOEXEC);
		if (how == 0)
			assert_int_equal(ftruncate(fd, 0), 0);
		else if (how == 1)
			assert_int_equal(ftruncate(fd, 4096), 0);
		else
			assert_int_equal(unlink(d.path), 0);
		close(fd);
		same_answers(d.plain, t, FEW);
		assert_int_equal(t->base != NULL, how == 2);
	}
}

/* What was handed out before stays as it was. */
static void test_records_stay(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	put_layers(&f, "layers.json", 5, 0, 2000);
	_cleanup_layers_ struct record_set *plain = layers_loaded(&f);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
	load(&f, t, true);
	_cleanup_layers_ struct record_set *second = indexed(layers_new(&f), &f);
	load(&f, second, true);
	const cst_layer *before = layer_table_at(second, 1000);
	_cleanup_free_ char *path = index_path(&f);
	assert_int_equal(truncate(path, 5000), 0);
	same_answers(plain, second, 2000);
	assert_null(second->base);
	same_layer(before, layer_table_at(plain, 1000));
}

/* The file of records itself cannot be read any more. */
static void test_problem(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	_cleanup_error_ cst_error *error = NULL;
	put_layers(&f, "layers.json", 6, 0, FEW);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
	char id[65];
	load(&f, t, true);
	layer_id(FEW - 1, id);
	assert_int_equal(truncate(t->files[0].path, 100), 0);
	assert_null(layer_table_get(t, id));
	assert_int_equal(record_set_problem(t, &error), CST_ECORRUPT);
	assert_true(layers_stale(&f, t));
	/* a walk meets no NULL */
	_cleanup_layers_ struct record_set *walked = indexed(layers_new(&f), &f);
	put_layers(&f, "layers.json", 6, 0, FEW);
	load(&f, walked, true);
	assert_int_equal(truncate(t->files[0].path, 100), 0);
	for (size_t i = 0; i < record_set_size(walked); i++)
		assert_non_null(layer_table_at(walked, i));
	assert_int_equal(record_set_problem(walked, NULL), CST_ECORRUPT);
}

/* ---- another version ---- */

static void test_older_version(void **state)
{
	_cleanup_damage_ struct damage d;
	damage_start(&d);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&d.f), &d.f);
	for (unsigned n = FEW; n > 2; n--) {
		/* another writer: a new file, and its token */
		struct lock_token token;
		put_layers(&d.f, "other", n, 0, n);
		assert_int_equal(lockfile_touch(d.f.lock, &token, NULL), 0);
		assert_int_equal(renameat(d.f.dir.fd, "other", d.f.dir.fd, "layers.json"), 0);
		put_index(&d, d.good, d.size);
		assert_true(layers_stale(&d.f, t));
		load(&d.f, t, true);
		_cleanup_layers_ struct record_set *plain = layers_loaded(&d.f);
		same_answers(plain, t, FEW);
	}
	/* only the token is new */
	struct lock_token token;
	_cleanup_layers_ struct record_set *plain = layers_loaded(&d.f);
	assert_int_equal(lockfile_touch(d.f.lock, &token, NULL), 0);
	put_index(&d, d.good, d.size);
	load(&d.f, t, true);
	same_answers(plain, t, FEW);
}

/* A file that somebody else could have written is not believed, nor is one that is none. */
static void test_untrusted(void **state)
{
	_cleanup_damage_ struct damage d;
	damage_start(&d);
	const struct index_source source = {.what = "layer"};
	const char *dir = "/nonexistent";
	assert_null(index_open(dir, "x", &source));
	for (int how = 0; how < 5; how++) {
		_cleanup_free_ char *moved = str_join(d.path, ".moved");
		put_index(&d, d.good, d.size);
		assert_int_equal(how == 0   ? chmod(d.path, 0620)
		                 : how == 1 ? chmod(d.path, 0602)
		                 : how == 2 ? rename(d.path, moved) + symlink(moved, d.path)
		                 : how == 3 ? unlink(d.path) + mkfifo(d.path, 0600)
		                            : unlink(d.path) + mkdir(d.path, 0700),
		                 0);
		_cleanup_layers_ struct record_set *t = indexed(layers_new(&d.f), &d.f);
		struct lock_token token;
		assert_int_equal(lockfile_read_token(d.f.lock, &token, NULL), 0);
		assert_int_equal(record_set_open(t, &token, NULL), 0);
		assert_null(t->opened_index);
		same_answers(d.plain, d.plain, FEW);
		(void)unlink(moved);
		(void)rmdir(d.path);
	}
	if (geteuid() != 0)
		return;
	put_index(&d, d.good, d.size);
	assert_int_equal(chown(d.path, 12345, 0), 0);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&d.f), &d.f);
	struct lock_token token;
	assert_int_equal(lockfile_read_token(d.f.lock, &token, NULL), 0);
	assert_int_equal(record_set_open(t, &token, NULL), 0);
	assert_null(t->opened_index);
}

/* ---- edits and saves: the same as of a set that is parsed and printed ---- */

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

static void pair_start(struct pair *p, uint64_t seed)
{
	*p = (struct pair){.r = {seed}, .next = MANY};
	for (int i = 0; i < 2; i++) {
		p->f[i] = quick_fixture_make();
		put_layers(&p->f[i], "layers.json", seed, 0, MANY / 2);
		put_layers(&p->f[i], "volatile-layers.json", seed, MANY / 2, MANY);
	}
	pair_load(p);
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

/* ---- mounts ---- */

static void test_mounts(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	_cleanup_free_ char *lock_path = path_join(f.dir.path, "mountpoints.lock");
	struct lockfile *lock = NULL;
	char id[65];
	layer_id(7, id);
	put_layers(&f, "layers.json", 8, 0, FEW);
	assert_int_equal(lockfile_new(lock_path, false, &lock, NULL), 0);
	assert_int_equal(lockfile_lock(lock, LOCKFILE_WRITE, NULL), 0);
	_cleanup_layers_ struct record_set *plain = layers_loaded(&f);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
	load(&f, t, true);
	assert_int_equal(layer_table_load_mounts(t, lock, NULL), 0);
	assert_true(layer_table_set_mount(t, id, "/m", 2));
	assert_int_equal(layer_table_save_mounts(t, lock, NULL), 0);
	assert_int_equal(layer_table_load_mounts(plain, lock, NULL), 0);
	assert_int_equal(layer_table_get(plain, id)->mount_count, 2);
	assert_non_null(t->base);
	same_answers(plain, t, FEW);
	/* also once the index is damaged */
	_cleanup_layers_ struct record_set *again = indexed(layers_new(&f), &f);
	load(&f, again, true);
	assert_int_equal(layer_table_load_mounts(again, lock, NULL), 0);
	_cleanup_free_ char *path = index_path(&f);
	assert_int_equal(truncate(path, 4096), 0);
	assert_true(record_base_leave(again));
	same_answers(plain, again, FEW);
	lockfile_unlock(lock);
	lockfile_free(lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_answers),
	        cmocka_unit_test(test_without_index),
	        cmocka_unit_test(test_every_byte),
	        cmocka_unit_test(test_every_length),
	        cmocka_unit_test(test_damaged_later),
	        cmocka_unit_test(test_records_stay),
	        cmocka_unit_test(test_problem),
	        cmocka_unit_test(test_older_version),
	        cmocka_unit_test(test_untrusted),
	        cmocka_unit_test(test_mounts),
	        cmocka_unit_test(test_edits),
	        cmocka_unit_test(test_remove_all),
	        cmocka_unit_test(test_saved_out_of_order),
	        cmocka_unit_test(test_damaged_before_edits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
