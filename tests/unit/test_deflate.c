/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gzip writer against the program whose bytes it has to write: the digests below are of what
 * klauspost/pgzip 1.2.6 with klauspost/compress 1.19.0 (containers-storage 1.64) made of the same
 * inputs. `test_deflate FOLDER` writes the inputs there, to be given to another version: KIND.SIZE
 * each.
 */
#include "base/digest.h"
#include "base/str.h"
#include "base/types.h"
#include "codec/deflate.h"
#include "codec/gzip_parallel.h"
#include "test.h"
#include <zlib.h>

#define MIB (1 << 20)

/* ---- inputs ---- */

static uint64_t random_state;

static uint32_t next_random(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33);
}

static uint32_t below(uint32_t limit)
{
	return (uint32_t)((uint64_t)(next_random() & 0x7fffffff) * limit >> 31);
}

static void fill_zeros(unsigned char *p, size_t n)
{
	memset(p, 0, n);
}

static void fill_noise(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(next_random() >> 8);
}

static void fill_dna(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)"ACGT"[below(4)];
}

/* No references worth the name, but fewer bits for each byte. */
static void fill_skewed(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(below(16) * below(16));
}

/* One byte is as frequent as the two before it together: codes as long as they may be. */
static void fill_fibonacci(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t value = next_random() % 1000000, limit = 618034;
		unsigned char byte = 0;
		for (; value < limit && byte < 40; byte++)
			limit = (uint32_t)((uint64_t)limit * 618034 / 1000000);
		p[i] = (unsigned char)(byte * 37);
	}
}

/* Words of a language that nobody speaks, the first ones more often. */
static void fill_words(unsigned char *p, size_t n)
{
	unsigned char words[200][12];

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		memset(words[i], 0, sizeof(words[i]));
		for (unsigned j = 0, length = 1 + below(10); j < length; j++)
			words[i][j] = (unsigned char)('a' + below(26));
	}
	for (size_t at = 0; at < n;) {
		const unsigned char *word = words[below(1 + below(ARRAY_SIZE(words)))];
		for (; *word && at < n; word++)
			p[at++] = *word;
		if (at < n)
			p[at++] = below(10) ? ' ' : '\n';
	}
}

/* The same again, at distances around the window's size, with a byte changed here and there. */
static void fill_far(unsigned char *p, size_t n)
{
	size_t distance = 32700;

	for (size_t i = 0; i < n; i++) {
		if (below(5000) == 0)
			distance = 32700 + below(80);
		p[i] = i < distance || below(300) == 0 ? (unsigned char)below(256)
		                                       : p[i - distance];
	}
}

static void fill_counter(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(i / 4 * 3 >> (8 * (i % 4)));
}

/* A few bytes are repeated now and then: less than a sixteenth is saved by references. */
static void repeat_sometimes(unsigned char *p, size_t n, size_t every)
{
	for (size_t i = 50; i + 20 < n; i += 50 + below((uint32_t)MIN(every, i))) {
		size_t distance = 20 + below((uint32_t)MIN(i - 20, (size_t)1500));
		memcpy(p + i, p + i - distance, 4 + below(12));
	}
}

/* In what can be squeezed a little. */
static void fill_sparse(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(below(2) ? below(256) : below(64));
	repeat_sometimes(p, n, 1000);
}

/* In what cannot. */
static void fill_speckled(unsigned char *p, size_t n)
{
	fill_noise(p, n);
	repeat_sometimes(p, n, 500);
}

/* Headers in octal, text or noise, zeros up to the next 512. */
static void fill_tar(unsigned char *p, size_t n)
{
	memset(p, 0, n);
	for (size_t at = 0, number = 0; at + 512 <= n; number++) {
		size_t size = MIN((size_t)below(1 + below(60000)), n - at - 512);
		snprintf((char *)p + at, 100, "usr/share/package-%zu/file-%u", number / 9,
		         below(99));
		snprintf((char *)p + at + 100, 60, "0000644%c0000000%c0000000%c%011zo%c%011o", 0, 0,
		         0, size, 0, 014000000000 + below(1000));
		memcpy(p + at + 257,
		       "ustar\0"
		       "00root",
		       12);
		(below(3) ? fill_words : fill_noise)(p + at + 512, size);
		at += (512 + size + 511) / 512 * 512;
	}
}

static void fill_mixed(unsigned char *p, size_t n);

static const struct kind {
	const char *name;
	void (*fill)(unsigned char *p, size_t n);
	const char *small, *chunks, *pieces; /* digests, by group of sizes */
} kinds[] = {
        {"zeros", fill_zeros, "a06dbfa4a06d24e3676b1cc3f8d5784ca1592c05c4e9fbbb4c9e52178d0075d6",
         "ea28c2e62c69c8fe94ab2af20cc6a04fa3ad6d6c289dafc2e5e66db00e324d82",
         "9eae4640a4b4f33d24b96f340cbaf239910751a2f57bb0b6539cbda1d38c294d"},
        {"noise", fill_noise, "c9cfcb18ee82137833ddbcc75fb52bb867836ac13b2c9a84b72ba50a6fd5a73e",
         "9d9370a5ccd394de3e87f368e82e6e6ca15ea43dbc566252eecdf5eb6eff653e",
         "d6a1da747d73502ad382d920eee7871c54fd2fa89d2a8463d66afcb60681fa95"},
        {"dna", fill_dna, "998c128616cbaa8a7e0706641e255a5710c29ec4374e86c557099c07a7b184d9",
         "afbd804d29a0631422d16f87f82dabd5071ff2810e896d5beb99789aeaa7a3d4",
         "bc9d8963e4b77c2066036230fe70954bdb034f7113ae829fcfa95b51b5f2cf62"},
        {"skewed", fill_skewed, "2b800bc049cee894ca69847de13c51de8505873ae4a19fa2f8ab0705921a8763",
         "2e1e09747585a86c675ee0db09731d5727fc578c3f7697354a7db4979dcbb9ee",
         "9d4cb5e848666962146fba3e0ad409036af29efee7eee3b9b62f09c261fec7c0"},
        {"fibonacci", fill_fibonacci,
         "7b0dbde4431207a158143ed688396def7aa6f270ba33104ceda20e308412c53c",
         "4952d8d64010b2e7c58d9b4164181177b6f9c83dc27bc1608ccf3081a83ff65c",
         "21376818ee1239810e6622f1f20081f3410fd4df0aa69cd321cd5739806d2057"},
        {"words", fill_words, "a9fff5f3fb069c083230d714540b33c2128300ae1af8dfe49d917b0bd2f5e450",
         "6cf16a9cbdb0a3e241e2a2b215b0e39360b7c8be65543b3ee61691debf0a420c",
         "d10d771a91533c56dab352380e5a690fd2ead6c0a039a23e06e17d45c518be54"},
        {"far", fill_far, "b90b473d57dfbd9fc73c45ecec92965a0343ce62716669e40226c45392b40389",
         "60e3986b1cd6262492f5f8344b1c1fb77bbaf4bbc08eda18414dc7b15b56cd08",
         "121cc1b0751c2f33dc116e8b8ffc8c9ead3a145b3383f1e91a56f1b0cd314202"},
        {"counter", fill_counter,
         "51e753e15eb1c0c48112192534396d0cdcae461078b0e2ddab5d367bd980598c",
         "24bea6f7ca71be20bfb6821434c7cad9503f318bf735b51c71a862ea60311bb8",
         "142d2514f3a3c2d29494733ee00988ad99103c256ad107019873b886f61464f5"},
        {"sparse", fill_sparse, "471f4e9faa2e7d5ddf3f861a2d6a4038b5338e1fc31e58adc3fce0a57c5f6d3e",
         "c221db04ecc477434c4490b8bfc9877ff3e548a0bb81700866dcf861f64ff78e",
         "67d8a958ffa9eb55fc0ddccf405f8806cc0b4268e2766833451366fbe19001d3"},
        {"speckled", fill_speckled,
         "82feec6aef79afb6e8f58b1789ef9201de7dfea648b637ca41d475dcf4896f85",
         "010522451c7715d710ff703a2299a3e44c17fba26ddf5c65604b56ce45005ad0",
         "ddf253e52c3396703055ded7040e5ecf8c50e10125f212a69a651518bc7dcd26"},
        {"tar", fill_tar, "29180149e563a28455b3030d7dc43dc463ec064f6afdc8b44c0266bdcd80be28",
         "d9e7e350a551233c54d7c5d003060f5d88a926fcdb037485741631e7b6b950a0",
         "dd66058fb493ed2237447d733539f1606e9b3e8f5390fa55314768bfb9db0962"},
        {"mixed", fill_mixed, "3c336d35171b30195642a93e523d5404f476f7c0fe0d4c2464e63f7ec96e5bbf",
         "ada492f0cd602810ddae46cd8b35a23520d02081bee3c5d4bd04d6a60804c7f5",
         "b89f5aad190395ffa0d65e220042a966fe8aea3b4c778f22350dc8443a913178"},
};

/* A bit of each of the others: one form of block after the other. */
static void fill_mixed(unsigned char *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		size_t part = MIN((size_t)1 + below(1 + below(200000)), n - at);
		kinds[below(ARRAY_SIZE(kinds) - 1)].fill(p + at, part);
		at += part;
	}
}

static const size_t small_sizes[] = {0,   1,   12,  13,  32,   33,   60,
                                     127, 128, 129, 300, 1000, 1025, 5000};
static const size_t chunk_sizes[] = {65534,       65535,     65536, 65535 + 20,
                                     65535 + 100, 2 * 65535, 200000};
static const size_t piece_sizes[] = {MIB - 1, MIB, MIB + 1, 3 * MIB + MIB / 2};

static const struct group {
	const char *name;
	const size_t *sizes;
	size_t n;
	size_t digest; /* where in struct kind */
} groups[] = {
        {"small", small_sizes, ARRAY_SIZE(small_sizes), offsetof(struct kind, small)},
        {"chunks", chunk_sizes, ARRAY_SIZE(chunk_sizes), offsetof(struct kind, chunks)},
        {"pieces", piece_sizes, ARRAY_SIZE(piece_sizes), offsetof(struct kind, pieces)},
};

static unsigned char *make_input(const struct kind *kind, size_t n)
{
	unsigned char *data = malloc(MAX(n, (size_t)1));

	assert_non_null(data);
	random_state = n;
	kind->fill(data, n);
	return data;
}

/* ---- the writer ---- */

/* In pieces of all sizes. */
static void pack(unsigned threads, const unsigned char *data, size_t n, cst_memory *out)
{
	cst_sink sink = cst_sink_memory(out);
	struct gzip_parallel *w;
	size_t part = 1;

	assert_int_equal(gzip_parallel_new(threads, &sink, &w, NULL), 0);
	for (size_t at = 0; at < n; at += part, part = part * 5 + 3) {
		part = MIN(part, n - at);
		assert_int_equal(gzip_parallel_write(w, data + at, part, NULL), 0);
	}
	assert_int_equal(gzip_parallel_finish(w, NULL), 0);
	gzip_parallel_free(w);
}

static void check_inflates(const cst_memory *packed, const unsigned char *data, size_t n)
{
	z_stream z = {.next_in = (unsigned char *)packed->data, .avail_in = (uInt)packed->size};
	_cleanup_free_ unsigned char *got = malloc(n + 1);

	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	z.next_out = got;
	z.avail_out = (uInt)n + 1;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	assert_int_equal(z.total_out, n);
	assert_memory_equal(got, data, n);
	inflateEnd(&z);
}

static void check_group(const struct kind *kind, const struct group *group, unsigned threads)
{
	const char *want = *(const char *const *)((const char *)kind + group->digest);
	_cleanup_digester_ struct digester *digester = NULL;
	char digest[DIGEST_TEXT_MAX];

	assert_int_equal(digester_new(DIGEST_SHA256, &digester, NULL), 0);
	for (size_t i = 0; i < group->n; i++) {
		_cleanup_free_ unsigned char *data = make_input(kind, group->sizes[i]);
		cst_memory packed = {0};
		pack(threads, data, group->sizes[i], &packed);
		check_inflates(&packed, data, group->sizes[i]);
		digester_update(digester, packed.data, packed.size);
		free(packed.data);
	}
	assert_int_equal(digester_finish(digester, digest, NULL), 0);
	if (!streq(digest + strlen("sha256:"), want))
		print_message("%s %s\n", kind->name, group->name);
	assert_string_equal(digest + strlen("sha256:"), want);
}

static void test_same_bytes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (size_t j = 0; j < ARRAY_SIZE(groups); j++)
			check_group(&kinds[i], &groups[j], 2);
}

static void test_any_number_of_threads(void **state)
{
	static const unsigned numbers[] = {1, 3, 16, 0};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		check_group(&kinds[ARRAY_SIZE(kinds) - 1], &groups[2], numbers[i]);
}

/* ---- failure ---- */

struct faulty {
	size_t room, calls;
	uint64_t bytes;
};

static int faulty_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	struct faulty *faulty = userdata;

	if (faulty->calls++ == faulty->room)
		return error_set(error, CST_EIO_CALLBACK, "no more");
	faulty->bytes += size;
	return 0;
}

/* Whichever write fails, the error comes out, and nothing is written after it: the trailer neither.
 */
static void test_failing_sink(void **state)
{
	const size_t n = 5 * MIB + 5;
	_cleanup_free_ unsigned char *data = make_input(&kinds[1], n);

	for (size_t room = 0; room < 9; room++) {
		struct faulty faulty = {.room = room};
		cst_sink sink = {faulty_write, &faulty};
		struct gzip_parallel *w = NULL;
		_cleanup_error_ cst_error *error = NULL;
		int r = gzip_parallel_new(2, &sink, &w, &error);
		if (r == 0)
			r = gzip_parallel_write(w, data, n, &error);
		if (r == 0)
			r = gzip_parallel_finish(w, &error);
		if (room == 8) { /* a header, six pieces, a trailer */
			assert_int_equal(r, 0);
		} else {
			uint64_t bytes = faulty.bytes;
			assert_int_equal(r, CST_EIO_CALLBACK);
			if (w) {
				assert_int_equal(gzip_parallel_write(w, data, n, NULL), CST_EINVAL);
				assert_int_equal(gzip_parallel_finish(w, NULL), CST_EINVAL);
			}
			assert_int_equal(faulty.bytes, bytes);
		}
		gzip_parallel_free(w);
	}
}

/* Given up with pieces under way: no trailer, and nothing is waited for or leaked. */
static void test_given_up(void **state)
{
	const size_t n = 4 * MIB;
	_cleanup_free_ unsigned char *data = make_input(&kinds[5], n);

	for (unsigned threads = 1; threads < 4; threads++) {
		struct faulty faulty = {.room = SIZE_MAX};
		cst_sink sink = {faulty_write, &faulty};
		struct gzip_parallel *w;
		assert_int_equal(gzip_parallel_new(threads, &sink, &w, NULL), 0);
		assert_int_equal(gzip_parallel_write(w, data, n, NULL), 0);
		gzip_parallel_free(w);
		assert_true(faulty.calls <= 1 + n / MIB);
	}
}

static void write_inputs(const char *folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (size_t j = 0; j < ARRAY_SIZE(groups); j++)
			for (size_t k = 0; k < groups[j].n; k++) {
				size_t n = groups[j].sizes[k];
				_cleanup_free_ unsigned char *data = make_input(&kinds[i], n);
				_cleanup_free_ char *path =
				        str_printf("%s/%s.%zu", folder, kinds[i].name, n);
				FILE *file = fopen(path, "wb");
				assert_non_null(file);
				assert_int_equal(fwrite(data, 1, n, file), n);
				assert_int_equal(fclose(file), 0);
			}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_same_bytes),
	        cmocka_unit_test(test_any_number_of_threads),
	        cmocka_unit_test(test_failing_sink),
	        cmocka_unit_test(test_given_up),
	};
	if (argc > 1) {
		write_inputs(argv[1]);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
