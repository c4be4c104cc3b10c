/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tarsplit/tarsplit.h"
#include "base/base64.h"
#include "base/checksum.h"
#include "base/digest.h"
#include "tree_fixture.h"
#include <sys/mman.h>
#include <zlib.h>

/* A recipe of these lines in a gzip stream. */
static int recipe_of(const void *text, size_t n, int level)
{
	int fd = memfd_create("recipe", MFD_CLOEXEC);
	gzFile gz = gzdopen(dup(fd), level ? "wb6" : "wb0");
	if (n)
		assert_int_equal(gzwrite(gz, text, (unsigned)n), (int)n);
	gzclose(gz);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int open_content(void *userdata, const char *name, int64_t size, cst_error **error)
{
	struct stat st;
	int fd = fs_open_in_root(*(int *)userdata, name, O_RDONLY | O_NOFOLLOW);
	if (fd < 0)
		return error_sys(error, errno, "open %s", name), -1;
	if (fstat(fd, &st) < 0 || st.st_size < size) {
		close(fd);
		error_set(error, CST_ECORRUPT, "size of %s", name);
		return -1;
	}
	return fd;
}

static unsigned threads; /* of all tests */

static int reassemble(int root, int fd, const cst_sink *sink, cst_error **error)
{
	const struct tarsplit_reading reading = {
	        .open_file = open_content, .userdata = &root, .threads = threads};
	return tarsplit_reassemble(fd, &reading, sink, error);
}

/* The message, or what came out. */
static char *reassemble_fd(int root, int fd)
{
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	_cleanup_error_ cst_error *error = NULL;
	int r = tarsplit_reassemble(
	        fd, &(struct tarsplit_reading){.open_file = open_content, .userdata = &root}, &sink,
	        &error);
	close(fd);
	_cleanup_free_ char *data = memory.data;
	if (r == 0)
		return strndup(data ? data : "", memory.size);
	assert_true(r == CST_ECORRUPT || r == CST_ESYS);
	return strdup(cst_error_go_message(error));
}

static void expect(int root, const char *lines, const char *wanted)
{
	_cleanup_free_ char *got = reassemble_fd(root, recipe_of(lines, strlen(lines), 6));
	assert_string_equal(got, wanted);
}

/* Base64 of "head " and "tail". */
#define HEAD "\"aGVhZCA=\""
#define TAIL "\"dGFpbA==\""
#define CRC  "\"YUQIZBNQAAA=\"" /* of "data\n" */

static void test_reassembles(void **state)
{
	struct fixture *f = *state;
	add_dir(f->fd, "d");
	add_file(f->fd, "d/f", "data\n");
	expect(f->fd,
	       "{\"type\":2,\"payload\":" HEAD ",\"position\":0}\n"
	       "{\"type\":1,\"name\":\"d/f\",\"size\":5,\"payload\":" CRC ",\"position\":1}\n"
	       "{\"type\":2,\"payload\":" TAIL ",\"position\":2}\n",
	       "head data\ntail");
	expect(f->fd, "", "");
}

static void test_tolerant(void **state)
{
	struct fixture *f = *state;
	add_file(f->fd, "\xff", "data\n");
	expect(f->fd,
	       "  {\"Payload\":\"aGVhZCA\\u003d\",\"TYPE\":2,\"extra\":{\"a\":[\"}\\\"\",1]}}"
	       "{\"type\":9,\"payload\":\"AAAA\"}{\"type\":1,\"name\":\"d/\",\"payload\":null}"
	       "{\"position\":0,\"NAME_RAW\":\"/w==\",\"size\":5,\"type\":1,\"payload\":" CRC "}\t",
	       "head data\n");
}

static void test_damaged(void **state)
{
	struct fixture *f = *state;
	int root = f->fd;
	add_file(root, "x", "data\n");
	add_file(root, "short", "dat");
	expect(root, "garbage", "invalid character 'g' looking for beginning of value");
	expect(root, "{\"type\":2,\"payload\":\"!AAA\"}", "illegal base64 data at input byte 0");
	expect(root, "{\"type\":2,\"payload\":\"AAA\"}", "illegal base64 data at input byte 0");
	expect(root, "{\"type\":2,\"payload\":\"AAAAA===\"}",
	       "illegal base64 data at input byte 5");
	expect(root, "{\"type\":2,\"payload\":\"A", "unexpected EOF");
	expect(root, "{\"type\":2,\"payload\":\"A\\", "unexpected EOF");
	expect(root, "{\"type\":1,\"name\":\"x\"}{\"type\":1,\"name\":\"./x/\"}",
	       "duplicates of file paths not supported");
	expect(root, "{\"type\":1,\"name\":\"x\",\"size\":5,\"payload\":\"YUQIZBNQAAE=\"}",
	       "file integrity checksum failed for \"x\"");
	expect(root, "{\"type\":1,\"name\":\"x\",\"size\":4,\"payload\":" CRC "}",
	       "file integrity checksum failed for \"x\"");
	expect(root, "{\"type\":1,\"name\":\"x\",\"size\":5,\"payload\":\"AAAA\"}",
	       "file integrity checksum failed for \"x\"");
	expect(root, "{\"type\":1,\"name\":\"gone\",\"size\":5,\"payload\":" CRC "}",
	       "open gone: no such file or directory");
	expect(root, "{\"type\":1,\"name_raw\":\"AHg=\"}", "tar-split: NUL in a name");
}

static void test_cut_and_empty(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *empty = reassemble_fd(f->fd, memfd_create("empty", MFD_CLOEXEC));
	assert_string_equal(empty, "EOF");
	char lines[4096];
	size_t n = 0;
	for (unsigned i = 0; n < sizeof(lines) - 100; i++)
		n += (size_t)snprintf(lines + n, 100, "{\"type\":1,\"name\":\"n%u\"}\n", i * 7919);
	int whole = recipe_of(lines, n, 6);
	struct stat st;
	fstat(whole, &st);
	_cleanup_free_ char *bytes = malloc((size_t)st.st_size);
	assert_int_equal(pread(whole, bytes, (size_t)st.st_size, 0), st.st_size);
	close(whole);
	for (off_t cut = 1; cut < st.st_size; cut += 13) {
		int fd = memfd_create("cut", MFD_CLOEXEC);
		assert_int_equal(pwrite(fd, bytes, (size_t)cut, 0), cut);
		_cleanup_free_ char *got = reassemble_fd(f->fd, fd);
		assert_string_equal(got, "unexpected EOF");
	}
}

/* The piece that holds the last byte is kept until the sum is right. */
static void test_checked_before_the_last_byte(void **state)
{
	struct fixture *f = *state;
	size_t size = 1 << 20;
	_cleanup_free_ char *content = malloc(size);
	memset(content, 'c', size);
	int fd = openat(f->fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, content, size), (ssize_t)size);
	close(fd);
	const char *line = "{\"type\":1,\"name\":\"f\",\"size\":1048576,\"payload\":" CRC "}";
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	fd = recipe_of(line, strlen(line), 6);
	assert_int_equal(reassemble(f->fd, fd, &sink, NULL), CST_ECORRUPT);
	assert_true(memory.size < size);
	close(fd);
	free(memory.data);
}

static void test_header_only_with_size(void **state)
{
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf line = {0}, block = {0};
	struct tar_header h = {.name = "l", .type = '1', .linkname = "x", .size = 5};
	assert_int_equal(tar_format_header(&h, &block, NULL), 0);
	strbuf_adds(&line, "{\"type\":2,\"payload\":\"");
	static const char digits[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i + 2 < block.len + 1; i += 3) {
		unsigned char b[3] = {(unsigned char)block.data[i],
		                      (unsigned char)block.data[i + 1],
		                      i + 2 < block.len ? (unsigned char)block.data[i + 2] : 0};
		strbuf_addc(&line, digits[b[0] >> 2]);
		strbuf_addc(&line, digits[(b[0] & 3) << 4 | b[1] >> 4]);
		strbuf_addc(&line, digits[(b[1] & 15) << 2 | b[2] >> 6]);
		strbuf_addc(&line, i + 2 < block.len ? digits[b[2] & 63] : '=');
	}
	/* As the Go tools record it: the size of the header, the sum of nothing. */
	strbuf_adds(&line,
	            "\"}{\"type\":1,\"name\":\"l\",\"size\":5,\"payload\":\"AAAAAAAAAAA=\"}");
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	int fd = recipe_of(line.data, line.len, 6);
	assert_int_equal(reassemble(f->fd, fd, &sink, NULL), 0);
	assert_int_equal(memory.size, 512);
	assert_memory_equal(memory.data, block.data, 512);
	close(fd);
	free(memory.data);
}

/* What our own writer makes, names of all kinds and a segment larger than any buffer. */
static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"a<b>&\"\\", "tab\there", "\xff\xfe", "\xe2\x80\xa8",
	                                    "plain"};
	size_t large = (size_t)5 << 20;
	_cleanup_free_ char *segment = malloc(large);
	for (size_t i = 0; i < large; i++)
		segment[i] = (char)(i * 2654435761u >> 13);
	int fd = memfd_create("recipe", MFD_CLOEXEC);
	struct tarsplit_writer *w;
	assert_int_equal(tarsplit_writer_new(fd, &w, NULL), 0);
	assert_int_equal(tarsplit_add_segment(w, segment, large, NULL), 0);
	_cleanup_strbuf_ struct strbuf wanted = {0};
	strbuf_add(&wanted, segment, large);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		add_file(f->fd, names[i], names[i]);
		size_t n = strlen(names[i]);
		strbuf_add(&wanted, names[i], n);
		assert_int_equal(tarsplit_add_file(w, names[i], n, (int64_t)n,
		                                   crc64_iso(0, names[i], n), NULL),
		                 0);
	}
	assert_int_equal(tarsplit_add_segment(w, "end", 3, NULL), 0);
	strbuf_adds(&wanted, "end");
	assert_int_equal(tarsplit_finish(w, NULL), 0);
	tarsplit_writer_free(w);
	lseek(fd, 0, SEEK_SET);
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	assert_int_equal(reassemble(f->fd, fd, &sink, NULL), 0);
	assert_int_equal(memory.size, wanted.len);
	assert_memory_equal(memory.data, wanted.data, wanted.len);
	close(fd);
	free(memory.data);
}

static char *gunzip(int fd, size_t *len)
{
	struct strbuf text = {0};
	char piece[4096];
	lseek(fd, 0, SEEK_SET);
	gzFile gz = gzdopen(dup(fd), "rb");
	for (int n; (n = gzread(gz, piece, sizeof(piece))) > 0;)
		strbuf_add(&text, piece, (size_t)n);
	gzclose(gz);
	lseek(fd, 0, SEEK_SET);
	*len = text.len;
	return text.data;
}

/* One segment up to 8 MiB, as the Go tools write it; what is longer is cut. The type flag before a body-less entry is found
 * wherever the cut is. */
static void test_long_segments(void **state)
{
	struct fixture *f = *state;
	static const struct {
		size_t len;
		unsigned lines;
	} rows[] = {{8 << 20, 1}, {(8 << 20) + 512, 2}, {(16 << 20) + 1, 2}, {20 << 20, 3}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *segment = calloc(1, rows[i].len);
		memset(segment, '0' + (int)i, rows[i].len);
		segment[rows[i].len / 512 * 512 - 512 + 156] = '1'; /* a hard link */
		struct tarsplit_writer *w;
		int fd = memfd_create("recipe", MFD_CLOEXEC);
		assert_int_equal(tarsplit_writer_new(fd, &w, NULL), 0);
		for (size_t at = 0, n; at < rows[i].len; at += n) {
			n = MIN((size_t)999999, rows[i].len - at);
			assert_int_equal(tarsplit_append_segment(w, segment + at, n, NULL), 0);
		}
		assert_int_equal(tarsplit_add_file(w, "gone", 4, 5, 0, NULL), 0);
		assert_int_equal(tarsplit_finish(w, NULL), 0);
		tarsplit_writer_free(w);
		size_t n;
		unsigned lines = 0;
		_cleanup_free_ char *text = gunzip(fd, &n);
		for (size_t at = 0; at < n; at++)
			lines += text[at] == '\n';
		assert_int_equal(lines, rows[i].lines + 1);
		cst_memory memory = {0};
		cst_sink sink = cst_sink_memory(&memory);
		assert_int_equal(reassemble(f->fd, fd, &sink, NULL), 0);
		assert_int_equal(memory.size, rows[i].len);
		assert_memory_equal(memory.data, segment, rows[i].len);
		close(fd);
		free(memory.data);
	}
}

/* Other writers do not cut: a segment of any length is read in bounded memory, anything else is refused beyond 8 MiB. */
static void test_bounded(void **state)
{
	struct fixture *f = *state;
	const size_t n = (size_t)40 << 20;
	_cleanup_strbuf_ struct strbuf line = {0};
	_cleanup_free_ char *zeros = malloc(n);
	memset(zeros, 'A', n);
	strbuf_adds(&line, "{\"type\":2,\"payload\":\"");
	strbuf_add(&line, zeros, n);
	_cleanup_free_ char *cut = reassemble_fd(f->fd, recipe_of(line.data, line.len, 0));
	assert_string_equal(cut, "unexpected EOF");
	strbuf_adds(&line, "\",\"position\":0}\n{\"type\":2,\"payload\":" HEAD "}");
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	int fd = recipe_of(line.data, line.len, 0);
	assert_int_equal(reassemble(f->fd, fd, &sink, NULL), 0);
	assert_int_equal(memory.size, n / 4 * 3 + 5);
	assert_memory_equal((char *)memory.data + n / 4 * 3, "head ", 5);
	close(fd);
	free(memory.data);
	static const char *const starts[] = {"{\"type\":1,\"name\":\"", "{\"payload\":\"",
	                                     "{\"type\":2,\"payload\":\"\",\"more\":\""};
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		memset(line.data, 'A', line.len);
		memcpy(line.data, starts[i], strlen(starts[i]));
		_cleanup_free_ char *got = reassemble_fd(f->fd, recipe_of(line.data, line.len, 0));
		assert_string_equal(
		        got, "tar-split: an entry is longer than the 8388608 bytes that are read");
	}
}

/* ---- files read ahead ---- */

#define FILES 150

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 33) % limit);
}

/* Many small files, some at the limits of what is read in one piece, a few of many pieces. */
static uint32_t random_size(void)
{
	static const uint32_t limits[] = {64 << 10, 256 << 10, 512 << 10};
	switch (below(20)) {
	case 0: return below(3 << 20);
	case 1:
	case 2: return limits[below(3)] + below(3) - 1;
	case 3:
	case 4: return below(300000);
	default: return below(5000);
	}
}

/* Fills the directory, and returns the recipe of what is in `tar`. */
static int random_layer(int root, uint64_t seed, struct strbuf *tar)
{
	int fd = memfd_create("recipe", MFD_CLOEXEC);
	struct tarsplit_writer *w;
	random_state = seed;
	assert_int_equal(tarsplit_writer_new(fd, &w, NULL), 0);
	for (unsigned i = 0; i < FILES; i++) {
		char name[20], segment[1500];
		size_t n = random_size(), before = below(sizeof(segment));
		_cleanup_free_ char *content = malloc(n + 1);
		for (size_t at = 0; at < n; at++)
			content[at] = (char)(at * (2 * i + 2654435761u) >> 9);
		memset(segment, (int)i, before);
		strbuf_add(tar, segment, before);
		strbuf_add(tar, content, n);
		snprintf(name, sizeof(name), "f%u", i);
		int file = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_equal(write(file, content, n), (ssize_t)n);
		close(file);
		assert_int_equal(tarsplit_add_segment(w, segment, before, NULL), 0);
		assert_int_equal(tarsplit_add_file(w, name, strlen(name), (int64_t)n,
		                                   crc64_iso(0, content, n), NULL),
		                 0);
	}
	assert_int_equal(tarsplit_finish(w, NULL), 0);
	tarsplit_writer_free(w);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void test_random_layers(void **state)
{
	struct fixture *f = *state;
	for (uint64_t seed = 1; seed < 3; seed++) {
		_cleanup_strbuf_ struct strbuf tar = {0};
		_cleanup_close_ int fd = random_layer(f->fd, seed, &tar);
		_cleanup_digester_ struct digester *digester = NULL;
		char got[DIGEST_TEXT_MAX], wanted[DIGEST_TEXT_MAX];
		cst_memory memory = {0};
		cst_sink sink = cst_sink_memory(&memory);
		assert_int_equal(digester_new(DIGEST_SHA256, &digester, NULL), 0);
		const struct tarsplit_reading reading = {.open_file = open_content,
		                                         .userdata = &f->fd,
		                                         .threads = threads,
		                                         .digester = digester};
		assert_int_equal(tarsplit_reassemble(fd, &reading, &sink, NULL), 0);
		assert_int_equal(memory.size, tar.len);
		assert_memory_equal(memory.data, tar.data, tar.len);
		free(memory.data);
		assert_int_equal(digester_finish(digester, got, NULL), 0);
		assert_int_equal(digest_buffer(DIGEST_SHA256, tar.data, tar.len, wanted, NULL), 0);
		assert_string_equal(got, wanted);
	}
}

/* Of two files that are wrong, the first in the layer is told of, and what came out before is right. */
static void test_first_fault(void **state)
{
	struct fixture *f = *state;
	add_file(f->fd, "x", "data\n");
#define WRONG "{\"type\":1,\"name\":\"x\",\"size\":5,\"payload\":\"YUQIZBNQAAE=\"}"
	expect(f->fd, WRONG "{\"type\":1,\"name\":\"gone\",\"size\":99999,\"payload\":" CRC "}",
	       "file integrity checksum failed for \"x\"");
	expect(f->fd, WRONG "garbage", "file integrity checksum failed for \"x\"");
	for (uint64_t seed = 1; seed < 7; seed++) {
		_cleanup_strbuf_ struct strbuf tar = {0};
		_cleanup_close_ int fd = random_layer(f->fd, seed, &tar);
		char name[20], wanted[80];
		unsigned first = below(FILES - 1), second = first + 1 + below(FILES - 1 - first);
		snprintf(name, sizeof(name), "f%u", second);
		assert_int_equal(unlinkat(f->fd, name, 0), 0);
		snprintf(name, sizeof(name), "f%u", first);
		if (seed % 2) {
			snprintf(wanted, sizeof(wanted), "open %s: no such file or directory",
			         name);
			assert_int_equal(unlinkat(f->fd, name, 0), 0);
		} else {
			struct stat st;
			snprintf(wanted, sizeof(wanted),
			         "file integrity checksum failed for \"%s\"", name);
			assert_int_equal(fstatat(f->fd, name, &st, 0), 0);
			int file = openat(f->fd, name, O_RDWR | O_CLOEXEC);
			if (st.st_size == 0) {
				close(file);
				continue;
			}
			char last;
			assert_int_equal(pread(file, &last, 1, st.st_size - 1), 1);
			last ^= 1;
			assert_int_equal(pwrite(file, &last, 1, st.st_size - 1), 1);
			close(file);
		}
		_cleanup_error_ cst_error *error = NULL;
		cst_memory memory = {0};
		cst_sink sink = cst_sink_memory(&memory);
		assert_true(reassemble(f->fd, fd, &sink, &error) < 0);
		assert_string_equal(cst_error_go_message(error), wanted);
		assert_true(memory.size < tar.len);
		if (memory.size > 0)
			assert_memory_equal(memory.data, tar.data, memory.size);
		free(memory.data);
	}
}

struct faulty {
	unsigned room, calls;
};

static int faulty_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	struct faulty *faulty = userdata;
	return faulty->calls++ == faulty->room ? error_set(error, CST_EIO_CALLBACK, "no more") : 0;
}

static void test_failing_sink(void **state)
{
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_close_ int fd = random_layer(f->fd, 1, &tar);
	for (unsigned room = 0; room < 9; room++) {
		struct faulty faulty = {.room = room};
		const cst_sink sink = {faulty_write, &faulty};
		_cleanup_error_ cst_error *error = NULL;
		lseek(fd, 0, SEEK_SET);
		assert_int_equal(reassemble(f->fd, fd, &sink, &error), CST_EIO_CALLBACK);
		assert_string_equal(cst_error_message(error), "no more");
		assert_int_equal(faulty.calls, room + 1);
	}
}

static void test_base64(void **state)
{
	unsigned char out[16];
	size_t n, bad;
	assert_true(base64_decode("AAEC/+8=", 8, out, &n, &bad));
	assert_int_equal(n, 5);
	assert_memory_equal(out, "\0\1\2\xff\xef", 5);
	assert_true(base64_decode("", 0, out, &n, &bad));
	assert_int_equal(n, 0);
	assert_false(base64_decode("AA==AAAA", 8, out, &n, &bad));
	assert_int_equal(bad, 2);
	assert_false(base64_decode("A===", 4, out, &n, &bad));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_reassembles),
	        TEST(test_tolerant),
	        TEST(test_damaged),
	        TEST(test_cut_and_empty),
	        TEST(test_checked_before_the_last_byte),
	        TEST(test_header_only_with_size),
	        TEST(test_round_trip),
	        TEST(test_long_segments),
	        TEST(test_bounded),
	        cmocka_unit_test(test_base64),
	};
	const struct CMUnitTest ahead[] = {
	        TEST(test_random_layers),
	        TEST(test_first_fault),
	        TEST(test_failing_sink),
	};
	static const unsigned numbers[] = {0, 1, 2, 4};
	int failed = 0;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		threads = numbers[i];
		failed += cmocka_run_group_tests(ahead, NULL, NULL);
		if (threads % 2 == 0 && threads < 4)
			failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
