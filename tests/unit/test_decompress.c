/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "codec/compress.h"
#include "config.h"
#include "test.h"
#include <zlib.h>
#include <zstd.h>
#if HAVE_LZMA
#include <lzma.h>
#endif
#if HAVE_BZIP2
#include <bzlib.h>
#endif

#define PLAIN_SIZE (300 * 1000)

static uint32_t random_state;

static uint32_t next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

/* Half noise, half text, so that every kind of block occurs. */
static void make_plain(unsigned char *plain)
{
	random_state = 1;
	for (size_t i = 0; i < PLAIN_SIZE; i++)
		plain[i] = i / 10000 % 2 ? (unsigned char)next_random()
		                         : (unsigned char)('a' + i % 7 + i / 1000 % 5);
}

static void compress_gzip(const unsigned char *plain, size_t n, struct strbuf *out)
{
	z_stream z = {0};
	size_t size = compressBound(n) + 64;
	_cleanup_free_ unsigned char *buffer = malloc(size);

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)plain;
	z.avail_in = (uInt)n;
	z.next_out = buffer;
	z.avail_out = (uInt)size;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	strbuf_add(out, buffer, z.total_out);
	deflateEnd(&z);
}

static void compress_zstd(const unsigned char *plain, size_t n, struct strbuf *out)
{
	size_t size = ZSTD_compressBound(n);
	_cleanup_free_ void *buffer = malloc(size);

	strbuf_add(out, buffer, ZSTD_compress(buffer, size, plain, n, 3));
}

#if HAVE_LZMA
static void compress_xz(const unsigned char *plain, size_t n, struct strbuf *out)
{
	size_t size = lzma_stream_buffer_bound(n), len = 0;
	_cleanup_free_ uint8_t *buffer = malloc(size);

	assert_int_equal(
	        lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, plain, n, buffer, &len, size),
	        LZMA_OK);
	strbuf_add(out, buffer, len);
}
#endif

#if HAVE_BZIP2
static void compress_bzip2(const unsigned char *plain, size_t n, struct strbuf *out)
{
	unsigned size = (unsigned)(n + n / 50 + 1000);
	_cleanup_free_ char *buffer = malloc(size);

	assert_int_equal(
	        BZ2_bzBuffToBuffCompress(buffer, &size, (char *)plain, (unsigned)n, 1, 0, 0),
	        BZ_OK);
	strbuf_add(out, buffer, size);
}
#endif

static const struct format {
	enum cst_compression kind;
	void (*compress)(const unsigned char *plain, size_t n, struct strbuf *out);
} formats[] = {
        {CST_GZIP, compress_gzip},
        {CST_ZSTD, compress_zstd},
#if HAVE_LZMA
        {CST_XZ, compress_xz},
#endif
#if HAVE_BZIP2
        {CST_BZIP2, compress_bzip2},
#endif
};

/* Pieces of in_step and out_step bytes; 0: random. */
static int decode(enum cst_compression kind, const void *data, size_t n, size_t in_step,
                  size_t out_step, struct strbuf *out, cst_error **error)
{
	_cleanup_(decompressor_freep) struct decompressor *d = NULL;
	unsigned char buffer[8192];
	size_t at = 0;
	bool done = false;

	int r = decompressor_new(kind, &d, error);
	while (r == 0 && !done) {
		size_t used = 0, made = 1, piece = in_step ? in_step : 1 + next_random() % 5000;
		piece = MIN(piece, n - at);
		while (r == 0 && !done && (used < piece || made > 0 || piece == 0)) {
			size_t room = out_step ? out_step : 1 + next_random() % sizeof(buffer);
			r = decompressor_run(d, (const char *)data + at, piece, &used, piece == 0,
			                     buffer, room, &made, &done, error);
			if (r == 0)
				strbuf_add(out, buffer, made);
		}
		at += piece;
	}
	return r;
}

static void test_detect(void **state)
{
	static const unsigned char skippable[] = {0x53, 0x2a, 0x4d, 0x18};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		_cleanup_strbuf_ struct strbuf data = {0};
		formats[i].compress((const unsigned char *)"x", 1, &data);
		assert_int_equal(compression_detect(data.data, 10), formats[i].kind);
		assert_int_equal(compression_detect(data.data, 2), CST_PLAIN);
	}
	assert_int_equal(compression_detect("", 0), CST_PLAIN);
	assert_int_equal(compression_detect("\x1f\x8b\x00........", 10), CST_PLAIN);
	assert_int_equal(compression_detect(skippable, sizeof(skippable)), CST_ZSTD);
}

static void test_round_trip(void **state)
{
	static unsigned char plain[PLAIN_SIZE];
	static const size_t steps[][2] = {{1, 8192}, {100000, 1}, {7, 13}, {65536, 8192},
	                                  {0, 0},    {0, 0},      {0, 0}};

	make_plain(plain);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		_cleanup_strbuf_ struct strbuf data = {0};
		/* Three streams behind each other, the middle one empty. */
		formats[i].compress(plain, 1000, &data);
		formats[i].compress(plain, 0, &data);
		formats[i].compress(plain + 1000, PLAIN_SIZE - 1000, &data);
		for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
			_cleanup_strbuf_ struct strbuf out = {0};
			assert_int_equal(decode(formats[i].kind, data.data, data.len, steps[s][0],
			                        steps[s][1], &out, NULL),
			                 0);
			assert_int_equal(out.len, PLAIN_SIZE);
			assert_memory_equal(out.data, plain, PLAIN_SIZE);
		}
	}
}

/* Cut anywhere, the stream is not taken for complete. */
static void test_truncated(void **state)
{
	static unsigned char plain[PLAIN_SIZE];

	make_plain(plain);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		_cleanup_strbuf_ struct strbuf data = {0};
		formats[i].compress(plain, 20000, &data);
		for (size_t cut = 1; cut < data.len;
		     cut += cut < 40 || cut + 40 > data.len ? 1 : 97) {
			_cleanup_strbuf_ struct strbuf out = {0};
			_cleanup_error_ cst_error *error = NULL;
			assert_int_equal(
			        decode(formats[i].kind, data.data, cut, 0, 0, &out, &error),
			        CST_EARCHIVE);
			assert_string_equal(cst_error_go_message(error), "unexpected EOF");
		}
	}
}

static void expect_failure(enum cst_compression kind, const void *data, size_t n, const char *text)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	_cleanup_error_ cst_error *error = NULL;

	assert_int_equal(decode(kind, data, n, 0, 0, &out, &error), CST_EARCHIVE);
	assert_string_equal(cst_error_go_message(error), text);
}

static void test_gzip_damage(void **state)
{
	_cleanup_strbuf_ struct strbuf data = {0};

	compress_gzip((const unsigned char *)"hello hello hello", 17, &data);
	size_t n = data.len;
	data.data[n - 1] ^= 1; /* length */
	expect_failure(CST_GZIP, data.data, n, "gzip: invalid checksum");
	data.data[n - 1] ^= 1;
	data.data[n - 8] ^= 1; /* CRC */
	expect_failure(CST_GZIP, data.data, n, "gzip: invalid checksum");
	data.data[n - 8] ^= 1;
	data.data[10] |= 6; /* reserved block type */
	expect_failure(CST_GZIP, data.data, n, "flate: corrupt input");
	data.data[10] = (char)0xcb;
	strbuf_add(&data, "garbage!", 8);
	expect_failure(CST_GZIP, data.data, n + 8, "unexpected EOF");
	strbuf_add(&data, "0123", 4);
	expect_failure(CST_GZIP, data.data, n + 12, "gzip: invalid header");
}

/* All optional parts of a member's header; the CRC of the header is verified. */
static void test_gzip_header(void **state)
{
	_cleanup_strbuf_ struct strbuf plain = {0}, data = {0}, out = {0};
	static const unsigned char fixed[] = {
	        0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 255, 3, 0, 'a', 0, 'c'};

	compress_gzip((const unsigned char *)"hello", 5, &plain);
	strbuf_add(&data, fixed, sizeof(fixed));
	strbuf_add(&data, "name\0comment", 13);
	unsigned long crc = crc32(0, (unsigned char *)data.data, (uInt)data.len);
	strbuf_addc(&data, (char)crc);
	strbuf_addc(&data, (char)(crc >> 8));
	size_t header = data.len;
	strbuf_add(&data, plain.data + 10, plain.len - 10);
	assert_int_equal(decode(CST_GZIP, data.data, data.len, 0, 0, &out, NULL), 0);
	assert_int_equal(out.len, 5);
	data.data[header - 1] ^= 1;
	expect_failure(CST_GZIP, data.data, data.len, "gzip: invalid header");
}

static void test_zstd_damage(void **state)
{
	/* window descriptors: 512 MiB is the last that is accepted, and costs nothing for one byte
	 */
	static const unsigned char window_512m[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0x98, 9, 0, 0, 'x'};
	static const unsigned char window_576m[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0x99, 9, 0, 0, 'x'};
	static const unsigned char dictionary[] = {0x28, 0xb5, 0x2f, 0xfd, 1,  0x50,
	                                           7,    9,    0,    0,    'x'};
	static const unsigned char skippable[] = {0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i'};
	_cleanup_strbuf_ struct strbuf data = {0}, out = {0};

	assert_int_equal(decode(CST_ZSTD, window_512m, sizeof(window_512m), 0, 0, &out, NULL), 0);
	assert_int_equal(out.len, 1);
	expect_failure(CST_ZSTD, window_576m, sizeof(window_576m), "window size exceeded");
	expect_failure(CST_ZSTD, dictionary, sizeof(dictionary), "unknown dictionary");
	strbuf_add(&data, skippable, sizeof(skippable));
	compress_zstd((const unsigned char *)"hello", 5, &data);
	strbuf_add(&data, skippable, sizeof(skippable));
	assert_int_equal(decode(CST_ZSTD, data.data, data.len, 0, 0, &out, NULL), 0);
	assert_int_equal(out.len, 6);
	strbuf_add(&data, "garbage!", 8);
	expect_failure(CST_ZSTD, data.data, data.len, "invalid input: magic number mismatch");
}

#if HAVE_BZIP2
static void test_bzip2_damage(void **state)
{
	_cleanup_strbuf_ struct strbuf data = {0};

	compress_bzip2((const unsigned char *)"hello", 5, &data);
	strbuf_add(&data, "garbage!", 8);
	expect_failure(CST_BZIP2, data.data, data.len,
	               "bzip2 data invalid: bad magic value in continuation file");
}
#endif

#if HAVE_LZMA
static void test_xz_damage(void **state)
{
	_cleanup_strbuf_ struct strbuf data = {0}, out = {0};

	compress_xz((const unsigned char *)"hello", 5, &data);
	strbuf_add(&data, "\0\0\0\0", 4); /* stream padding */
	assert_int_equal(decode(CST_XZ, data.data, data.len, 0, 0, &out, NULL), 0);
	strbuf_add(&data, "garbage!garbage!", 16);
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(decode(CST_XZ, data.data, data.len, 0, 0, &out, &error), CST_EARCHIVE);
}

static void test_xz_dictionary(void **state)
{
	static const struct {
		uint32_t size;
		const char *message; /* NULL: read */
	} rows[] = {
	        {64 << 20, NULL}, /* -9 */
	        {96 << 20,
	         "xz: its dictionary needs 96 MiB of memory, and 68 MiB is the most it gets"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t data[512];
		size_t len = 0;
		lzma_options_lzma options;
		lzma_lzma_preset(&options, 0);
		options.dict_size = rows[i].size;
		lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
		assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC64, NULL,
		                                           (const uint8_t *)"hello", 5, data, &len,
		                                           sizeof(data)),
		                 LZMA_OK);
		_cleanup_strbuf_ struct strbuf out = {0};
		_cleanup_error_ cst_error *error = NULL;
		int r = decode(CST_XZ, data, len, 0, 0, &out, &error);
		assert_int_equal(r, rows[i].message ? CST_EARCHIVE : 0);
		if (rows[i].message)
			assert_string_equal(cst_error_message(error), rows[i].message);
	}
}
#endif

static void test_plain(void **state)
{
	_cleanup_strbuf_ struct strbuf out = {0};

	assert_int_equal(decode(CST_PLAIN, "some text", 9, 2, 1, &out, NULL), 0);
	assert_string_equal(strbuf_str(&out), "some text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_gzip_damage),
		cmocka_unit_test(test_gzip_header),
		cmocka_unit_test(test_zstd_damage),
#if HAVE_BZIP2
		cmocka_unit_test(test_bzip2_damage),
#endif
#if HAVE_LZMA
		cmocka_unit_test(test_xz_damage),
		cmocka_unit_test(test_xz_dictionary),
#endif
		cmocka_unit_test(test_plain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
