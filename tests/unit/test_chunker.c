/* SPDX-License-Identifier: Apache-2.0 */
/* Where content is cut. The sizes are those of TOCs that skopeo 1.22 wrote for the same content. */
#include "base/digest.h"
#include "chunked/chunker.h"
#include "test.h"

struct cuts {
	struct strbuf text; /* sizes; z behind that of a hole */
	struct digester *digester;
	size_t size;
};

static int take_data(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct cuts *cuts = userdata;
	assert_true(n > 0);
	cuts->size += n;
	digester_update(cuts->digester, data, n);
	return 0;
}

static int take_cut(void *userdata, bool zeros, cst_error **error)
{
	struct cuts *cuts = userdata;
	assert_true(cuts->size > 0);
	strbuf_addf(&cuts->text, "%s%zu%s", cuts->text.len ? " " : "", cuts->size,
	            zeros ? "z" : "");
	cuts->size = 0;
	return 0;
}

/* Fed in steps of `step` bytes; what comes out has to be the content again. */
static char *cut(const struct strbuf *content, size_t step)
{
	struct cuts cuts = {0};
	struct chunker chunker;
	const struct chunker_sink sink = {take_data, take_cut, &cuts};
	char digest[DIGEST_TEXT_MAX], wanted[DIGEST_TEXT_MAX];
	chunker_init(&chunker);
	assert_int_equal(digester_new(DIGEST_SHA256, &cuts.digester, NULL), 0);
	for (size_t at = 0; at < content->len; at += step)
		assert_int_equal(chunker_feed(&chunker, content->data + at,
		                              MIN(step, content->len - at), &sink, NULL),
		                 0);
	assert_int_equal(chunker_finish(&chunker, &sink, NULL), 0);
	assert_int_equal(cuts.size, 0);
	assert_int_equal(digester_finish(cuts.digester, digest, NULL), 0);
	assert_int_equal(digest_buffer(DIGEST_SHA256, content->data, content->len, wanted, NULL),
	                 0);
	assert_string_equal(digest, wanted);
	digester_free(cuts.digester);
	return strbuf_steal(&cuts.text);
}

static void is_cut(const struct strbuf *content, const char *sizes)
{
	static const size_t steps[] = {1 << 30, 4096, 1023, 7};
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_free_ char *found = cut(content, steps[i]);
		assert_string_equal(found, sizes);
	}
}

/* Bytes of a generator that any language has in two lines. */
static void put_noise(struct strbuf *to, uint32_t x, size_t n, uint8_t (*change)(uint8_t))
{
	for (size_t i = 0; i < n; i++) {
		x = (x * 1103515245 + 12345) & 0x7fffffff;
		uint8_t byte = (uint8_t)(x >> 16);
		strbuf_addc(to, (char)(change ? change(byte) : byte));
	}
}

static void put_zeros(struct strbuf *to, size_t n)
{
	while (n-- > 0)
		strbuf_addc(to, '\0');
}

static void test_noise(void **state)
{
	_cleanup_strbuf_ struct strbuf content = {0};
	put_noise(&content, 12345, 1 << 20, NULL);
	is_cut(&content, "65707 7584 212698 11683 122727 38483 8384 27002 17430 37740 44809 59599 "
	                 "26785 11652 28877 28943 60689 83009 61020 25939 17671 50145");
}

static void test_holes(void **state)
{
	_cleanup_strbuf_ struct strbuf content = {0};
	put_noise(&content, 1, 5000, NULL);
	put_zeros(&content, 1000000);
	put_noise(&content, 2, 7000, NULL);
	put_zeros(&content, 1023);
	strbuf_addc(&content, 'x');
	put_zeros(&content, 1024);
	strbuf_addc(&content, 'y');
	put_zeros(&content, 70000);
	is_cut(&content, "5000 1000000z 8024 1024z 1 70000z");
}

/* The sum goes on over holes and cuts. */
static void test_sum_goes_on(void **state)
{
	_cleanup_strbuf_ struct strbuf content = {0};
	put_zeros(&content, 1500);
	put_noise(&content, 7, 150000, NULL);
	put_zeros(&content, 1500);
	put_noise(&content, 8, 150000, NULL);
	is_cut(&content,
	       "1500z 21171 19874 68757 30416 9782 1500z 45648 8655 2617 5160 34145 47622 "
	       "6153");
	/* The zeros of a hole are in the window, so they decide of this cut, ten bytes behind it. */
	_cleanup_strbuf_ struct strbuf close_cut = {0};
	put_noise(&close_cut, 1, 3000, NULL);
	put_zeros(&close_cut, 2000);
	put_noise(&close_cut, 331, 5000, NULL);
	is_cut(&close_cut, "3000 2000z 10 4990");
}

static uint8_t half(uint8_t byte)
{
	return byte < 128 ? byte : 0;
}

/* A chunk may end with a zero of a run that is too short for a hole. */
static void test_cuts_in_zeros(void **state)
{
	_cleanup_strbuf_ struct strbuf content = {0}, bursts = {0};
	put_noise(&content, 4242, 600000, half);
	is_cut(&content, "194600 11582 72346 8926 77840 103083 27296 16443 14826 75 19839 53144");
	for (uint32_t i = 0; i < 300; i++) {
		put_noise(&bursts, 1000 + i, 800, NULL);
		put_zeros(&bursts, 400 + i);
	}
	is_cut(&bursts, "53978 63813 225524 44370 17165");
}

static uint8_t low_bit(uint8_t byte)
{
	return byte & 1;
}

/* No chunk is too large. */
static void test_uncut(void **state)
{
	_cleanup_strbuf_ struct strbuf bits = {0}, cycle = {0};
	put_noise(&bits, 99, 300000, low_bit);
	is_cut(&bits, "300000");
	for (size_t i = 0; i < 200000; i++)
		strbuf_addc(&cycle, (char)('a' + i % 26));
	is_cut(&cycle, "200000");
}

static void test_ends(void **state)
{
	_cleanup_strbuf_ struct strbuf content = {0}, hole = {0}, nothing = {0};
	put_noise(&content, 5, 70000, NULL);
	put_zeros(&content, 500);
	is_cut(&content, "43101 960 26439");
	put_zeros(&hole, 1023);
	is_cut(&hole, "1023");
	put_zeros(&hole, 1);
	is_cut(&hole, "1024z");
	is_cut(&nothing, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_noise),       cmocka_unit_test(test_holes),
	        cmocka_unit_test(test_sum_goes_on), cmocka_unit_test(test_cuts_in_zeros),
	        cmocka_unit_test(test_uncut),       cmocka_unit_test(test_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
