/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/pack/pack.h"
#include "archive/tree/walk.h"
#include "base/log.h"
#include "codec/compress.h"
#include "tree_fixture.h"
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static char *packed(int diff, const struct pack_options *options, bool tree)
{
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	int r = tree ? pack_tree(diff, options, &sink, NULL)
	             : pack_overlay(diff, options, &sink, NULL);
	assert_int_equal(r, 0);
	assert_true(memory.size % 512 == 0);
	char *text = list_tar(memory.data, memory.size);
	free(memory.data);
	return text;
}

static void test_tree(void **state)
{
	struct fixture *f = *state;
	add_dir(f->fd, "a");
	add_file(f->fd, "a/x", "hello");
	add_file(f->fd, "a-b", "");
	assert_int_equal(linkat(f->fd, "a/x", f->fd, "b", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", f->fd, "c"), 0);
	assert_int_equal(mkfifoat(f->fd, "p", 0600), 0);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", f->path);
	assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
	close(s);
	_cleanup_free_ char *text = packed(f->fd, &(struct pack_options){0}, true);
	assert_string_equal(text, "5 0755 0 a/\n0 0644 5 a/x [hello]\n0 0644 0 a-b\n"
	                          "1 0644 0 b -> a/x\n2 0777 0 c -> /etc/passwd\n6 0600 0 p\n");
}

static void test_overlay(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	int diff = make_dir(f->fd, "diff"), mid = make_dir(f->fd, "mid"),
	    low = make_dir(f->fd, "low");
	const int lowers[] = {mid, low};
	struct pack_options options = {.lowers = lowers, .n_lowers = 2};
	add_whiteout(diff, "gone");
	assert_int_equal(linkat(diff, "gone", diff, "gone2", 0), 0);
	static const char *const opaque[] = {"below", "fresh", "hidden"};
	for (size_t i = 0; i < ARRAY_SIZE(opaque); i++) {
		add_dir(diff, opaque[i]);
		set_opaque(diff, opaque[i]);
		if (!streq(opaque[i], "fresh"))
			add_dir(low, opaque[i]);
	}
	add_file(diff, "below/new", "");
	add_whiteout(mid, "hidden"); /* and so nothing of it shows: no marker */
	_cleanup_free_ char *text = packed(diff, &options, false);
	assert_string_equal(text, "5 0755 0 below/\n0 0755 0 below/.wh..wh..opq\n"
	                          "0 0644 0 below/new\n5 0755 0 fresh/\n0 0000 0 .wh.gone\n"
	                          "0 0000 0 .wh.gone2\n5 0755 0 hidden/\n");
	close(diff), close(mid), close(low);
}

/* Whoever made these names did not delete "x", nor all of "d": nothing in the tar may say so. */
static void test_names_of_whiteouts(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	add_dir(f->fd, "d");
	add_file(f->fd, "d/.wh..wh..opq", "");
	add_file(f->fd, "d/kept", "");
	add_dir(f->fd, ".wh.dir");
	add_file(f->fd, ".wh.dir/in", "");
	add_file(f->fd, ".wh.x", "");
	_cleanup_free_ char *tree = packed(f->fd, &(struct pack_options){0}, true);
	assert_string_equal(tree, "5 0755 0 d/\n0 0644 0 d/kept\n");
	add_whiteout(f->fd, "d/.wh..opq"); /* its own whiteout would be that of all of "d" */
	add_whiteout(f->fd, "gone");
	_cleanup_free_ char *overlay = packed(f->fd, &(struct pack_options){0}, false);
	assert_string_equal(overlay, "5 0755 0 d/\n0 0644 0 d/kept\n0 0000 0 .wh.gone\n");
}

static void test_ids_and_xattrs(void **state)
{
	NEEDS_ROOT();
	struct fixture *f = *state;
	add_file(f->fd, "in", "");
	add_file(f->fd, "out", "");
	assert_int_equal(fchownat(f->fd, "in", 100005, 100006, 0), 0);
	int fd = openat(f->fd, "in", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "user.k", "v", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.a=b", "v", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.overlay.origin", "v", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, "trusted.t", "v", 1, 0), 0);
	close(fd);
	cst_idmap range = {0, 100000, 1000};
	struct idmaps maps = {{&range, 1}, {&range, 1}};
	_cleanup_free_ char *text = packed(f->fd, &(struct pack_options){.maps = &maps}, true);
	assert_string_equal(text, "0 0644 0 in user.k\n"); /* "out" is nobody's in there */
}

static void test_deep_with_few_descriptors(void **state)
{
	struct fixture *f = *state;
	int diff = make_dir(f->fd, "diff"), low = make_dir(f->fd, "low");
	add_deep(diff, 1500);
	add_deep(low, 1000);
	/* Something left to visit at every tenth level on the way back. */
	int fd = openat(diff, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < 1500; i++) {
		if (i % 10 == 0)
			add_file(fd, "z", "");
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	struct rlimit old, few = {200, 200};
	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	unsigned open_before = count_open();
	struct pack_options options = {.lowers = &low, .n_lowers = 1};
	_cleanup_free_ char *text = packed(diff, &options, false);
	_cleanup_changes_ struct cst_changes changes = {0};
	assert_int_equal(changes_overlay(diff, &options, &changes, NULL), 0);
	int64_t bytes, inodes;
	assert_int_equal(usage_tree(diff, &bytes, &inodes, NULL), 0);
	assert_int_equal(bytes, 4);
	assert_int_equal(inodes, 1 + 1500 + 1 + 150);
	assert_int_equal(count_open(), open_before);
	setrlimit(RLIMIT_NOFILE, &old);
	unsigned lines = 0;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1500 + 1 + 150);
	close(diff), close(low);
}

/* A sink that fails, and one that changes the tree under way. */
static int fail_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	return error_set(error, CST_EIO_CALLBACK, "no more");
}

static int swap_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	struct fixture *f = userdata;
	if (unlinkat(f->fd, "z", AT_REMOVEDIR) == 0)
		assert_int_equal(symlinkat("/etc", f->fd, "z"), 0);
	return 0;
}

static void test_failing_sink(void **state)
{
	struct fixture *f = *state;
	add_file(f->fd, "a", "1");
	cst_sink sink = {fail_write, NULL};
	assert_int_equal(pack_tree(f->fd, &(struct pack_options){0}, &sink, NULL),
	                 CST_EIO_CALLBACK);
}

static void test_directory_becomes_symlink(void **state)
{
	struct fixture *f = *state;
	int fd = openat(f->fd, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	add_dir(f->fd, "z");
	cst_sink sink = {swap_write, f};
	struct tree_walk *walk;
	struct tree_entry entry;
	enum tree_event event;
	assert_int_equal(pack_tree(f->fd, &(struct pack_options){0}, &sink, NULL), 0);
	assert_int_equal(unlinkat(f->fd, "z", 0), 0);
	add_dir(f->fd, "z");
	assert_int_equal(tree_walk_new(&f->fd, 1, false, &walk, NULL), 0);
	do
		assert_int_equal(tree_walk_next(walk, &event, &entry, NULL), 0);
	while (!streq(entry.name, "z"));
	swap_write(f, NULL, 0, NULL);
	assert_int_equal(tree_walk_next(walk, &event, &entry, NULL), 0);
	assert_int_equal(event, TREE_END); /* not a word of /etc */
	tree_walk_free(walk);
}

static int cancel(const cst_progress_state *progress, void *userdata)
{
	return progress->entries_done >= 2;
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	cst_progress progress = {cancel, NULL};
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	struct pack_options options = {.progress = &progress};
	for (char name[] = "a"; *name <= 'e'; (*name)++)
		add_file(f->fd, name, "");
	assert_int_equal(pack_tree(f->fd, &options, &sink, NULL), CST_ECANCELED);
	free(memory.data);
}

static void test_usage(void **state)
{
	struct fixture *f = *state;
	int64_t bytes, inodes;
	add_file(f->fd, "a", "12345");
	assert_int_equal(linkat(f->fd, "a", f->fd, "b", 0), 0);
	assert_int_equal(symlinkat("abc", f->fd, "s"), 0);
	add_dir(f->fd, "d");
	assert_int_equal(usage_tree(f->fd, &bytes, &inodes, NULL), 0);
	assert_int_equal(bytes, 8);
	assert_int_equal(inodes, 4);
}

/* Compresses in pieces of all sizes and unpacks it again. */
static void round_trip(enum cst_compression kind, const void *magic, size_t magic_len)
{
	size_t size = 3000000, at = 0;
	_cleanup_free_ char *data = malloc(size), *got = malloc(size + 1);
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 2654435761u >> 19 & 15);
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	struct compressor *c;
	assert_int_equal(compressor_new(kind, &sink, &c, NULL), 0);
	for (size_t n = 1; at < size; n = n * 3 + 1) {
		n = MIN(n, size - at);
		assert_int_equal(compressor_write(c, data + at, n, NULL), 0);
		at += n;
	}
	assert_int_equal(compressor_finish(c, NULL), 0);
	compressor_free(c);
	assert_memory_equal(memory.data, magic_len ? magic : data, MAX(magic_len, (size_t)1));
	assert_int_equal(compression_detect(memory.data, memory.size), kind);
	struct decompressor *d;
	assert_int_equal(decompressor_new(kind, &d, NULL), 0);
	size_t used = 0, len = 0, got_len = 0;
	bool done = false;
	while (!done) {
		assert_int_equal(decompressor_run(d, memory.data + used, memory.size - used, &len,
		                                  true, got + got_len, size + 1 - got_len, &at,
		                                  &done, NULL),
		                 0);
		used += len;
		got_len += at;
	}
	decompressor_free(d);
	assert_int_equal(got_len, size);
	assert_memory_equal(got, data, size);
	free(memory.data);
}

static void test_compressors(void **state)
{
	round_trip(CST_PLAIN, NULL, 0);
	round_trip(CST_GZIP, "\x1f\x8b\x08\0\0\x09\x6e\x88\0\xff", 10);
	round_trip(CST_ZSTD, "\x28\xb5\x2f\xfd", 4);
	struct compressor *c;
	cst_sink sink = {fail_write, NULL};
	_cleanup_error_ cst_error *bzip2 = NULL, *xz = NULL;
	assert_int_equal(compressor_new(CST_BZIP2, &sink, &c, &bzip2), CST_ENOTSUP);
	assert_string_equal(cst_error_message(bzip2), "unsupported compression format tar.bz2");
	assert_int_equal(compressor_new(CST_XZ, &sink, &c, &xz), CST_ENOTSUP);
	assert_string_equal(cst_error_message(xz), "unsupported compression format tar.xz");
	for (int kind = CST_GZIP; kind <= CST_ZSTD; kind += CST_ZSTD - CST_GZIP) {
		c = NULL; /* gzip's header goes out at once, zstd's with the data */
		int r = compressor_new((enum cst_compression)kind, &sink, &c, NULL);
		r = r == 0 ? compressor_write(c, "data", 4, NULL) : r;
		assert_int_equal(r == 0 ? compressor_finish(c, NULL) : r, CST_EIO_CALLBACK);
		compressor_free(c);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_tree),
	        TEST(test_overlay),
	        TEST(test_names_of_whiteouts),
	        TEST(test_ids_and_xattrs),
	        TEST(test_deep_with_few_descriptors),
	        TEST(test_failing_sink),
	        TEST(test_directory_becomes_symlink),
	        TEST(test_cancel),
	        TEST(test_usage),
	        cmocka_unit_test(test_compressors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
