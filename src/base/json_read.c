/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader: checks every byte that it steps over, so that a value which was skipped or taken
 * raw is valid too. */
#include "base/json.h"
#include "base/json_escape.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void json_reader_init(struct json_reader *r, const char *data, size_t n, struct arena *arena)
{
	*r = (struct json_reader){
	        .start = data, .pos = data, .end = data + n, .arena = arena, .first = true};
}

void json_reader_next(struct json_reader *r, const char *data, size_t n)
{
	r->start = r->pos = data;
	r->end = data + n;
	r->depth = 0;
	r->first = true;
	r->problem = NULL;
}

bool json_fail(struct json_reader *r, const char *problem)
{
	if (!r->problem)
		r->problem = problem;
	return false;
}

bool json_ok(const struct json_reader *r)
{
	return !r->problem;
}

int json_error(const struct json_reader *r, const char *shown, cst_error **error)
{
	if (r->arena && r->arena->failed)
		return error_oom(error);
	return error_set(error, CST_ECORRUPT, "%s: %s at byte %zu", shown,
	                 r->problem ? r->problem : "no error", (size_t)(r->pos - r->start));
}

/* ---- white space and punctuation ---- */

static inline const char *skip_space(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p <= ' ' &&
	       (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

static inline bool at(struct json_reader *r, char c)
{
	r->pos = skip_space(r->pos, r->end);
	return r->pos < r->end && *r->pos == c;
}

static bool unexpected(struct json_reader *r, const char *wanted)
{
	return json_fail(r, r->pos < r->end ? wanted : "unexpected end of JSON input");
}

/* ---- strings ---- */

#define BYTES(b) (0x0101010101010101ULL * (b))

/* The first byte of p..end that ends plain string content: a quote, a backslash or a control character. It looks at sixteen bytes a
 * step where the processor has an instruction for it, then at eight. In the mask of a step of eight the lowest mark is always right; the
 * marks above it may be wrong. With bit 1 turned, a quote is the next above the control characters. */
static const char *plain_end(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)p);
		__m128i ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
		                            _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
		__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
		unsigned marks = (unsigned)_mm_movemask_epi8(_mm_or_si128(ends, control));
		if (marks)
			return p + __builtin_ctz(marks);
	}
#endif
	while (end - p >= 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		uint64_t marks =
		        ((word ^ BYTES(2)) - BYTES(0x21)) | ((word ^ BYTES('\\')) - BYTES(1));
		marks &= ~word & BYTES(0x80);
		if (marks)
			return p + (__builtin_ctzll(marks) >> 3);
		p += 8;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

/* Checks the string at pos, steps over it, and gives what is between the quotes. */
static bool scan_string(struct json_reader *r, const char **start, size_t *len, bool *escapes)
{
	const char *p = r->pos + 1;
	*start = p;
	*escapes = false;
	for (;;) {
		p = plain_end(p, r->end);
		if (p < r->end && *p == '"')
			break;
		size_t n = p < r->end && *p == '\\' ? json_escape_length(p, r->end) : 0;
		if (!n) {
			r->pos = p;
			return unexpected(r, p < r->end && *p == '\\'
			                             ? "invalid escape in string"
			                             : "control character in string");
		}
		*escapes = true;
		p += n;
	}
	*len = (size_t)(p - *start);
	r->pos = p + 1;
	return true;
}

/* Decodes what scan_string() found. The result is never longer than the source. */
static const char *decode_string(struct json_reader *r, const char *p, size_t len, bool escapes,
                                 size_t *ret_len)
{
	*ret_len = len;
	if (!len)
		return "";
	char *copy = r->arena ? arena_strndup(r->arena, p, len) : NULL;
	if (!copy)
		json_fail(r, r->arena ? "out of memory" : "a string where none is read");
	if (!copy || !escapes)
		return copy;
	*ret_len = json_unescape(p, len, copy);
	copy[*ret_len] = '\0';
	return copy;
}

static bool literal(struct json_reader *r, const char *word, size_t n)
{
	if ((size_t)(r->end - r->pos) < n || memcmp(r->pos, word, n) != 0)
		return unexpected(r, "invalid literal");
	r->pos += n;
	return true;
}

/* Steps over `null` and returns true; leaves anything else. */
static bool take_null(struct json_reader *r)
{
	return at(r, 'n') && literal(r, "null", 4);
}

static bool read_string(struct json_reader *r, bool passing, const char **ret, size_t *len)
{
	if (r->problem)
		return false;
	if (!at(r, '"'))
		return take_null(r) || unexpected(r, "a string is wanted");
	const char *start;
	size_t raw_len, decoded_len;
	if (!scan_string(r, &start, &raw_len, &r->escaped))
		return false;
	if (passing && !r->escaped) {
		*ret = start;
		*len = raw_len;
		return true;
	}
	const char *decoded = decode_string(r, start, raw_len, r->escaped, &decoded_len);
	if (!decoded)
		return false;
	*ret = decoded;
	*len = decoded_len;
	return true;
}

bool json_bytes(struct json_reader *r, const char **ret, size_t *len)
{
	return read_string(r, false, ret, len);
}

bool json_passing(struct json_reader *r, const char **ret, size_t *len)
{
	return read_string(r, true, ret, len);
}

bool json_string(struct json_reader *r, const char **ret)
{
	const char *s = NULL;
	size_t len = 0;
	if (!json_bytes(r, &s, &len))
		return false;
	if (s && r->escaped && memchr(s, '\0', len))
		return json_fail(r, "NUL character in string");
	if (s)
		*ret = s;
	return true;
}

/* ---- arrays and objects ---- */

enum json_type json_peek(struct json_reader *r)
{
	if (r->problem)
		return JSON_BAD;
	r->pos = skip_space(r->pos, r->end);
	if (r->pos == r->end)
		return JSON_BAD;
	switch (*r->pos) {
	case 'n': return JSON_NULL;
	case 't':
	case 'f': return JSON_BOOL;
	case '"': return JSON_STRING;
	case '[': return JSON_ARRAY;
	case '{': return JSON_OBJECT;
	default:
		return *r->pos == '-' || (*r->pos >= '0' && *r->pos <= '9') ? JSON_NUMBER
		                                                            : JSON_BAD;
	}
}

static bool begin(struct json_reader *r, char open, const char *wanted)
{
	if (r->problem)
		return false;
	if (!at(r, open)) {
		if (!take_null(r))
			unexpected(r, wanted);
		return false;
	}
	if (r->depth >= JSON_MAX_DEPTH)
		return json_fail(r, "exceeded max depth");
	r->pos++;
	r->depth++;
	r->first = true;
	return true;
}

/* Steps to the next element. False: behind the closing bracket, or an error. */
static bool next(struct json_reader *r, char close)
{
	if (r->problem)
		return false;
	bool first = r->first;
	r->first = false;
	if (at(r, close)) {
		r->pos++;
		r->depth--;
		return false;
	}
	if (first)
		return true;
	if (!at(r, ','))
		return unexpected(r, "a comma or closing bracket is wanted");
	r->pos++;
	return true;
}

bool json_array_begin(struct json_reader *r)
{
	return begin(r, '[', "an array is wanted");
}

bool json_array_next(struct json_reader *r)
{
	return next(r, ']');
}

bool json_object_begin(struct json_reader *r)
{
	return begin(r, '{', "an object is wanted");
}

/* A key without escapes. It is decoded once, and found here each time it comes again. */
static const char *known_key(struct json_reader *r, const char *start, size_t len)
{
	if (!len || len > 32)
		return NULL;
	/* Of the keys of a layer no two get one place. */
	size_t n = (len * 8 + (unsigned char)start[0] + (unsigned char)start[len - 1] * 4u) %
	           JSON_KNOWN_KEYS;
	struct json_key *known = &r->keys[n];
	if (known->text && known->len == len && memcmp(known->text, start, len) == 0)
		return known->text;
	known->text = decode_string(r, start, len, false, &known->len);
	return known->text;
}

bool json_object_next(struct json_reader *r, const char **key)
{
	if (!next(r, '}'))
		return false;
	const char *start;
	size_t len;
	bool escapes;
	if (!at(r, '"'))
		return unexpected(r, "a member name is wanted");
	if (!scan_string(r, &start, &len, &escapes))
		return false;
	const char *decoded = escapes ? NULL : known_key(r, start, len);
	if (!decoded) {
		size_t decoded_len;
		decoded = decode_string(r, start, len, escapes, &decoded_len);
		if (!decoded)
			return false;
		if (memchr(decoded, '\0', decoded_len))
			return json_fail(r, "NUL character in member name");
	}
	if (!at(r, ':'))
		return unexpected(r, "a colon is wanted");
	r->pos++;
	*key = decoded;
	return true;
}

static inline unsigned char fold(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool json_key_is(const char *key, const char *name)
{
	while (*key && (*key == *name || fold((unsigned char)*key) == fold((unsigned char)*name))) {
		key++;
		name++;
	}
	return *key == *name;
}

/* ---- numbers and booleans ---- */

static const char *digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* At least one digit. */
static bool some_digits(struct json_reader *r)
{
	const char *p = digits(r->pos, r->end);
	if (p == r->pos)
		return unexpected(r, "invalid number");
	r->pos = p;
	return true;
}

static inline bool take(struct json_reader *r, char a, char b)
{
	bool taken = r->pos < r->end && (*r->pos == a || *r->pos == b);
	r->pos += taken;
	return taken;
}

/* Steps over a number; *integer tells if it has neither fraction nor exponent. */
static bool scan_number(struct json_reader *r, bool *integer)
{
	*integer = true;
	take(r, '-', '-');
	if (!take(r, '0', '0') && !some_digits(r))
		return false;
	if (take(r, '.', '.')) {
		*integer = false;
		if (!some_digits(r))
			return false;
	}
	if (take(r, 'e', 'E')) {
		*integer = false;
		take(r, '+', '-');
		return some_digits(r);
	}
	return true;
}

/* Most numbers are a few digits with punctuation behind them. */
static bool short_integer(struct json_reader *r, int64_t *ret)
{
	const char *start = skip_space(r->pos, r->end), *p = start;
	int64_t value = 0;
	while (p < r->end && p - start < 18 && *p >= '0' && *p <= '9')
		value = value * 10 + (*p++ - '0');
	if (p == start || p == r->end || (*p != ',' && *p != '}' && *p != ']') ||
	    (*start == '0' && p - start > 1))
		return false;
	r->pos = p;
	*ret = value;
	return true;
}

bool json_int64(struct json_reader *r, int64_t *ret)
{
	if (r->problem || short_integer(r, ret) || take_null(r))
		return !r->problem;
	const char *p = r->pos;
	bool integer;
	if (!scan_number(r, &integer))
		return false;
	bool negative = *p == '-';
	uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
	for (p += negative; integer && p < r->pos; p++) {
		unsigned digit = (unsigned)(*p - '0');
		if (value > (limit - digit) / 10)
			return json_fail(r, "number out of range");
		value = value * 10 + digit;
	}
	if (!integer)
		return json_fail(r, "an integer is wanted");
	*ret = (int64_t)(negative ? 0 - value : value);
	return true;
}

bool json_uint32(struct json_reader *r, uint32_t *ret)
{
	int64_t value = *ret;
	if (!json_int64(r, &value))
		return false;
	if (value < 0 || value > UINT32_MAX)
		return json_fail(r, "number out of range");
	*ret = (uint32_t)value;
	return true;
}

bool json_bool(struct json_reader *r, bool *ret)
{
	if (r->problem || take_null(r))
		return !r->problem;
	bool value = at(r, 't');
	if (!value && !at(r, 'f'))
		return unexpected(r, "a boolean is wanted");
	if (!(value ? literal(r, "true", 4) : literal(r, "false", 5)))
		return false;
	*ret = value;
	return true;
}

/* ---- values of any kind ---- */

static bool skip_scalar(struct json_reader *r)
{
	const char *start;
	size_t len;
	bool flag;
	switch (json_peek(r)) {
	case JSON_STRING: return scan_string(r, &start, &len, &flag);
	case JSON_NUMBER: return scan_number(r, &flag);
	case JSON_BOOL: return json_bool(r, &flag);
	case JSON_NULL: return literal(r, "null", 4);
	default: return unexpected(r, "a value is wanted");
	}
}

/* Key and colon of a member. */
static bool skip_key(struct json_reader *r)
{
	const char *start;
	size_t len;
	bool escapes;
	if (!at(r, '"'))
		return unexpected(r, "a member name is wanted");
	if (!scan_string(r, &start, &len, &escapes))
		return false;
	if (!at(r, ':'))
		return unexpected(r, "a colon is wanted");
	r->pos++;
	return true;
}

/* One bit for each level tells objects from arrays, so that skipping needs no recursion. */
struct open_brackets {
	uint64_t is_object[(JSON_MAX_DEPTH + 63) / 64];
	unsigned depth;
};

static bool open_bracket(struct json_reader *r, struct open_brackets *open)
{
	if (r->depth + open->depth >= JSON_MAX_DEPTH)
		return json_fail(r, "exceeded max depth");
	uint64_t bit = 1ULL << (open->depth % 64), *word = &open->is_object[open->depth / 64];
	*word = *r->pos == '{' ? *word | bit : *word & ~bit;
	open->depth++;
	r->pos++;
	return true;
}

/* Behind a value or an opening bracket: closes the levels that end here, and steps to the next
 * value if there is one. */
static bool skip_between(struct json_reader *r, struct open_brackets *open, bool first)
{
	while (open->depth) {
		unsigned level = open->depth - 1;
		bool object = open->is_object[level / 64] >> (level % 64) & 1;
		if (at(r, object ? '}' : ']')) {
			r->pos++;
			open->depth--;
			first = false;
			continue;
		}
		if (!first && !at(r, ','))
			return unexpected(r, "a comma or closing bracket is wanted");
		r->pos += !first;
		return !object || skip_key(r);
	}
	return true;
}

bool json_skip(struct json_reader *r)
{
	struct open_brackets open;
	open.depth = 0;
	do {
		enum json_type type = json_peek(r);
		bool bracket = type == JSON_ARRAY || type == JSON_OBJECT;
		if (!(bracket ? open_bracket(r, &open) : skip_scalar(r)))
			return false;
		if (!skip_between(r, &open, bracket))
			return false;
	} while (open.depth);
	return true;
}

bool json_raw(struct json_reader *r, const char **start, size_t *len)
{
	if (json_peek(r) == JSON_BAD)
		return unexpected(r, "a value is wanted");
	const char *from = r->pos;
	if (!json_skip(r))
		return false;
	*start = from;
	*len = (size_t)(r->pos - from);
	return true;
}

void json_leave(struct json_reader *r)
{
	r->pos = r->end;
}

bool json_finish(struct json_reader *r)
{
	if (r->problem)
		return false;
	r->pos = skip_space(r->pos, r->end);
	return r->pos == r->end || json_fail(r, "more data behind the JSON value");
}
