/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged layer gives out no archive: whatever bit turns over, of a file or of the tar-split, the diff fails and names the layer,
 * or its bytes are right. */
#include "api_fixture.h"
#include <fcntl.h>

#define TRAILER 8           /* of gzip: CRC-32 and length */
#define LARGE   (300 << 10) /* is read in pieces */

static char *content_of(const struct api *api, const char *layer, const char *name)
{
	return streq(api->driver, "vfs")
	               ? str_printf("%s/vfs/dir/%s/%s", api->root, layer, name)
	               : str_printf("%s/overlay/%s/diff/%s", api->root, layer, name);
}

static char *split_of(const struct api *api, const char *layer)
{
	return str_printf("%s/%s-layers/%s.tar-split.gz", api->root, api->driver, layer);
}

/* The layer "base": a directory, a small file, a large one and one of `end` bytes. */
static void make_tar(struct api *api, long mtime, size_t end)
{
	char *large = malloc(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 2654435761U >> 16);
	api->tar.len = 0;
	TAR_ADD(&api->tar, .name = "d/", .type = '5', .mode = 0755, .uid = getuid(),
	        .gid = getgid(), .mtime = mtime);
	TAR_ADD(&api->tar, .name = "d/small", .data = "some text", .len = 9, .uid = getuid(),
	        .gid = getgid(), .mtime = mtime);
	TAR_ADD(&api->tar, .name = "d/large", .data = large, .len = LARGE, .uid = getuid(),
	        .gid = getgid(), .mtime = mtime);
	TAR_ADD(&api->tar, .name = "d/end", .data = large, .len = end, .uid = getuid(),
	        .gid = getgid(), .mtime = mtime);
	tar_add_end(&api->tar);
	free(large);
}

static struct api *with_base(void **state)
{
	struct api *api = api_of(state);
	make_tar(api, 1600000000, 9);
	assert_int_equal(create_layer(api, "base", NULL, NULL, NULL), 0);
	return api;
}

static int diff(const struct api *api, const char *id, int compression, bool verify,
                cst_memory *got, cst_error **error)
{
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	cst_sink sink = cst_sink_memory(got);
	options.compression = compression;
	options.verify = verify;
	*got = (cst_memory){0};
	return cst_store_diff(api->store, NULL, id, &options, &sink, error);
}

/* The code of a plain diff of base; 0 only if its bytes are right, and an error only with a text that has the name. */
static int diff_of_base(const struct api *api, const char *reason)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_memory got;
	int r = diff(api, "base", CST_PLAIN, false, &got, &error);
	if (r == 0) {
		assert_int_equal(got.size, api->tar.len);
		assert_memory_equal(got.data, api->tar.data, got.size);
	} else {
		assert_non_null(strstr(cst_error_message(error), "base"));
		if (!strstr(cst_error_message(error), reason))
			fail_msg("%s", cst_error_message(error));
	}
	free(got.data);
	return r;
}

static void flip(int fd, off_t at, unsigned bit)
{
	unsigned char byte;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= (unsigned char)(1U << bit);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void test_content(void **state)
{
	const struct api *api = with_base(state);
	static const struct {
		const char *name;
		off_t at;
	} places[] = {{"d/small", 0},      {"d/small", 8},         {"d/large", 0},
	              {"d/large", 100000}, {"d/large", 256 << 10}, {"d/large", (256 << 10) - 1},
	              {"d/large", 270000}, {"d/large", LARGE - 1}};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = content_of(api, "base", places[i].name);
		_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		flip(fd, places[i].at, (unsigned)i);
		assert_int_equal(diff_of_base(api, places[i].name), CST_ECORRUPT);
		flip(fd, places[i].at, (unsigned)i);
		assert_int_equal(diff_of_base(api, ""), 0);
	}
}

static void test_packed(void **state)
{
	const struct api *api = with_base(state);
	static const int kinds[] = {CST_GZIP, CST_ZSTD};
	_cleanup_free_ char *path = content_of(api, "base", "d/large");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	flip(fd, 5, 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		cst_memory got;
		assert_int_equal(diff(api, "base", kinds[i], false, &got, NULL), CST_ECORRUPT);
		free(got.data);
	}
}

/* Some bits make no difference: in a run of equal bytes deflate may repeat from any distance. */
static void test_each_byte_of_the_split(void **state)
{
	const struct api *api = with_base(state);
	_cleanup_free_ char *path = split_of(api, "base");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	int found = 0;
	assert_true(size > 100);
	for (off_t at = 0; at < size; at++) {
		unsigned bit = (unsigned)at % 8;
		flip(fd, at, bit);
		int r = diff_of_base(api, "tar-split");
		if (at >= size - TRAILER)
			assert_int_equal(r, CST_ECORRUPT);
		found += r < 0;
		flip(fd, at, bit);
	}
	assert_true(found > size / 2);
	assert_int_equal(diff_of_base(api, ""), 0);
}

static void test_each_end_of_the_split(void **state)
{
	const struct api *api = with_base(state);
	_cleanup_free_ char *path = split_of(api, "base");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	for (off_t size = lseek(fd, 0, SEEK_END) - 1; size >= 0; size--) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(diff_of_base(api, "tar-split"), CST_ECORRUPT);
	}
}

/* base gets the tar-split of a layer whose files are its own. */
static void swap_split(struct api *api, long mtime, size_t end)
{
	_cleanup_free_ char *to = split_of(api, "base"), *from = split_of(api, "other");
	struct strbuf tar = api->tar;
	api->tar = (struct strbuf){0};
	make_tar(api, mtime, end);
	assert_int_equal(create_layer(api, "other", NULL, NULL, NULL), 0);
	strbuf_free(&api->tar);
	api->tar = tar;
	assert_int_equal(rename(from, to), 0);
}

static void test_split_of_another(void **state)
{
	struct api *api = with_base(state);
	swap_split(api, 1600000000, 0);
	_cleanup_free_ char *path = content_of(api, "base", "d/end");
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(diff_of_base(api, "are recorded"), CST_ECORRUPT);
}

/* Versions 1.46 to 1.53 of the Go library recorded less than the tar's bytes for a layer pulled in parts. */
static void test_size_of_a_pull_in_parts(void **state)
{
	static const char key[] = "\"diff-size\":";
	struct api *api = with_base(state);
	_cleanup_free_ char *path = str_printf("%s/%s-layers/layers.json", api->root, api->driver);
	_cleanup_free_ char *old = NULL, *toc = NULL, *sizes = NULL;
	size_t len;
	assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 20, &old, &len, NULL), 0);
	const char *at = strstr(old, key);
	assert_non_null(at);
	at += strlen(key);
	const char *rest = at + strspn(at, "0123456789");
	sizes = str_printf("%.*s1%s", (int)(at - old), old, rest);
	toc = str_printf("%.*s1,\"toc-digest\":\"sha256:%064d\"%s", (int)(at - old), old, 0, rest);
	assert_int_equal(fs_write_file(AT_FDCWD, path, sizes, strlen(sizes), 0600, NULL, NULL), 0);
	assert_int_equal(diff_of_base(api, "but 1 are recorded"), CST_ECORRUPT);
	assert_int_equal(fs_write_file(AT_FDCWD, path, toc, strlen(toc), 0600, NULL, NULL), 0);
	assert_int_equal(diff_of_base(api, ""), 0);
}

/* Only the digest knows the difference of two headers. */
static void test_verify(void **state)
{
	struct api *api = with_base(state);
	_cleanup_error_ cst_error *error = NULL;
	static const int kinds[] = {CST_PLAIN, CST_GZIP, CST_ZSTD};
	cst_memory got;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(diff(api, "base", kinds[i], true, &got, NULL), 0);
		free(got.data);
	}
	swap_split(api, 1700000000, 9);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(diff(api, "base", kinds[i], true, &got, &error), CST_ECORRUPT);
		assert_non_null(
		        strstr(cst_error_message(error), "layer base gives a diff with digest"));
		cst_error_free(steal_ptr(&error));
		free(got.data);
	}
}

static void test_verify_without_a_proof(void **state)
{
	const struct api *api = with_base(state);
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_free_ char *split = split_of(api, "base");
	cst_memory got;
	assert_int_equal(create_layer(api, "top", "base", NULL, NULL), 0);
	assert_int_equal(diff(api, "top", CST_PLAIN, true, &got, &error), CST_EINVAL);
	assert_string_equal(cst_error_message(error),
	                    "the layer \"top\" cannot be verified: no sha256 "
	                    "digest of it is recorded");
	assert_int_equal(got.size, 0);
	cst_error_free(steal_ptr(&error));
	assert_int_equal(unlink(split), 0);
	assert_int_equal(diff(api, "base", CST_PLAIN, true, &got, &error), CST_EINVAL);
	assert_non_null(
	        strstr(cst_error_message(error), "\"base\" cannot be verified: its tar-split"));
	assert_int_equal(got.size, 0);
}

#define EACH(X)                         \
	X(test_content)                 \
	X(test_packed)                  \
	X(test_each_byte_of_the_split)  \
	X(test_each_end_of_the_split)   \
	X(test_split_of_another)        \
	X(test_size_of_a_pull_in_parts) \
	X(test_verify)                  \
	X(test_verify_without_a_proof)

DEFINE_RUN_ON_DRIVERS("diff", EACH)

int main(void)
{
	return run_on_drivers();
}
