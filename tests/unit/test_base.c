/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"
#include "base/checksum.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/fs_chain.h"
#include "base/fs_private.h"
#include "base/hashmap.h"
#include "base/id.h"
#include "base/str.h"
#include "unit/test.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <unistd.h>

static void test_errors(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(error_sys(&error, ENOENT, "open %s", "/x"), CST_ESYS);
	assert_string_equal(cst_error_message(error), "open /x: no such file or directory");
	assert_int_equal(cst_error_errno(error), ENOENT);
	assert_int_equal(error_prefix(&error, CST_ESYS, "loading"), CST_ESYS);
	assert_string_equal(cst_error_message(error),
	                    "loading: open /x: no such file or directory");
	assert_string_equal(cst_error_go_message(error), cst_error_message(error));
	assert_string_equal(cst_error_object(error), "");
	assert_int_equal(error_set(NULL, CST_EINVAL, "%s", "nobody listens"), CST_EINVAL);
	assert_string_equal(cst_error_message(NULL), "success");
	cst_error *oom = NULL;
	assert_int_equal(error_oom(&oom), CST_ENOMEM);
	assert_string_equal(cst_error_message(oom), "out of memory");
	assert_int_equal(error_prefix(&oom, CST_ENOMEM, "reading"), CST_ENOMEM);
	assert_int_equal(error_go_words(&oom, CST_ENOMEM, "x", "no words"), CST_ENOMEM);
	assert_string_equal(cst_error_go_message(oom), "out of memory");
	cst_error_free(oom); /* static: must not be freed */
	cst_error_free(oom);
	assert_string_equal(errno_text(EXDEV), "invalid cross-device link");
}

/* Our message names the object, the Go command's need not. */
static void test_error_words(void **state)
{
	_cleanup_error_ cst_error *error = NULL, *other = NULL;
	assert_int_equal(error_about(&error, CST_ELAYER_UNKNOWN, "base"), CST_ELAYER_UNKNOWN);
	assert_string_equal(cst_error_message(error), "there is no layer \"base\"");
	assert_string_equal(cst_error_go_message(error), "layer not known");
	assert_string_equal(cst_error_object(error), "base");
	error_prefix(&error, CST_ELAYER_UNKNOWN, "copying %d", 3);
	error_go_prefix(&error, CST_ELAYER_UNKNOWN, "error finding layer");
	assert_string_equal(cst_error_message(error), "copying 3: there is no layer \"base\"");
	assert_string_equal(cst_error_go_message(error),
	                    "error finding layer: copying 3: layer not known");
	assert_string_equal(cst_error_object(error), "base");
	assert_int_equal(error_own_prefix(&error, CST_ELAYER_UNKNOWN, "%s", "alas"),
	                 CST_ELAYER_UNKNOWN);
	assert_string_equal(cst_error_message(error),
	                    "alas: copying 3: there is no layer \"base\"");
	assert_string_equal(cst_error_go_message(error),
	                    "error finding layer: copying 3: layer not known");
	error_about_any(&other, CST_ELAYER_UNKNOWN, "box");
	assert_string_equal(cst_error_message(other),
	                    "there is no layer, image or container \"box\"");
	assert_string_equal(cst_error_go_message(other), "layer not known");
	assert_int_equal(error_go_words(&other, CST_ELAYER_UNKNOWN, "new", "what %s?", "now"),
	                 CST_ELAYER_UNKNOWN);
	assert_string_equal(cst_error_go_message(other), "what now?");
	assert_string_equal(cst_error_object(other), "new");
	assert_int_equal(error_about(NULL, CST_ELAYER_UNKNOWN, "base"), CST_ELAYER_UNKNOWN);
}

/* A code about an object says more than the fixed text, whichever code it is. */
static void test_error_texts(void **state)
{
	for (int code = -1; code >= CST_EID_AMBIGUOUS; code--) {
		_cleanup_error_ cst_error *error = NULL;
		if (streq(cst_strerror(code), "unknown error"))
			continue;
		error_about(&error, code, "NAME");
		assert_int_equal(cst_error_code(error), code);
		assert_non_null(strstr(cst_error_message(error), "NAME"));
		assert_string_equal(cst_error_go_message(error), cst_strerror(code));
	}
}

static void test_strings(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = {0};
	assert_string_equal(strbuf_str(&buf), "");
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&buf, "%d,", i);
	assert_int_equal(buf.len, 10 * 2 + 90 * 3 + 900 * 4);
	for (int n = 0; n < 100; n++) { /* around the room that there is */
		_cleanup_strbuf_ struct strbuf line = {0};
		strbuf_addf(&line, "%*s", n, "");
		strbuf_addf(&line, "%s%d", "x", 5);
		assert_int_equal(line.len, n + 2);
		assert_string_equal(line.data + n, "x5");
	}
	_cleanup_strv_ struct strv v = {0};
	assert_true(strv_split(&v, "b:a::c", ':'));
	assert_int_equal(v.len, 4);
	strv_sort(&v);
	assert_string_equal(v.items[0], "");
	assert_string_equal(v.items[3], "c");
	assert_true(strv_contains(&v, "a"));
	uint64_t n;
	assert_true(parse_u64("4294967295", UINT32_MAX, &n));
	assert_false(parse_u64("4294967296", UINT32_MAX, &n));
	assert_false(parse_u64("", UINT64_MAX, &n));
	assert_false(parse_u64("-1", UINT64_MAX, &n));
	assert_true(parse_u64("18446744073709551615", UINT64_MAX, &n));
	assert_false(parse_u64("18446744073709551616", UINT64_MAX, &n));
}

static void test_arena(void **state)
{
	_cleanup_arena_ struct arena arena = {0};
	char *all[500];
	for (size_t i = 0; i < 500; i++) {
		all[i] = arena_alloc(&arena, i * 37 + 1);
		assert_non_null(all[i]);
		memset(all[i], (int)i, i * 37 + 1);
	}
	for (size_t i = 0; i < 500; i++)
		assert_int_equal((unsigned char)all[i][i * 37], i & 0xff);
	assert_null(arena_alloc(&arena, SIZE_MAX - 8));
	assert_true(arena.failed);
}

/* Against a plain list, with removals in between, so that clusters close their gaps. */
static void test_hashmap(void **state)
{
	_cleanup_hashmap_ struct hashmap map = {0};
	static char keys[4000][12];
	bool present[4000] = {0};
	unsigned random = 1;
	for (size_t i = 0; i < 4000; i++)
		snprintf(keys[i], sizeof(keys[i]), "key-%zu", i);
	for (int step = 0; step < 40000; step++) {
		random = random * 1103515245 + 12345;
		size_t i = (random >> 8) % 4000;
		if (random >> 31) {
			assert_true(hashmap_put(&map, keys[i], keys[i]));
			present[i] = true;
		} else {
			assert_ptr_equal(hashmap_remove(&map, keys[i]),
			                 present[i] ? keys[i] : NULL);
			present[i] = false;
		}
	}
	size_t n = 0;
	for (size_t i = 0; i < 4000; i++) {
		assert_ptr_equal(hashmap_get(&map, keys[i]), present[i] ? keys[i] : NULL);
		n += present[i];
	}
	assert_int_equal(map.len, n);
	static const uint64_t key[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
	assert_true(siphash24("", 0, key) ==
	            0x726fdb47dd0e0e31ULL); /* the vectors of its authors */
	assert_true(siphash24("\0\1\2\3\4\5\6\7", 8, key) == 0x93f5f5799a932462ULL);
}

static void test_paths(void **state)
{
	static const char *const clean[][2] = {{"", "."},
	                                       {"/", "/"},
	                                       {"//a//b/", "/a/b"},
	                                       {"a/../b", "b"},
	                                       {"../a", "../a"},
	                                       {"/../a", "/a"},
	                                       {"a/../..", ".."},
	                                       {"./a/./", "a"},
	                                       {"a/b/../../../c", "../c"},
	                                       {"../../x/..", "../.."},
	                                       {"/a/b/../..", "/"}};
	for (size_t i = 0; i < ARRAY_SIZE(clean); i++) {
		_cleanup_free_ char *got = path_clean(clean[i][0]);
		assert_string_equal(got, clean[i][1]);
	}
	assert_true(path_is_component("a"));
	assert_false(path_is_component(".."));
	assert_false(path_is_component("a/b"));
	assert_false(path_is_component(""));
}

static void test_digests(void **state)
{
	char text[DIGEST_TEXT_MAX];
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(digest_buffer(DIGEST_SHA256, "one", 3, text, NULL), 0);
	assert_string_equal(
	        text, "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
	assert_int_equal(digest_buffer(DIGEST_SHA512, "", 0, text, NULL), 0);
	assert_int_equal(strlen(text), 7 + 128);
	assert_int_equal(digest_validate(text, NULL), 0);
	assert_int_equal(digest_validate("foo", &error), CST_EINVAL);
	assert_string_equal(cst_error_message(error), "invalid checksum digest format");
	assert_true(crc64_iso(0, "123456789", 9) ==
	            0xb90956c775a41001ULL); /* docs/format/archive.md, "tar-split" */
	assert_true(crc64_iso(0, "", 0) == 0);
	assert_true(crc64_iso(crc64_iso(0, "1234", 4), "56789", 5) == 0xb90956c775a41001ULL);
}

/* However the bytes are handed over, by a call of the library or by the tables. */
static void test_checksum_lengths(void **state)
{
	unsigned char data[1500];
	uint64_t crc64 = 0;
	uint32_t crc32 = 0;

	for (size_t n = 0; n < sizeof(data); n++) {
		assert_true(crc64_iso(0, data, n) == crc64);
		assert_int_equal(crc32_gzip(0, data, n), crc32);
		data[n] = (unsigned char)(n * n / 7);
		crc64 = crc64_iso(crc64, data + n, 1);
		crc32 = crc32_gzip(crc32, data + n, 1);
	}
}

/* The sum of a whole is that of its two parts, wherever it is cut. */
static void test_checksum_join(void **state)
{
	size_t size = 300 << 10;
	_cleanup_free_ unsigned char *data = malloc(size);
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(i * 2654435761U >> 13);
	uint64_t whole = crc64_iso(0, data, size), head = 0;
	for (size_t n = 0, step = 0; n <= size; n += step) {
		step = MIN(1 + n / 3, size - n + 1);
		uint64_t tail = crc64_iso(0, data + n, size - n);
		assert_true(crc64_iso_join(head, tail, size - n) == whole);
		head = crc64_iso(head, data + n, MIN(step, size - n));
	}
	assert_true(crc64_iso_join(whole, 0, 0) == whole);
}

/* Zeros are encoded in runs: the text is that of group after group. */
static void test_base64(void **state)
{
	for (size_t before = 0; before < 5; before++) {
		for (size_t zeros = 0; zeros < 80; zeros++) {
			_cleanup_strbuf_ struct strbuf whole = {0}, groups = {0};
			unsigned char data[100] = {0}, back[136];
			size_t n = before + zeros + zeros % 4, len, bad;
			memset(data, 0x5a, before);
			memset(data + before + zeros, 0xa5, zeros % 4);
			base64_encode(&whole, data, n);
			for (size_t i = 0; i < n; i += 3)
				base64_encode(&groups, data + i, MIN(n - i, (size_t)3));
			assert_string_equal(strbuf_str(&whole), strbuf_str(&groups));
			assert_true(base64_decode(strbuf_str(&whole), whole.len, back, &len, &bad));
			assert_int_equal(len, n);
			assert_memory_equal(back, data, n);
		}
	}
}

/* Six bytes at a time, or one group after the other: the same digits, whatever the bytes. */
static void test_base64_of_all_bytes(void **state)
{
	for (unsigned start = 0; start < 256; start++) {
		_cleanup_strbuf_ struct strbuf whole = {0}, groups = {0};
		unsigned char data[768];
		for (unsigned i = 0; i < sizeof(data); i++)
			data[i] = (unsigned char)(start + i * 89 + i * i / 7);
		base64_encode(&whole, data, sizeof(data) - start % 8);
		for (size_t i = 0; i < sizeof(data) - start % 8; i += 3)
			base64_encode(&groups, data + i,
			              MIN(sizeof(data) - start % 8 - i, (size_t)3));
		assert_string_equal(strbuf_str(&whole), strbuf_str(&groups));
	}
}

static void test_ids(void **state)
{
	static const char *const refused[] = {
	        "",  "../x",   "a/b",    ".hidden",        "a b",     "a\tb",    "tmp",
	        "l", "x.json", "y.lock", "z.tar-split.gz", "staging", "tempdirs"};
	char id[ID_HEX_LEN + 1];
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(id_check_new("layer", refused[i], NULL), CST_EINVAL);
	assert_int_equal(id_check_new("layer", "short-1", NULL), 0);
	assert_int_equal(id_generate(id, NULL), 0);
	assert_true(id_is_hex64(id));
	assert_int_equal(id_check_new("layer", id, NULL), 0);
}

/* ---- files ---- */

static void write_at(int dir, const char *name, const char *text)
{
	assert_int_equal(fs_write_file(dir, name, text, strlen(text), 0644, NULL, NULL), 0);
}

static void test_confined_open(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	write_at(t.fd, "outside", "secret");
	assert_int_equal(mkdirat(t.fd, "root", 0755), 0);
	_cleanup_close_ int root = openat(t.fd, "root", O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(root, "etc", 0755), 0);
	write_at(root, "etc/passwd", "inside");
	assert_int_equal(symlinkat("/etc/passwd", root, "absolute"), 0);
	assert_int_equal(symlinkat("../outside", root, "up"), 0);
	assert_int_equal(symlinkat("loop", root, "loop"), 0);
	static const char *const in_root[] = {"etc/passwd", "absolute", "../../etc/passwd",
	                                      "/etc/passwd", "etc/../etc/passwd"};
	for (size_t i = 0; i < ARRAY_SIZE(in_root); i++) {
		_cleanup_close_ int fd = fs_open_in_root(root, in_root[i], O_RDONLY);
		assert_true(fd >= 0);
		char buffer[6];
		assert_int_equal(fs_read_full(fd, buffer, 6), 6);
		assert_memory_equal(buffer, "inside", 6);
	}
	assert_int_equal(fs_open_in_root(root, "up", O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fs_open_in_root(root, "loop", O_RDONLY), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(fs_open_beneath(root, "../outside", O_RDONLY), -1);
	assert_int_equal(fs_open_beneath(root, "absolute", O_RDONLY), -1);
	assert_int_equal(fs_open_beneath(root, "/etc/passwd", O_RDONLY), -1);
}

static void test_replace(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_free_ char *text = NULL;
	size_t n;
	assert_int_equal(fs_replace_file(t.fd, "f", "one", 3, 0600, FS_DURABLE, NULL, NULL), 0);
	assert_int_equal(fs_replace_file(t.fd, "f", "second", 6, 0600, 0, NULL, NULL), 0);
	assert_int_equal(fs_read_file(t.fd, "f", 100, &text, &n, NULL), 0);
	assert_string_equal(text, "second");
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(fs_read_file(t.fd, "f", 5, &text, &n, &error), CST_EINVAL);
	assert_int_equal(mkdirat(t.fd, "d", 0700), 0);
	assert_int_equal(fs_replace_file(t.fd, "d", "x", 1, 0600, 0, NULL, NULL), CST_ESYS);
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(t.fd, ".", &names, NULL, NULL), 0);
	assert_int_equal(names.len, 2); /* no temporary file is left */
}

/* Another process died with such a directory, or lives; or it is somebody's own. */
static void test_private_dir(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_fs_private_ struct fs_private live = FS_PRIVATE_INIT, dead = FS_PRIVATE_INIT,
	                                       next = FS_PRIVATE_INIT;
	assert_int_equal(fs_private_make(&live, t.fd, "t", NULL), 0);
	assert_int_equal(fs_private_make(&dead, t.fd, "t", NULL), 0);
	assert_int_equal(mkdirat(dead.fd, "new", 0), 0);
	write_at(live.fd, "new", "x");
	assert_int_equal(mkdirat(t.fd, ".cstorage-tmp-0", 0755), 0);
	closep(&dead.fd);
	closep(&dead.dirfd);
	assert_int_equal(fs_private_make(&next, t.fd, "t", NULL), 0);
	assert_true(fs_exists(t.fd, live.name));
	assert_true(fs_exists(live.fd, "new"));
	assert_false(fs_exists(t.fd, dead.name));
	assert_true(fs_exists(t.fd, ".cstorage-tmp-0"));
	assert_int_equal(fs_private_remove(&next, NULL), 0);
	assert_int_equal(fs_private_remove(&live, NULL), 0);
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(t.fd, ".", &names, NULL, NULL), 0);
	assert_int_equal(names.len, 1);
}

static void test_remove_tree(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	write_at(t.fd, "keep", "x");
	assert_int_equal(mkdirat(t.fd, "tree", 0755), 0);
	_cleanup_close_ int fd = openat(t.fd, "tree", O_RDONLY | O_DIRECTORY);
	assert_int_equal(symlinkat("../keep", fd, "link"), 0);
	assert_int_equal(symlinkat("..", fd, "dirlink"), 0);
	for (int depth = 0; depth < 3000;
	     depth++) { /* deeper than PATH_MAX and than the descriptors kept open */
		write_at(fd, "file", "x");
		assert_int_equal(mkdirat(fd, "sub", 0755), 0);
		int below = openat(fd, "sub", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = below;
	}
	assert_int_equal(fs_remove_tree(t.fd, "tree", NULL, NULL), 0);
	assert_false(fs_exists(t.fd, "tree"));
	assert_true(fs_exists(t.fd, "keep"));
	assert_int_equal(fs_remove_tree(t.fd, "tree", NULL, NULL), 0); /* missing is success */
	assert_int_equal(fs_remove_tree(t.fd, "keep", NULL, NULL), 0);
}

static void step_down(struct fs_chain *chain, char *path)
{
	size_t len = chain->links[chain->len - 1].path_len;
	len += (size_t)sprintf(path + len, len ? "/s" : "s");
	int fd = openat(fs_chain_fd(chain), "s", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fs_chain_push(chain, fd, len), 0);
	assert_true(chain->n_open <= FS_CHAIN_OPEN + 1);
}

/* How many directories down it goes again for it. */
static size_t step_up(struct fs_chain *chain, char *path)
{
	size_t wanted = chain->len - 2, nearest = chain->open[chain->n_open - 2];
	assert_int_equal(fs_chain_pop(chain, path), 0);
	return wanted - nearest;
}

/* All the way down and up again, on the way up with `branch` directories down and up at each. */
static size_t go_down_and_up(int top, size_t depth, size_t branch)
{
	_cleanup_(fs_chain_free) struct fs_chain chain = {.limit = FS_CHAIN_OPEN};
	char path[8192];
	size_t work = 0;
	assert_int_equal(fs_chain_push(&chain, top, 0), 0);
	while (chain.len < depth)
		step_down(&chain, path);
	while (chain.len > 1) {
		work += step_up(&chain, path);
		size_t below = MIN(branch, depth - chain.len);
		for (size_t i = 0; i < below; i++)
			step_down(&chain, path);
		for (size_t i = 0; i < below; i++)
			work += step_up(&chain, path);
	}
	return work;
}

/* A directory deep below is opened again from one near to it, not from the top. */
static void test_chain(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	const size_t depth = 2000;
	_cleanup_close_ int fd = dup(t.fd);
	for (size_t i = 0; i < depth; i++) {
		assert_int_equal(mkdirat(fd, "s", 0755), 0);
		int below = openat(fd, "s", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = below;
	}
	assert_true(go_down_and_up(t.fd, depth, 0) < 11 * depth); /* 11: log2 of it */
	assert_true(go_down_and_up(t.fd, depth, 40) < 40 * 11 * depth);
	struct fs_chain chain = {.limit = 2};
	assert_int_equal(fs_chain_push(&chain, t.fd, 0), 0);
	for (size_t i = 1; i < 9; i++) {
		int child = openat(fs_chain_fd(&chain), "s", O_RDONLY | O_CLOEXEC);
		assert_int_equal(fs_chain_push(&chain, child, 2 * i - 1), 0);
	}
	/* Something else is there now. */
	assert_int_equal(renameat(t.fd, "s/s/s", t.fd, "moved"), 0);
	assert_int_equal(mkdirat(t.fd, "s/s/s", 0755), 0);
	char path[] = "s/s/s/s/s/s/s/s";
	int r = 0;
	while (r == 0 && chain.len > 1)
		r = fs_chain_pop(&chain, path);
	assert_int_equal(r, -1);
	assert_true(errno == ENOENT || errno == ESTALE);
	fs_chain_free(&chain);
}

/* So much that several threads remove it: 40 directories, in each of them 40 files, a symlink to `precious`, and a directory with a
 * file. Returns how many names that is. */
static unsigned make_large_tree(const struct test_dir *t)
{
	assert_int_equal(mkdirat(t->fd, "tree", 0755), 0);
	for (unsigned i = 0; i < 40; i++) {
		char name[64];
		snprintf(name, sizeof(name), "tree/%u", i);
		assert_int_equal(mkdirat(t->fd, name, 0755), 0);
		snprintf(name, sizeof(name), "tree/%u/in", i);
		assert_int_equal(mkdirat(t->fd, name, 0755), 0);
		snprintf(name, sizeof(name), "tree/%u/link", i);
		assert_int_equal(symlinkat("../../precious", t->fd, name), 0);
		for (unsigned k = 0; k <= 40; k++) {
			snprintf(name, sizeof(name), k < 40 ? "tree/%u/%u" : "tree/%u/in/%u", i, k);
			write_at(t->fd, name, "x");
		}
	}
	assert_int_equal(mkdirat(t->fd, "precious", 0755), 0);
	write_at(t->fd, "precious/file", "x");
	return 40 * 44 + 1;
}

struct removal {
	pthread_t thread;
	unsigned told;
};

static void count_removed(void *userdata)
{
	struct removal *removal = userdata;
	assert_true(pthread_equal(pthread_self(), removal->thread));
	removal->told++;
}

/* Each name is told of once, and by the thread of the caller. */
static void test_remove_many(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	const unsigned names = make_large_tree(&t);
	struct removal removal = {.thread = pthread_self()};
	const struct fs_watch watch = {.removed = count_removed, .userdata = &removal};
	assert_int_equal(fs_remove_tree_watched(t.fd, "tree", NULL, &watch, NULL), 0);
	assert_false(fs_exists(t.fd, "tree"));
	assert_true(fs_exists(t.fd, "precious/file"));
	assert_int_equal(removal.told, names);
}

struct swapping {
	int fd;
	_Atomic bool stop;
};

static void *swap(void *userdata)
{
	struct swapping *swapping = userdata;
	while (!swapping->stop) {
		(void)renameat2(swapping->fd, "tree/30", swapping->fd, "other", RENAME_EXCHANGE);
		(void)renameat2(swapping->fd, "tree/31/in", swapping->fd, "other", RENAME_EXCHANGE);
	}
	return NULL;
}

/* Another process puts a symlink in the place of a directory, and back. */
static void test_remove_swapped(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	struct swapping swapping = {.fd = t.fd};
	pthread_t thread;
	make_large_tree(&t);
	assert_int_equal(symlinkat("precious", t.fd, "other"), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &swapping), 0);
	(void)fs_remove_tree(t.fd, "tree", NULL, NULL); /* it may give up */
	swapping.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(fs_remove_tree(t.fd, "tree", NULL, NULL), 0);
	assert_true(fs_exists(t.fd, "precious/file"));
}

/* A bind mount inside the tree must be detached, never emptied. */
static void test_remove_mounted(void **state)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0)
		skip_because("needs root: mounts inside a private mount namespace");
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_free_ char *from = path_join(t.path, "precious"),
	                    *to = path_join(t.path, "tree/mnt");
	assert_int_equal(mkdirat(t.fd, "precious", 0755), 0);
	write_at(t.fd, "precious/file", "x");
	assert_int_equal(mkdirat(t.fd, "tree", 0755), 0);
	assert_int_equal(mkdirat(t.fd, "tree/mnt", 0755), 0);
	assert_int_equal(mount(from, to, NULL, MS_BIND, NULL), 0);
	assert_int_equal(fs_remove_tree(t.fd, "tree", NULL, NULL), 0);
	assert_true(fs_exists(t.fd, "precious/file"));
	/* The same where several threads remove: at the top of a subtree, and further in. */
	assert_int_equal(fs_remove_tree(t.fd, "precious", NULL, NULL), 0);
	make_large_tree(&t);
	for (unsigned i = 37; i < 40; i++) {
		_cleanup_free_ char *at = str_printf("%s/tree/%u%s", t.path, i, i % 2 ? "" : "/in");
		assert_int_equal(mount(from, at, NULL, MS_BIND, NULL), 0);
	}
	assert_int_equal(fs_remove_tree(t.fd, "tree", NULL, NULL), 0);
	assert_true(fs_exists(t.fd, "precious/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_errors),
	        cmocka_unit_test(test_error_words),
	        cmocka_unit_test(test_error_texts),
	        cmocka_unit_test(test_strings),
	        cmocka_unit_test(test_arena),
	        cmocka_unit_test(test_hashmap),
	        cmocka_unit_test(test_paths),
	        cmocka_unit_test(test_digests),
	        cmocka_unit_test(test_checksum_lengths),
	        cmocka_unit_test(test_checksum_join),
	        cmocka_unit_test(test_base64),
	        cmocka_unit_test(test_base64_of_all_bytes),
	        cmocka_unit_test(test_ids),
	        cmocka_unit_test(test_confined_open),
	        cmocka_unit_test(test_replace),
	        cmocka_unit_test(test_remove_tree),
	        cmocka_unit_test(test_remove_many),
	        cmocka_unit_test(test_remove_swapped),
	        cmocka_unit_test(test_private_dir),
	        cmocka_unit_test(test_chain),
	        cmocka_unit_test(test_remove_mounted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
