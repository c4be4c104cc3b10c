/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/* Blocks: counts what occurs, compares the sizes of the forms a block can have, and writes the
 * shortest (deflate.h says why each estimate must stay as it is). */
#include "codec/deflate_block.h"
#include "base/mem.h"

#define FEW_TOKENS       250      /* with fewer, the fixed code is considered */
#define HEADER_GUESS     (70 * 8) /* bits assumed for a header that was not made */
#define PENALTY_SHIFT    7        /* an estimate is assumed to be 1/128 too low */
#define NOISE_SIZE       1024
#define END_BITS         7 /* of a block in the fixed code */
#define LENGTH_CODES     29
#define FIRST_LENGTH     (DEFLATE_END + 1)
#define HEADER_LONGEST   7 /* bits of a code length's code */
#define N_FIXED_LITERALS 288

enum block_kind { STORED, FIXED, DYNAMIC }; /* RFC 1951, 3.2.3 */

/* ---- what occurs ---- */

struct counts {
	uint16_t literals[DEFLATE_LITERALS];
	uint16_t distances[DEFLATE_DISTANCES];
	unsigned n_literals, n_distances; /* up to the last that occurs */
	unsigned extra;                   /* bits that no code stands for */
};

static unsigned length_extra_bits(unsigned code)
{
	return code < 4 || code == LENGTH_CODES - 1 ? 0 : code / 4 - 1;
}

static unsigned distance_extra_bits(unsigned code)
{
	return code < 2 ? 0 : code / 2 - 1;
}

/* Some token is a reference; else there would be as many tokens as bytes. */
static void count_tokens(const struct tokens *tokens, struct counts *counts)
{
	memcpy(counts->literals, tokens->literals, sizeof(tokens->literals));
	counts->literals[DEFLATE_END] = 1;
	memcpy(counts->literals + FIRST_LENGTH, tokens->lengths, sizeof(tokens->lengths));
	memcpy(counts->distances, tokens->distances, sizeof(counts->distances));
	counts->extra = 0;
	for (unsigned i = 0; i < LENGTH_CODES; i++)
		counts->extra += tokens->lengths[i] * length_extra_bits(i);
	for (unsigned i = 0; i < DEFLATE_DISTANCES; i++)
		counts->extra += tokens->distances[i] * distance_extra_bits(i);
	counts->n_literals = DEFLATE_LITERALS;
	while (counts->literals[counts->n_literals - 1] == 0)
		counts->n_literals--;
	counts->n_distances = DEFLATE_DISTANCES;
	while (counts->distances[counts->n_distances - 1] == 0)
		counts->n_distances--;
}

static uint64_t code_cost(const struct counts *counts, const struct block_code *code)
{
	return huffman_cost(counts->literals, DEFLATE_LITERALS, code->literals) +
	       huffman_cost(counts->distances, DEFLATE_DISTANCES, code->distances);
}

/* Does everything that occurs have a word? */
static bool covers(const uint32_t *words, const uint16_t *counts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (counts[i] && !words[i])
			return false;
	return true;
}

/* ---- the size of the best code, estimated ---- */

/* The logarithm to base 2: the exponent, and a parabola through the mantissa. Each operation is
 * rounded to a float by itself, so this is compiled with -ffp-contract=off. */
static float rough_log2(float value)
{
	uint32_t bits;
	float mantissa, polynomial;

	memcpy(&bits, &value, sizeof(bits));
	float exponent = (float)((int)(bits >> 23 & 255) - 128);
	bits = (bits & UINT32_C(0x807fffff)) + (UINT32_C(127) << 23);
	memcpy(&mantissa, &bits, sizeof(mantissa));
	polynomial = -0.34484843f * mantissa + 2.02466578f;
	polynomial = polynomial * mantissa - 0.67487759f;
	return exponent + polynomial;
}

/* Adds the bits of the symbols to *sum, in the order of the symbols: the order matters, since each
 * float addition rounds. */
static void add_entropy(float *sum, const uint16_t *counts, size_t n, float share)
{
	for (size_t i = 0; i < n; i++) {
		if (counts[i] == 0)
			continue;
		float count = (float)counts[i];
		float length = -rough_log2(count * share);
		if (length < 1)
			length = 1;
		else if (length > DEFLATE_CODE_MAX)
			length = DEFLATE_CODE_MAX;
		*sum += length * count;
	}
}

/* `n` is the number of tokens, plus one if the end of the block is written with them. */
static uint64_t estimate(const struct tokens *tokens, unsigned n, unsigned extra)
{
	float sum = 0, share = 1.0f / (float)n;
	unsigned references = 0;

	add_entropy(&sum, tokens->literals, ARRAY_SIZE(tokens->literals), share);
	/* The end of the block. */
	sum += 15;
	add_entropy(&sum, tokens->lengths, LENGTH_CODES, share);
	for (unsigned i = 0; i < LENGTH_CODES; i++)
		references += tokens->lengths[i];
	add_entropy(&sum, tokens->distances, DEFLATE_DISTANCES, 1.0f / (float)references);
	return (uint64_t)sum + extra;
}

/* ---- the header of a block with a code of its own (RFC 1951, 3.2.7) ---- */

/* The order in which the lengths of the code length code are written. */
static const uint8_t header_order[DEFLATE_CODE_LENGTHS] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                           11, 4,  12, 3, 13, 2, 14, 1, 15};

enum { REPEAT = 16, ZEROS = 17, MANY_ZEROS = 18 };

struct header {
	unsigned n_literals, n_distances;
	unsigned n_lengths; /* of the code length code: that many are written */
	unsigned n_steps;
	struct {
		uint8_t symbol, extra;
	} steps[DEFLATE_LITERALS + DEFLATE_DISTANCES];
	uint16_t counts[DEFLATE_CODE_LENGTHS];
	uint32_t words[DEFLATE_CODE_LENGTHS];
	unsigned size; /* bits */
};

static const uint8_t step_extra_bits[DEFLATE_CODE_LENGTHS] = {
        [REPEAT] = 2, [ZEROS] = 3, [MANY_ZEROS] = 7};

static void add_step(struct header *header, unsigned symbol, unsigned extra)
{
	header->steps[header->n_steps].symbol = (uint8_t)symbol;
	header->steps[header->n_steps++].extra = (uint8_t)extra;
	header->counts[symbol]++;
}

/* `run` codes one after the other have the same length. */
static void add_run(struct header *header, unsigned length, unsigned run)
{
	unsigned n;

	if (length > 0) {
		add_step(header, length, 0);
		for (run--; run >= 3; run -= n) {
			n = MIN(run, 6u);
			add_step(header, REPEAT, n - 3);
		}
	} else {
		for (; run >= 11; run -= n) {
			n = MIN(run, 138u);
			add_step(header, MANY_ZEROS, n - 11);
		}
		if (run >= 3) {
			add_step(header, ZEROS, run - 3);
			run = 0;
		}
	}
	while (run-- > 0)
		add_step(header, length, 0);
}

static void measure_header(struct header *header)
{
	huffman_build(header->counts, DEFLATE_CODE_LENGTHS, HEADER_LONGEST, header->words);
	header->n_lengths = DEFLATE_CODE_LENGTHS;
	while (header->n_lengths > 4 && header->counts[header_order[header->n_lengths - 1]] == 0)
		header->n_lengths--;
	header->size = 3 + 5 + 5 + 4 + 3 * header->n_lengths;
	for (unsigned i = 0; i < DEFLATE_CODE_LENGTHS; i++)
		header->size +=
		        header->counts[i] * (word_length(header->words[i]) + step_extra_bits[i]);
}

static void make_header(struct header *header, const struct block_code *code, unsigned n_literals,
                        unsigned n_distances)
{
	unsigned run = 0, length = 0;

	*header = (struct header){.n_literals = n_literals, .n_distances = n_distances};
	for (unsigned i = 0; i < n_literals + n_distances; i++) {
		unsigned next = word_length(i < n_literals ? code->literals[i]
		                                           : code->distances[i - n_literals]);
		if (run > 0 && next != length) {
			add_run(header, length, run);
			run = 0;
		}
		length = next;
		run++;
	}
	add_run(header, length, run);
	measure_header(header);
}

static void write_header(struct block_writer *w, const struct header *header)
{
	bits_put(&w->bits, DYNAMIC << 1, 3);
	bits_put(&w->bits, header->n_literals - 257, 5);
	bits_put(&w->bits, header->n_distances - 1, 5);
	bits_put(&w->bits, header->n_lengths - 4, 4);
	for (unsigned i = 0; i < header->n_lengths; i++)
		bits_put(&w->bits, word_length(header->words[header_order[i]]), 3);
	for (unsigned i = 0; i < header->n_steps; i++) {
		unsigned symbol = header->steps[i].symbol;
		uint32_t word = header->words[symbol];
		bits_add(&w->bits, word_bits(word), word_length(word));
		bits_put(&w->bits, header->steps[i].extra, step_extra_bits[symbol]);
	}
}

/* ---- writing ---- */

void block_writer_init(struct block_writer *w)
{
	uint8_t lengths[N_FIXED_LITERALS];
	uint32_t words[N_FIXED_LITERALS]; /* two more than there are symbols */

	*w = (struct block_writer){0};
	memset(lengths, 8, 144);
	memset(lengths + 144, 9, 256 - 144);
	memset(lengths + 256, 7, 280 - 256);
	memset(lengths + 280, 8, N_FIXED_LITERALS - 280);
	huffman_assign(lengths, N_FIXED_LITERALS, words);
	memcpy(w->fixed.literals, words, sizeof(w->fixed.literals));
	memset(lengths, 5, DEFLATE_DISTANCES);
	huffman_assign(lengths, DEFLATE_DISTANCES, w->fixed.distances);
}

static void put_word(struct block_writer *w, uint32_t word)
{
	bits_put(&w->bits, word_bits(word), word_length(word));
}

static void close_block(struct block_writer *w)
{
	if (w->open > 0)
		put_word(w, w->code.literals[DEFLATE_END]);
	w->open = 0;
}

/* The word of a length, and what follows it: its low bits. */
static inline uint32_t length_word(uint32_t word, unsigned length, unsigned extra)
{
	return word + extra + ((length & ((1u << extra) - 1)) << (word_length(word) + 8));
}

static void fill_symbols(uint32_t symbols[TOKEN_SYMBOLS], const uint32_t *literals)
{
	memcpy(symbols, literals, 256 * sizeof(*symbols));
	for (unsigned length = 0; length < 256; length++) {
		unsigned code = deflate_length_codes[length];
		symbols[TOKEN_IS_MATCH + length] =
		        length_word(literals[FIRST_LENGTH + code], length, length_extra_bits(code));
	}
}

/* No jump depends on what a token is, since the processor cannot foretell that: a byte is written
 * with a distance of no bits. */
static void write_tokens(struct block_writer *w, const struct block_code *code,
                         const struct tokens *tokens)
{
	struct bit_writer bits = w->bits;
	uint32_t symbols[TOKEN_SYMBOLS];

	fill_symbols(symbols, code->literals);
	for (const uint32_t *item = tokens->items, *end = item + tokens->n; item < end; item++) {
		uint32_t symbol = symbols[token_symbol(*item)];
		unsigned distance = token_distance(*item);
		unsigned extra = deflate_distance_extra(distance);
		uint32_t word = code->distances[deflate_distance_code(distance)];
		uint32_t is_match = -(*item / TOKEN_IS_MATCH & 1);
		unsigned n = word_length(word);
		uint64_t value = word_bits(word) | (uint64_t)(distance & ((1u << extra) - 1)) << n;
		bits_add(&bits, word_bits(symbol), word_length(symbol));
		bits_add(&bits, value & is_match, (n + extra) & is_match);
		bits_flush(&bits);
	}
	w->bits = bits;
}

static void write_bytes(struct block_writer *w, const unsigned char *text, unsigned n)
{
	struct bit_writer bits = w->bits;
	const uint32_t *words = w->code.literals;
	unsigned i = 0;

	for (; i + 3 <= n; i += 3) {
		uint32_t a = words[text[i]], b = words[text[i + 1]], c = words[text[i + 2]];
		bits_add(&bits, word_bits(a), word_length(a));
		bits_add(&bits, word_bits(b), word_length(b));
		bits_add(&bits, word_bits(c), word_length(c));
		bits_flush(&bits);
	}
	for (; i < n; i++)
		bits_put(&bits, word_bits(words[text[i]]), word_length(words[text[i]]));
	w->bits = bits;
}

void block_stored(struct block_writer *w, const unsigned char *text, unsigned n)
{
	close_block(w);
	bits_put(&w->bits, STORED << 1, 3);
	bits_align(&w->bits);
	bits_put(&w->bits, n, 16);
	bits_put(&w->bits, ~n & 0xffff, 16);
	if (n > 0)
		memcpy(w->bits.out, text, n);
	w->bits.out += n;
}

void block_end_of_stream(struct block_writer *w)
{
	close_block(w);
	bits_put(&w->bits, 1 | FIXED << 1, 3);
	bits_put(&w->bits, 0, END_BITS);
	bits_align(&w->bits);
}

static void block_fixed(struct block_writer *w, const struct tokens *tokens)
{
	close_block(w);
	bits_put(&w->bits, FIXED << 1, 3);
	write_tokens(w, &w->fixed, tokens);
	put_word(w, w->fixed.literals[DEFLATE_END]);
}

static uint64_t fixed_size(const struct block_writer *w, const struct counts *counts)
{
	return 3 + code_cost(counts, &w->fixed) + counts->extra;
}

static uint64_t stored_size(unsigned n)
{
	return ((uint64_t)n + 5) * 8;
}

/* ---- which form ---- */

#define NO_SIZE (UINT64_MAX / 2)

/* Writes it stored if that takes no more than `size` bits, else in the fixed code if `fixed` allows
 * it. */
static bool block_plain(struct block_writer *w, const struct tokens *tokens,
                        const unsigned char *text, unsigned n, uint64_t size, bool fixed)
{
	if (stored_size(n) <= size)
		block_stored(w, text, n);
	else if (fixed)
		block_fixed(w, tokens);
	else
		return false;
	return true;
}

/* Is a code of its own worth its header? The size with a code of its own is an estimate: that of
 * the best possible code, a little more, and the header of the code in use. */
static uint64_t compare_with_fresh(struct block_writer *w, const struct tokens *tokens, bool last,
                                   const struct counts *counts)
{
	uint64_t fresh = w->open + estimate(tokens, tokens->n + last, counts->extra);
	uint64_t reused = code_cost(counts, &w->code) + counts->extra;

	fresh += word_length(w->code.literals[DEFLATE_END]) + (fresh >> PENALTY_SHIFT);
	if (fresh < reused)
		close_block(w);
	return MIN(fresh, reused);
}

void block_tokens(struct block_writer *w, const struct tokens *tokens, const unsigned char *text,
                  unsigned n, bool last)
{
	struct counts counts;
	struct header header;
	uint64_t size, fixed = NO_SIZE;

	count_tokens(tokens, &counts);
	if (tokens->n + last < FEW_TOKENS)
		fixed = fixed_size(w, &counts);
	if (w->open > 0 &&
	    (w->bytes_only || !covers(w->code.literals, counts.literals, DEFLATE_LITERALS) ||
	     !covers(w->code.distances, counts.distances, DEFLATE_DISTANCES)))
		close_block(w);
	if (w->open > 0) {
		size = compare_with_fresh(w, tokens, last, &counts);
		if (block_plain(w, tokens, text, n, size, fixed + END_BITS < size))
			return;
	}
	if (w->open == 0) {
		huffman_build(counts.literals, DEFLATE_LITERALS, DEFLATE_CODE_MAX,
		              w->code.literals);
		huffman_build(counts.distances, DEFLATE_DISTANCES, DEFLATE_CODE_MAX,
		              w->code.distances);
		make_header(&header, &w->code, counts.n_literals, counts.n_distances);
		size = header.size + code_cost(&counts, &w->code) + counts.extra;
		if (block_plain(w, tokens, text, n, MIN(size, fixed), fixed <= size))
			return;
		write_header(w, &header);
		w->open = header.size;
		w->bytes_only = false;
	}
	write_tokens(w, &w->code, tokens);
	if (last)
		close_block(w);
}

/* Four arrays of counts: the same byte twice in a row need not wait for the addition before. */
static void count_bytes(const unsigned char *text, unsigned n, uint16_t counts[DEFLATE_END])
{
	uint16_t lanes[4][256] = {0};
	unsigned i = 0;

	for (; i + 4 <= n; i += 4)
		for (unsigned lane = 0; lane < 4; lane++)
			lanes[lane][text[i + lane]]++;
	for (; i < n; i++)
		lanes[0][text[i]]++;
	for (unsigned byte = 0; byte < 256; byte++)
		counts[byte] = (uint16_t)(lanes[0][byte] + lanes[1][byte] + lanes[2][byte] +
		                          lanes[3][byte]);
}

/* Is the variance of the counts below 2 for each byte, as it is where all bytes are equally
 * probable? It is counted in 1/256 squared, so that it is exact. */
static bool is_noise(const uint16_t *counts, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 256; i++) {
		int64_t difference = (int64_t)counts[i] * 256 - n;
		sum += (uint64_t)(difference * difference);
	}
	return sum < (uint64_t)n * 2 * 256 * 256;
}

static void open_bytes(struct block_writer *w, const uint32_t *words)
{
	struct header header;

	memcpy(w->code.literals, words, (DEFLATE_END + 1) * sizeof(*words));
	/* There must be one distance code, though it is not used. */
	w->code.distances[0] = 0 << 8 | 1;
	make_header(&header, &w->code, DEFLATE_END + 1, 1);
	write_header(w, &header);
	w->open = header.size;
	w->bytes_only = true;
}

void block_bytes(struct block_writer *w, const unsigned char *text, unsigned n, bool last)
{
	uint16_t counts[DEFLATE_END + 1];
	uint32_t words[DEFLATE_END + 1];

	count_bytes(text, n, counts);
	counts[DEFLATE_END] = 1;
	if (n > NOISE_SIZE && is_noise(counts, n)) {
		block_stored(w, text, n);
		return;
	}
	huffman_build(counts, DEFLATE_END + 1, DEFLATE_CODE_MAX, words);
	uint64_t fresh = huffman_cost(counts, DEFLATE_END + 1, words) +
	                 (w->open > 0 ? w->open : HEADER_GUESS);
	fresh += fresh >> PENALTY_SHIFT;
	if (stored_size(n) <= fresh) {
		block_stored(w, text, n);
		return;
	}
	if (w->open > 0 && (!covers(w->code.literals, counts, DEFLATE_END) ||
	                    fresh < huffman_cost(counts, DEFLATE_END, w->code.literals)))
		close_block(w);
	if (w->open == 0)
		open_bytes(w, words);
	write_bytes(w, text, n);
	if (last)
		close_block(w);
}
