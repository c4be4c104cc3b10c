/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/* Lengths by package-merge. There is a row of weights for each length up to the limit. A row has
 * the symbols themselves and the pairs of neighbours from the row below, sorted. The 2n - 2
 * lightest of the top row are taken, and with each pair its two halves from the row below. The code
 * of a symbol is as long as the number of rows in which it was taken. The symbols of a row are
 * taken lightest first, so it is enough to know how many were taken in each row. */
#include "codec/deflate_huffman.h"
#include "base/mem.h"

#define NO_WEIGHT UINT32_MAX
#define ROW_MAX   (2 * DEFLATE_LITERALS)

/* A symbol and how often it occurs, in one number, so that sorting the numbers sorts by both. */
static uint32_t leaf_key(uint16_t count, size_t symbol)
{
	return (uint32_t)count << 16 | (uint32_t)symbol;
}

/* One stable pass of a radix sort. */
static void sort_by_byte(const uint32_t *from, uint32_t *to, size_t n, unsigned shift)
{
	uint16_t start[256] = {0};
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++)
		start[from[i] >> shift & 0xff]++;
	for (unsigned i = 0; i < 256; i++) {
		unsigned count = start[i];
		start[i] = (uint16_t)sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[start[from[i] >> shift & 0xff]++] = from[i];
}

static void sort_leaves(uint32_t *keys, size_t n)
{
	uint32_t sorted[DEFLATE_LITERALS];

	/* With fewer, the symbols are in order already. */
	if (n > 32) {
		sort_by_byte(keys, sorted, n, 16);
		sort_by_byte(sorted, keys, n, 24);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		uint32_t key = keys[i];
		size_t j = i;
		for (; j > 0 && keys[j - 1] > key; j--)
			keys[j] = keys[j - 1];
		keys[j] = key;
	}
}

struct row {
	uint32_t weights[ROW_MAX];
	unsigned n;
};

/* `leaves` ends in NO_WEIGHT. taken[i] is the number of symbols among the first i of the row. */
static void merge_row(const uint32_t *leaves, unsigned n, const struct row *below, struct row *row,
                      uint16_t *taken)
{
	uint32_t pairs[DEFLATE_LITERALS + 1];
	unsigned n_pairs = below->n / 2, leaf = 0, pair = 0;

	for (unsigned i = 0; i < n_pairs; i++)
		pairs[i] = below->weights[2 * i] + below->weights[2 * i + 1];
	pairs[n_pairs] = NO_WEIGHT;
	row->n = MIN(n + n_pairs, 2 * n - 2);
	taken[0] = 0;
	for (unsigned i = 0; i < row->n; i++) {
		uint32_t a = leaves[leaf], b = pairs[pair];
		bool is_leaf = a < b;
		row->weights[i] = is_leaf ? a : b;
		leaf += is_leaf;
		pair += !is_leaf;
		taken[i + 1] = (uint16_t)leaf;
	}
}

/* with_length[l] becomes the number of the n >= 3 symbols that get a code of l bits. */
static void choose_lengths(const uint32_t *leaves, unsigned n, unsigned max_length,
                           unsigned with_length[DEFLATE_CODE_MAX + 1])
{
	struct row rows[2] = {0};
	uint16_t taken[DEFLATE_CODE_MAX + 1][ROW_MAX + 1];
	/* `top`: rows that were made. `same`: rows above that, which would be like the top one. */
	unsigned top = 0, same = 0;

	max_length = MIN(max_length, n - 1);
	for (unsigned level = 1; level <= max_length; level++) {
		struct row *row = &rows[level & 1], *below = &rows[!(level & 1)];
		merge_row(leaves, n, below, row, taken[level]);
		top = level;
		if (row->n == below->n &&
		    memcmp(row->weights, below->weights, row->n * sizeof(row->weights[0])) == 0) {
			same = max_length - level;
			break;
		}
	}
	unsigned want = 2 * n - 2, shorter = 0;
	for (unsigned level = max_length, length = 1; level > 0; level--, length++) {
		unsigned leaf = taken[level > max_length - same ? top : level][want];
		if (length > 1)
			with_length[length - 1] = shorter - leaf;
		shorter = leaf;
		want = 2 * (want - leaf);
	}
	with_length[max_length] = shorter;
}

/* Codes of one length are in the order of their symbols and behind all shorter ones. */
void huffman_assign(const uint8_t *lengths, size_t n, uint32_t *words)
{
	unsigned next[DEFLATE_CODE_MAX + 2] = {0}, code = 0;

	for (size_t i = 0; i < n; i++)
		next[lengths[i] + 1]++;
	next[1] = 0;
	for (unsigned length = 1; length <= DEFLATE_CODE_MAX; length++) {
		code = (code + next[length]) << 1;
		next[length] = code;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned length = lengths[i], reversed = 0;
		if (length == 0) {
			words[i] = 0;
			continue;
		}
		code = next[length]++;
		for (unsigned bit = 0; bit < length; bit++)
			reversed = reversed << 1 | (code >> bit & 1);
		words[i] = reversed << 8 | length;
	}
}

void huffman_build(const uint16_t *counts, size_t n, unsigned max_length, uint32_t *words)
{
	uint32_t leaves[DEFLATE_LITERALS + 1];
	uint16_t symbols[DEFLATE_LITERALS];
	uint8_t lengths[DEFLATE_LITERALS] = {0};
	unsigned with_length[DEFLATE_CODE_MAX + 1] = {0}, used = 0;

	for (size_t i = 0; i < n; i++)
		if (counts[i])
			leaves[used++] = leaf_key(counts[i], i);
	if (used > 2)
		sort_leaves(leaves, used);
	for (unsigned i = 0; i < used; i++) {
		symbols[i] = (uint16_t)leaves[i];
		leaves[i] >>= 16;
	}
	leaves[used] = NO_WEIGHT;
	if (used > 2)
		choose_lengths(leaves, used, max_length, with_length);
	else
		with_length[1] = used;
	for (unsigned length = 1, i = used; length <= DEFLATE_CODE_MAX; length++)
		for (unsigned left = with_length[length]; left > 0; left--)
			lengths[symbols[--i]] = (uint8_t)length;
	huffman_assign(lengths, n, words);
}

uint64_t huffman_cost(const uint16_t *counts, size_t n, const uint32_t *words)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < n; i++)
		bits += (uint64_t)counts[i] * word_length(words[i]);
	return bits;
}
