/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/pack/pack.h"
#include "tree_fixture.h"

struct pair {
	int old, now;
};

static struct pair make_pair(struct fixture *f)
{
	return (struct pair){make_dir(f->fd, "old"), make_dir(f->fd, "now")};
}

static void close_pair(struct pair p)
{
	close(p.old);
	close(p.now);
}

/* "A /x\n" lines. */
static char *text_of(struct cst_changes *changes)
{
	struct strbuf out = {0};
	for (size_t i = 0; i < changes->len; i++)
		strbuf_addf(&out, "%c %s\n", "MAD"[changes->items[i].kind],
		            changes -> items[i].path);
	changes_clear(changes);
	return strbuf_steal(&out);
}

static void expect_overlay(int diff, const int *lowers, size_t n, const char *wanted)
{
	struct pack_options options = {.lowers = lowers, .n_lowers = n};
	struct cst_changes changes = {0};
	assert_int_equal(changes_overlay(diff, &options, &changes, NULL), 0);
	_cleanup_free_ char *text = text_of(&changes);
	assert_string_equal(text, wanted);
}

static void expect_trees(int old, int now, const char *wanted)
{
	struct cst_changes changes = {0};
	assert_int_equal(changes_trees(old, now, &(struct pack_options){0}, &changes, NULL), 0);
	_cleanup_free_ char *text = text_of(&changes);
	assert_string_equal(text, wanted);
}

static void same_times(struct pair p, const char *path)
{
	set_mtime(p.old, path, 1000000000, 0);
	set_mtime(p.now, path, 1000000000, 123);
}

static void test_overlay_kinds(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_dir(p.old, "d"), add_dir(p.now, "d");
	add_file(p.old, "d/changed", "1"), add_file(p.now, "d/changed", "2");
	add_file(p.now, "d/new", "");
	add_dir(p.old, "quiet"), add_dir(p.now, "quiet");
	add_file(p.old, "quiet/f", "1"), add_file(p.now, "quiet/f", "2");
	add_file(p.old, "gone", ""), add_whiteout(p.now, "gone");
	same_times(p, "d");
	same_times(p, "quiet");
	/* A changed file does not make its directory a Modify, an added one does; the directory
	 * comes first. */
	expect_overlay(p.now, &p.old, 1, "M /d\nM /d/changed\nA /d/new\nD /gone\nM /quiet/f\n");
	set_mtime(p.now, "quiet", 1000000001, 0);
	expect_overlay(p.now, &p.old, 1,
	               "M /d\nM /d/changed\nA /d/new\nD /gone\nM /quiet\nM /quiet/f\n");
	close_pair(p);
}

static void test_overlay_opaque_and_file_to_directory(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_file(p.old, "f0", "");
	add_dir(p.now, "f0");
	add_file(p.now, "f0/y", "");
	set_opaque(p.now, "f0");
	add_dir(p.old, "opq"), add_dir(p.now, "opq");
	set_opaque(p.now, "opq");
	add_dir(p.now, "fresh");
	set_opaque(p.now, "fresh");
	expect_overlay(p.now, &p.old, 1, "D /f0\nA /f0/y\nA /fresh\nD /opq\n");
	close_pair(p);
}

static void test_overlay_whiteout_between(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	int mid = make_dir(f->fd, "mid");
	const int lowers[] = {mid, p.old};
	add_dir(p.old, "d"), add_dir(p.now, "d");
	add_file(p.old, "d/f", ""), add_file(p.now, "d/f", "");
	add_whiteout(mid, "d");
	expect_overlay(p.now, lowers, 2, "A /d\nA /d/f\n");
	close(mid);
	close_pair(p);
}

static void test_overlay_directory_owner(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_dir(p.old, "d"), add_dir(p.now, "d");
	same_times(p, "d");
	expect_overlay(p.now, &p.old, 1, "");
	assert_int_equal(fchownat(p.now, "d", 5, 5, 0), 0);
	expect_overlay(p.now, &p.old, 1, "M /d\n");
	close_pair(p);
}

static void test_trees(void **state)
{
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_dir(p.old, "a"), add_dir(p.now, "a");
	add_file(p.old, "a/same", "1"), add_file(p.now, "a/same", "1");
	add_file(p.old, "a/x", "1"), add_file(p.now, "a/x", "22");
	add_file(p.now, "a-b", "");
	add_dir(p.old, "gone");
	add_file(p.old, "gone/inside", "");
	add_dir(p.old, "tofile"), add_file(p.now, "tofile", "");
	add_file(p.old, "todir", ""), add_dir(p.now, "todir");
	add_file(p.now, "todir/new", "");
	assert_int_equal(symlinkat("one", p.old, "link"), 0);
	assert_int_equal(symlinkat("two", p.now, "link"), 0);
	same_times(p, "link");
	same_times(p, "a");
	expect_trees(p.old, p.now,
	             "M /a\nA /a-b\nM /a/x\nD /gone\nM /link\nM /todir\nA /todir/new\n"
	             "M /tofile\n");
	expect_trees(p.now, p.now, "");
	close_pair(p);
}

static void test_trees_attributes(void **state)
{
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_file(p.old, "mode", ""), add_file(p.now, "mode", "");
	add_file(p.old, "time", ""), add_file(p.now, "time", "");
	add_file(p.old, "xattr", ""), add_file(p.now, "xattr", "");
	expect_trees(p.old, p.now, "");
	assert_int_equal(fchmodat(p.now, "mode", 0600, 0), 0);
	set_mtime(p.old, "time", 1000000000, 5); /* the other came from a tar: whole seconds */
	expect_trees(p.old, p.now, "M /mode\n");
	set_mtime(p.now, "time", 1000000000, 6);
	int fd = openat(p.now, "xattr", O_RDONLY | O_CLOEXEC);
	bool has_xattrs = fsetxattr(fd, "user.k", "v", 1, 0) == 0;
	close(fd);
	expect_trees(p.old, p.now,
	             has_xattrs ? "M /mode\nM /time\nM /xattr\n" : "M /mode\nM /time\n");
	close_pair(p);
}

static void test_pack_changes_and_size(void **state)
{
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_dir(p.now, "d");
	add_file(p.now, "d/f", "12345");
	assert_int_equal(linkat(p.now, "d/f", p.now, "d/g", 0), 0);
	add_file(p.old, "gone", "");
	struct pack_options options = {0};
	_cleanup_changes_ struct cst_changes changes = {0};
	assert_int_equal(changes_trees(p.old, p.now, &options, &changes, NULL), 0);
	int64_t size;
	assert_int_equal(changes_size(p.now, &changes, &size, NULL), 0);
	assert_int_equal(size, 5);
	assert_true(changes_add(&changes, "/vanished", CST_ADD));
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	assert_int_equal(pack_changes(p.now, &changes, &options, &sink, NULL), 0);
	_cleanup_free_ char *text = list_tar(memory.data, memory.size);
	assert_string_equal(text, "5 0755 0 d/\n0 0644 5 d/f [12345]\n1 0644 0 d/g -> d/f\n"
	                          "0 0000 0 .wh.gone\n");
	free(memory.data);
	close_pair(p);
}

/* What a layer tar cannot tell is left out here, too. */
static void test_whiteout_names(void **state)
{
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_file(p.old, ".wh.deleted", "1");
	add_file(p.now, ".wh.file", "1");
	add_dir(p.now, ".wh.d"), add_file(p.now, ".wh.d/in", "1");
	add_dir(p.now, "d"), add_file(p.now, "d/.wh..wh..opq", "1");
	add_file(p.now, "d/x.wh.", "1");
	expect_trees(p.old, p.now, "A /d\nA /d/x.wh.\n");
	expect_overlay(p.now, &p.old, 1, "A /d\nA /d/x.wh.\n");
	close_pair(p);
}

static void test_deep(void **state)
{
	struct fixture *f = *state;
	struct pair p = make_pair(f);
	add_deep(p.old, 1500);
	add_deep(p.now, 1501);
	unsigned open_before = count_open();
	struct cst_changes changes = {0};
	assert_int_equal(changes_trees(p.old, p.now, &(struct pack_options){0}, &changes, NULL), 0);
	assert_int_equal(changes.len, 1500 + 1 + 1 + 1); /* one x gone, one directory and x more */
	assert_int_equal(changes.items[1500].kind, CST_ADD);
	int64_t size;
	assert_int_equal(changes_size(p.now, &changes, &size, NULL), 0);
	assert_int_equal(size, 4);
	changes_clear(&changes);
	assert_int_equal(count_open(), open_before);
	close_pair(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_overlay_kinds),
	        TEST(test_overlay_opaque_and_file_to_directory),
	        TEST(test_overlay_whiteout_between),
	        TEST(test_overlay_directory_owner),
	        TEST(test_trees),
	        TEST(test_trees_attributes),
	        TEST(test_pack_changes_and_size),
	        TEST(test_whiteout_names),
	        TEST(test_deep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
