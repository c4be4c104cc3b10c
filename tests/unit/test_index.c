/* SPDX-License-Identifier: Apache-2.0 */
/* The index of a set: its answers are those of the parsed records, whatever happens to its file. */
#include "index_fixture.h"

#include <errno.h>
#include <sys/stat.h>

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
		assert_true(sums_are_told(plain, second, n) > 0 || n < 20);
		same_list(plain, second);
		same_answers(plain, second, n);
	}
}

DEFINE_CLEANUP(cst_layer_list *, cst_layer_list_free)

static void same_fields(const cst_layer *all, const cst_layer *some, unsigned fields)
{
	const char *const *names = NULL, *const *wanted = NULL;
	assert_string_equal(all->id, some->id);
	bool with_names = fields & CST_LAYER_FIELD_NAMES, diff = fields & CST_LAYER_FIELD_DIFF;
	size_t n = cst_layer_names(all, &wanted);
	assert_int_equal(cst_layer_names(some, &names), with_names ? n : 0);
	for (size_t i = 0; with_names && i < n; i++)
		assert_string_equal(names[i], wanted[i]);
	assert_string_equal(some->parent, fields & CST_LAYER_FIELD_PARENT ? all->parent : "");
	if (fields & CST_LAYER_FIELD_CREATED)
		assert_true(timestamp_equal(&some->created, &all->created));
	assert_string_equal(some->diff_digest, diff ? all->diff_digest : "");
	assert_string_equal(some->toc_digest, diff ? all->toc_digest : "");
	assert_int_equal(some->diff_size, diff ? all->diff_size : 0);
	assert_string_equal(some->compressed_digest, "");
}

/* With an index the other members are not even read, whether or not the record is one that a save wrote. */
static void test_some_fields(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	put_layers(&f, "layers.json", 5, 0, 60);
	put_file(&f, "volatile-layers.json",
	         "[{\"diff-digest\":\"sha256:d\",\"created\":\"2020-01-02T03:04:05Z\","
	         "\"names\":[\"behind\"],\"parent\":\"A\",\"id\":\"B\"}]");
	_cleanup_layers_ struct record_set *plain = layers_loaded(&f);
	_cleanup_layers_ struct record_set *t = indexed(layers_new(&f), &f);
	load(&f, t, true);
	for (unsigned fields = 0; fields < 16; fields++) {
		_cleanup_(cst_layer_list_freep) cst_layer_list *list = NULL;
		const struct record_set *sets[] = {t};
		assert_int_equal(
		        layer_list_all(sets, 1, layer_members_without(fields), &list, NULL), 0);
		assert_int_equal(cst_layer_list_size(list), 61);
		for (size_t i = 0; i < 61; i++)
			same_fields(layer_table_at(plain, i), cst_layer_list_get(list, i), fields);
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
	        cmocka_unit_test(test_some_fields),   cmocka_unit_test(test_answers),
	        cmocka_unit_test(test_without_index), cmocka_unit_test(test_every_byte),
	        cmocka_unit_test(test_every_length),  cmocka_unit_test(test_damaged_later),
	        cmocka_unit_test(test_records_stay),  cmocka_unit_test(test_problem),
	        cmocka_unit_test(test_older_version), cmocka_unit_test(test_untrusted),
	        cmocka_unit_test(test_mounts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
