/* SPDX-License-Identifier: Apache-2.0 */
/* Members decoded by several threads give the bytes and the errors of one thread. */
#include "base/pool.h"
#include "base/str.h"
#include "codec/compress.h"
#include "test.h"
#include <zlib.h>
#include <zstd.h>

#define PLAIN_SIZE ((size_t)3 << 20)

static unsigned char plain[PLAIN_SIZE];
static uint32_t random_state = 1;

static uint32_t next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

static int make_plain(void **state)
{
	for (size_t i = 0; i < PLAIN_SIZE; i++)
		plain[i] = i / 50000 % 2 ? (unsigned char)next_random()
		                         : (unsigned char)('a' + i % 7 + i / 1000 % 5);
	return 0;
}

static void add_gzip(const unsigned char *data, size_t n, int level, struct strbuf *out)
{
	z_stream z = {0};
	size_t size = compressBound(n) + 64;
	_cleanup_free_ unsigned char *buffer = malloc(size);

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)data;
	z.avail_in = (uInt)n;
	z.next_out = buffer;
	z.avail_out = (uInt)size;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	strbuf_add(out, buffer, z.total_out);
	deflateEnd(&z);
}

static void add_zstd(const unsigned char *data, size_t n, int level, struct strbuf *out)
{
	size_t size = ZSTD_compressBound(n) + 64;
	_cleanup_free_ void *buffer = malloc(size);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	ZSTD_outBuffer to = {buffer, size, 0};
	ZSTD_inBuffer from = {data, n, 0};

	ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, (int)(next_random() % 2));
	if (next_random() % 2) /* else the header does not say how long the content is */
		ZSTD_CCtx_setPledgedSrcSize(context, n);
	assert_int_equal(ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue), 0);
	assert_int_equal(ZSTD_compressStream2(context, &to, &from, ZSTD_e_end), 0);
	strbuf_add(out, buffer, to.pos);
	ZSTD_freeCCtx(context);
}

/* A frame that keeps the data as it is. */
static void add_raw_zstd(const unsigned char *data, size_t n, int level, struct strbuf *out)
{
	const size_t block = 128 * 1024;

	strbuf_add(out, "\x28\xb5\x2f\xfd\0\x40", 6); /* a window of 256 KiB */
	for (size_t at = 0; at < n; at += block) {
		size_t len = MIN(block, n - at);
		uint32_t head = (uint32_t)len << 3 | (at + len == n);
		const unsigned char bytes[] = {(unsigned char)head, (unsigned char)(head >> 8),
		                               (unsigned char)(head >> 16)};
		strbuf_add(out, bytes, sizeof(bytes));
		strbuf_add(out, data + at, len);
	}
}

static void add_skippable(struct strbuf *out)
{
	uint32_t n = next_random() % 300;
	const unsigned char head[] = {
	        0x50, 0x2a, 0x4d, 0x18, (unsigned char)n, (unsigned char)(n >> 8), 0, 0};

	strbuf_add(out, head, sizeof(head));
	strbuf_add(out, plain, n);
}

/* All of `plain`, in members of up to `largest` bytes. */
static void make_members(enum cst_compression kind, size_t largest, struct strbuf *out)
{
	for (size_t at = 0, n; at < PLAIN_SIZE; at += n) {
		n = MIN(next_random() % 8 ? next_random() % largest : next_random() % 100,
		        PLAIN_SIZE - at);
		int level = next_random() % 4
		                    ? 1
		                    : 0; /* 0 of gzip: stored, so that data stays what it is */
		if (kind == CST_GZIP)
			add_gzip(plain + at, n, level, out);
		else
			add_zstd(plain + at, n, 1, out);
		if (kind == CST_ZSTD && next_random() % 16 == 0)
			add_skippable(out);
	}
}

static int decode(enum cst_compression kind, struct pool *pool, const struct strbuf *data,
                  size_t step, struct strbuf *out, cst_error **error)
{
	_cleanup_(decompressor_freep) struct decompressor *d = NULL;
	static unsigned char buffer[65536];
	bool done = false;
	size_t at = 0;

	assert_int_equal(decompressor_new(kind, &d, error), 0);
	if (pool)
		assert_int_equal(decompressor_use_pool(d, pool, error), 0);
	int r = 0;
	while (r == 0 && !done) {
		size_t used = 0, made = 1, piece = MIN(1 + next_random() % step, data->len - at);
		while (r == 0 && !done && (used < piece || made > 0 || piece == 0)) {
			size_t room = 1 + next_random() % sizeof(buffer);
			r = decompressor_run(d, data->data + at, piece, &used, piece == 0, buffer,
			                     room, &made, &done, error);
			strbuf_add(out, buffer, r == 0 ? made : 0);
		}
		at += piece;
	}
	return r;
}

/* With one thread and with several. */
static void compare(enum cst_compression kind, struct pool *pool, const struct strbuf *data,
                    bool whole)
{
	_cleanup_strbuf_ struct strbuf alone = {0}, together = {0};
	_cleanup_error_ cst_error *error = NULL, *other = NULL;
	size_t step = next_random() % 2 ? 3000 : 200000;

	int r = decode(kind, NULL, data, step, &alone, &error);
	assert_int_equal(decode(kind, pool, data, step, &together, &other), r);
	if (whole)
		assert_int_equal(r, 0);
	if (r == 0) {
		assert_int_equal(alone.len, together.len);
		assert_memory_equal(alone.data, together.data, alone.len);
	} else {
		assert_string_equal(cst_error_message(error), cst_error_message(other));
		/* How much comes out before an error depends on the pieces of the input. */
		size_t n = MIN(alone.len, together.len);
		assert_memory_equal(strbuf_str(&alone), strbuf_str(&together), n);
	}
	if (whole) {
		assert_int_equal(together.len, PLAIN_SIZE);
		assert_memory_equal(together.data, plain, PLAIN_SIZE);
	}
}

static const enum cst_compression kinds[] = {CST_GZIP, CST_ZSTD};
static const size_t sizes[] = {500, 20000, 300000, 1500000};

static void each(void (*test)(enum cst_compression kind, struct pool *pool, struct strbuf *data))
{
	for (unsigned workers = 1; workers <= 3; workers += 2) {
		_cleanup_pool_ struct pool *pool = NULL;
		assert_int_equal(pool_new(workers, &pool, NULL), 0);
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
				_cleanup_strbuf_ struct strbuf data = {0};
				make_members(kinds[i], sizes[s], &data);
				test(kinds[i], pool, &data);
			}
	}
}

static void compare_whole(enum cst_compression kind, struct pool *pool, struct strbuf *data)
{
	compare(kind, pool, data, true);
}

static void test_whole(void **state)
{
	each(compare_whole);
}

static void compare_cut(enum cst_compression kind, struct pool *pool, struct strbuf *data)
{
	for (int i = 0; i < 6; i++) {
		struct strbuf cut = *data;
		cut.len = next_random() % data->len;
		compare(kind, pool, &cut, false);
	}
}

static void test_truncated(void **state)
{
	each(compare_cut);
}

static void compare_damaged(enum cst_compression kind, struct pool *pool, struct strbuf *data)
{
	for (int i = 0; i < 6; i++) {
		char *byte = &data->data[next_random() % data->len], was = *byte;
		*byte ^= (char)(1 << next_random() % 8);
		compare(kind, pool, data, false);
		*byte = was;
	}
	strbuf_add(data, "what is no member", 17);
	compare(kind, pool, data, false);
}

static void test_damaged(void **state)
{
	each(compare_damaged);
}

/* A member whose content is full of members, which do not compress and so stand in it as they are. Alone they can be decoded. */
static void test_members_in_members(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_pool_ struct pool *pool = NULL;
		_cleanup_strbuf_ struct strbuf inner = {0}, data = {0}, out = {0};
		void (*add)(const unsigned char *data, size_t n, int level, struct strbuf *out) =
		        kinds[i] == CST_GZIP ? add_gzip : add_zstd;
		assert_int_equal(pool_new(2, &pool, NULL), 0);
		while (inner.len < PLAIN_SIZE / 2) /* of noise */
			add(plain + 50000 + next_random() % 49000, 200 + next_random() % 800, 1,
			    &inner);
		add(plain, 10, 1, &data);
		(kinds[i] == CST_GZIP ? add_gzip : add_raw_zstd)((unsigned char *)inner.data,
		                                                 inner.len, 0, &data);
		add(plain, 10, 1, &data);
		assert_int_equal(decode(kinds[i], pool, &data, 100000, &out, NULL), 0);
		assert_int_equal(out.len, inner.len + 20);
		assert_memory_equal(out.data + 10, inner.data, inner.len);
		compare(kinds[i], pool, &data, false);
	}
}

/* A bomb: each member holds a thousand times its size. */
static void test_bomb(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_pool_ struct pool *pool = NULL;
		_cleanup_strbuf_ struct strbuf data = {0}, out = {0};
		_cleanup_free_ unsigned char *zeros = calloc(1, PLAIN_SIZE);
		assert_int_equal(pool_new(2, &pool, NULL), 0);
		for (int n = 0; n < 12; n++) {
			if (kinds[i] == CST_GZIP)
				add_gzip(zeros, PLAIN_SIZE, 9, &data);
			else
				add_zstd(zeros, PLAIN_SIZE, 3, &data);
		}
		assert_int_equal(decode(kinds[i], pool, &data, 100000, &out, NULL), 0);
		assert_int_equal(out.len, 12 * PLAIN_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_whole),   cmocka_unit_test(test_truncated),
	        cmocka_unit_test(test_damaged), cmocka_unit_test(test_members_in_members),
	        cmocka_unit_test(test_bomb),
	};
	return cmocka_run_group_tests(tests, make_plain, NULL);
}
