/* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause */
/* The matcher is greedy, with three second thoughts. At each place the candidates are the last two
 * texts that began with the same seven bytes, and the last one that began with the same four. A
 * reference found by four bytes only is given up for a longer one that begins at the next place. A
 * short one is given up for one that covers its end too. Each is extended backwards over literals
 * that are not written yet. Where nothing is found for long, places are skipped, more and more of
 * them. */
#include "codec/deflate_match.h"
#include "base/mem.h"

#define MARGIN       11 /* no search begins this close to the end: each place can load eight bytes */
#define LENGTH_MAX   258 /* of one reference */
#define LENGTH_MIN   3
#define SHORT_LENGTH 30 /* for a shorter one, a longer one is looked for at the end */
#define SKIP_SHIFT   6  /* one place more is skipped for each 64 literals */

/* clang-format off */
const uint8_t deflate_length_codes[256] = {
	[0] = 0, [1] = 1, [2] = 2, [3] = 3, [4] = 4, [5] = 5, [6] = 6, [7] = 7,
	[8 ... 9] = 8, [10 ... 11] = 9, [12 ... 13] = 10, [14 ... 15] = 11,
	[16 ... 19] = 12, [20 ... 23] = 13, [24 ... 27] = 14, [28 ... 31] = 15,
	[32 ... 39] = 16, [40 ... 47] = 17, [48 ... 55] = 18, [56 ... 63] = 19,
	[64 ... 79] = 20, [80 ... 95] = 21, [96 ... 111] = 22, [112 ... 127] = 23,
	[128 ... 159] = 24, [160 ... 191] = 25, [192 ... 223] = 26, [224 ... 254] = 27,
	[255] = 28,
};
/* clang-format on */

struct search {
	struct matcher *tables;
	const unsigned char *text;
	struct tokens *tokens;
	int32_t end;
	int32_t limit;   /* no search from here on */
	int32_t pending; /* the first byte that no token covers */
	int32_t at;      /* the place to look at next */
	uint64_t here;   /* its text: at least seven bytes of it */
};

struct match {
	int32_t at, source, length;
	/* The place behind it that the tables know already. */
	int32_t next;
};

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t hash_short(uint64_t text)
{
	return (uint32_t)text * UINT32_C(2654435761) >> (32 - MATCH_TABLE_BITS);
}

static inline uint32_t hash_long(uint64_t text)
{
	return (uint32_t)((text << 8) * UINT64_C(58295818150454627) >> (64 - MATCH_TABLE_BITS));
}

static inline void note_short(struct matcher *tables, uint64_t text, int32_t at)
{
	tables->shorts[hash_short(text)] = at + MATCH_WINDOW;
}

static inline int32_t pair_last(uint64_t pair)
{
	return (int32_t)pair;
}

static inline int32_t pair_before(uint64_t pair)
{
	return (int32_t)(pair >> 32);
}

static inline uint64_t pair_push(uint64_t pair, int32_t at)
{
	return pair << 32 | (uint32_t)(at + MATCH_WINDOW);
}

static inline void note_long(struct matcher *tables, uint64_t text, int32_t at)
{
	uint64_t *pair = &tables->longs[hash_long(text)];
	*pair = pair_push(*pair, at);
}

/* Does the entry lead to a text that begins like `here`, the text at `at`, and is near enough? The
 * processor cannot foretell that, and a wrong guess is dear, so there is no jump: an entry that is
 * too far leads to the start of the text. */
static inline bool leads(const struct search *s, int32_t entry, int32_t at, uint64_t here)
{
	int32_t near = (at - entry) >> 31; /* all bits, or none */
	uint32_t there = load32(s->text + ((entry - MATCH_WINDOW) & near));
	return (there == (uint32_t)here) & near;
}

/* How many bytes are the same at both places, at most `most`. */
static inline int32_t common(const struct search *s, int32_t at, int32_t source, int32_t most)
{
	const unsigned char *a = s->text + at, *b = s->text + source;
	int32_t n = 0;

	for (; most - n >= 8; n += 8) {
		uint64_t differs = load64(a + n) ^ load64(b + n);
		if (differs)
			return n + (__builtin_ctzll(differs) >> 3);
	}
	while (n < most && a[n] == b[n])
		n++;
	return n;
}

/* The length of a reference whose first four bytes are known to be right. */
static inline int32_t length_once(const struct search *s, int32_t at, int32_t source)
{
	return 4 + common(s, at + 4, source + 4, MIN(LENGTH_MAX - 4, s->end - at - 4));
}

/* The same for one that may be written as several. */
static inline int32_t length_whole(const struct search *s, int32_t at, int32_t source)
{
	return 4 + common(s, at + 4, source + 4, s->end - at - 4);
}

/* Searches by seven bytes. The older of the two is taken only if it is longer, or the newer is no
 * match. */
static inline void match_long(const struct search *s, uint64_t pair, bool newer, bool older,
                              struct match *m)
{
	int32_t last = pair_last(pair), before = pair_before(pair);

	m->source = (newer ? last : before) - MATCH_WINDOW;
	if (!newer || !older) {
		m->length = length_whole(s, m->at, m->source);
		return;
	}
	int32_t length = length_once(s, m->at, before - MATCH_WINDOW);
	m->length = length_once(s, m->at, m->source);
	if (length > m->length) {
		m->length = length;
		m->source = before - MATCH_WINDOW;
	}
	if (m->length == LENGTH_MAX)
		m->length = length_whole(s, m->at, m->source);
}

/* Does a longer match begin at the next place, where seven bytes are known? */
static inline bool match_next(const struct search *s, int32_t entry, uint64_t ahead,
                              struct match *m)
{
	if (!leads(s, entry, m->next, ahead))
		return false;
	int32_t length = length_once(s, m->next, entry - MATCH_WINDOW);
	if (length <= m->length)
		return false;
	m->length = length;
	m->at = m->next;
	m->source = entry - MATCH_WINDOW;
	return true;
}

/* Searches by four bytes. */
static inline void match_short(const struct search *s, int32_t entry, uint64_t next_pair,
                               uint64_t ahead, struct match *m)
{
	m->source = entry - MATCH_WINDOW;
	m->length = length_once(s, m->at, m->source);
	if (m->next < pair_last(next_pair) && !match_next(s, pair_last(next_pair), ahead, m))
		match_next(s, pair_before(next_pair), ahead, m);
	if (m->length == LENGTH_MAX)
		m->length = length_whole(s, m->at, m->source);
}

/* Finds the next reference from s->at on. False: there is none before the limit. */
static inline bool find_match(struct search *s, struct match *m)
{
	struct matcher *tables = s->tables;

	for (;;) {
		m->at = s->at;
		m->next = m->at + 1 + ((m->at - s->pending) >> SKIP_SHIFT);
		if (m->next > s->limit)
			return false;
		uint32_t short_hash = hash_short(s->here), long_hash = hash_long(s->here);
		int32_t entry = tables->shorts[short_hash];
		uint64_t pair = tables->longs[long_hash];
		tables->shorts[short_hash] = m->at + MATCH_WINDOW;
		tables->longs[long_hash] = pair_push(pair, m->at);
		uint64_t ahead = load64(s->text + m->next);
		bool newer = leads(s, pair_last(pair), m->at, s->here);
		bool older = leads(s, pair_before(pair), m->at, s->here);
		if (newer | older | leads(s, entry, m->at, s->here)) {
			if (newer | older)
				match_long(s, pair, newer, older, m);
			else
				match_short(s, entry, tables->longs[hash_long(ahead)], ahead, m);
			note_short(tables, ahead, m->next);
			note_long(tables, ahead, m->next);
			return true;
		}
		s->at = m->next;
		s->here = ahead;
	}
}

/* Looks up the text behind a short reference. Where that was before, the text in front of it may
 * match here too, except for the first bytes, and be longer. If so, its first four bytes match, and
 * three behind the reference: without a jump for each question, most places are found useless. */
static inline void match_across_end(const struct search *s, struct match *m)
{
	const int32_t slack = 2;
	int32_t after = m->at + m->length, at = m->at + slack;

	if (m->length >= SHORT_LENGTH || after >= s->limit)
		return;
	const unsigned char *text = s->text;
	int32_t place = pair_last(s->tables->longs[hash_long(load64(text + after))]) - MATCH_WINDOW;
	int32_t source = place - m->length + slack;
	int32_t useful = ((after - MATCH_WINDOW - place) & (source - at) & ~source) >> 31;
	uint32_t differs = load32(text + (source & useful)) ^ load32(text + at);
	differs |= (load32(text + (place & useful)) ^ load32(text + after)) << 8;
	if (differs | ~(uint32_t)useful)
		return;
	int32_t length = common(s, at, source, s->end - at);
	if (length > m->length)
		*m = (struct match){at, source, length, m->next};
}

static inline void match_backwards(const struct search *s, struct match *m)
{
	const unsigned char *text = s->text;

	while (m->source > 0 && m->at > s->pending && text[m->source - 1] == text[m->at - 1]) {
		m->at--;
		m->source--;
		m->length++;
	}
}

static inline void emit_literals(struct search *s, int32_t end)
{
	struct tokens *tokens = s->tokens;
	uint32_t *item = tokens->items + tokens->n;

	tokens->n += (unsigned)(end - s->pending);
	for (const unsigned char *p = s->text + s->pending; p < s->text + end; p++) {
		*item++ = *p;
		tokens->literals[*p]++;
	}
	s->pending = end;
}

/* Writes a match. One that is too long for a token becomes several, and none of them may be shorter
 * than LENGTH_MIN. */
static inline void emit_match(struct search *s, const struct match *m)
{
	struct tokens *tokens = s->tokens;
	uint32_t distance = (uint32_t)(m->at - m->source - 1);
	unsigned code = deflate_distance_code(distance);

	for (int32_t left = m->length; left > 0;) {
		int32_t length = left;
		if (left > LENGTH_MAX)
			length = left > LENGTH_MAX + LENGTH_MIN ? LENGTH_MAX
			                                        : LENGTH_MAX - LENGTH_MIN;
		left -= length;
		length -= LENGTH_MIN;
		tokens->lengths[deflate_length_codes[length]]++;
		tokens->distances[code]++;
		tokens->items[tokens->n++] = distance << 16 | TOKEN_IS_MATCH | (uint32_t)length;
	}
	s->pending = m->at + m->length;
}

/* Enters some of the places that a reference of `length` bytes before s->at has passed into the
 * tables, and then the place before s->at. */
static inline void note_passed(struct search *s, int32_t length)
{
	struct matcher *tables = s->tables;
	int32_t last = s->at - 1, at = s->at - length + 1;

	if (at < last) {
		uint64_t text = load64(s->text + at);
		note_short(tables, text, at);
		note_long(tables, text, at);
		note_long(tables, text >> 8, at + 1);
		note_short(tables, text >> 16, at + 2);
		for (at += 4; at < last; at += 3) {
			text = load64(s->text + at);
			note_long(tables, text, at);
			note_short(tables, text >> 8, at + 1);
		}
	}
	uint64_t text = load64(s->text + last);
	note_short(tables, text, last);
	note_long(tables, text, last);
	s->here = text >> 8;
}

void matcher_run(struct matcher *matcher, const unsigned char *text, int32_t from, int32_t end,
                 struct tokens *tokens)
{
	struct search s = {matcher,      text, tokens, end,
	                   end - MARGIN, from, from,   load64(text + from)};
	struct match m;

	while (s.at < s.limit && find_match(&s, &m)) {
		match_across_end(&s, &m);
		match_backwards(&s, &m);
		emit_literals(&s, m.at);
		emit_match(&s, &m);
		s.at = MAX(s.pending, m.next + 1);
		if (s.at < s.limit)
			note_passed(&s, m.length);
	}
	if (tokens->n > 0)
		emit_literals(&s, end);
}

void matcher_clear(struct matcher *matcher)
{
	memset(matcher, 0, sizeof(*matcher));
}

void tokens_clear(struct tokens *tokens)
{
	memset(tokens, 0, offsetof(struct tokens, items));
}
