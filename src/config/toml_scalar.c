/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, booleans, dates and times of TOML. */
#include "config/toml_reader.h"
#include <errno.h>
#include <math.h>

struct token {
	const char *text;
	size_t len;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_token_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       strchr("+-_.:", c);
}

/* ---- dates and times ---- */

/* Reads `n` digits at *s, a number of at most `max`, and moves *s behind them. */
static bool read_digits(const char **s, const char *end, unsigned n, unsigned max, unsigned *ret)
{
	unsigned value = 0;
	for (unsigned i = 0; i < n; i++) {
		if (*s == end || !is_digit(**s))
			return false;
		value = value * 10 + (unsigned)(*(*s)++ - '0');
	}
	*ret = value;
	return value <= max;
}

static bool read_char(const char **s, const char *end, const char *accepted)
{
	if (*s == end || !strchr(accepted, **s))
		return false;
	(*s)++;
	return true;
}

static bool read_date(const char **s, const char *end)
{
	static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned year, month, day;
	if (!read_digits(s, end, 4, 9999, &year) || !read_char(s, end, "-") ||
	    !read_digits(s, end, 2, 12, &month) || !read_char(s, end, "-") ||
	    !read_digits(s, end, 2, 31, &day) || month < 1 || day < 1)
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return day <= days[month - 1] && (month != 2 || day < 29 || leap);
}

static bool read_time(const char **s, const char *end, enum toml_version version)
{
	unsigned ignored;
	if (!read_digits(s, end, 2, 23, &ignored) || !read_char(s, end, ":") ||
	    !read_digits(s, end, 2, 59, &ignored))
		return false;
	if (!read_char(s, end, ":"))
		return version >= TOML_1_1;
	/* RFC 3339 allows 60, for leap seconds. */
	if (!read_digits(s, end, 2, 60, &ignored))
		return false;
	if (!read_char(s, end, "."))
		return true;
	const char *fraction = *s;
	while (*s < end && is_digit(**s))
		(*s)++;
	return *s > fraction;
}

static bool read_offset(const char **s, const char *end)
{
	unsigned ignored;
	if (read_char(s, end, "zZ"))
		return true;
	return read_char(s, end, "+-") && read_digits(s, end, 2, 23, &ignored) &&
	       read_char(s, end, ":") && read_digits(s, end, 2, 59, &ignored);
}

static bool parse_datetime(const struct token *t, enum toml_version version, enum toml_type *type)
{
	const char *s = t->text, *end = s + t->len;
	if (t->len > 2 && s[2] == ':') {
		*type = TOML_LOCAL_TIME;
		return read_time(&s, end, version) && s == end;
	}
	if (!read_date(&s, end))
		return false;
	*type = TOML_LOCAL_DATE;
	if (s == end)
		return true;
	if (!read_char(&s, end, "tT ") || !read_time(&s, end, version))
		return false;
	*type = TOML_LOCAL_DATETIME;
	if (s == end)
		return true;
	*type = TOML_DATETIME;
	return read_offset(&s, end) && s == end;
}

static bool looks_like_datetime(const struct token *t)
{
	const char *s = t->text;
	if (t->len > 2 && is_digit(s[0]) && is_digit(s[1]) && s[2] == ':')
		return true;
	for (size_t i = 0; i < 4; i++) {
		if (i >= t->len || !is_digit(s[i]))
			return false;
	}
	return t->len > 4 && s[4] == '-';
}

/* ---- numbers ---- */

/* Copies it without the underscores, each of which must be between two digits. */
static bool strip_underscores(const struct token *t, bool hex, char *out)
{
	for (size_t i = 0; i < t->len; i++) {
		char c = t->text[i];
		if (c != '_') {
			*out++ = c;
			continue;
		}
		if (i == 0 || i + 1 == t->len)
			return false;
		char before = t->text[i - 1], after = t->text[i + 1];
		bool between = is_digit(before) && is_digit(after);
		if (hex)
			between = before != '_' && after != '_';
		if (!between)
			return false;
	}
	*out = '\0';
	return true;
}

static bool bad_number(struct toml_reader *r, const char *what, const struct token *t,
                       const char *problem)
{
	return toml_fail(r, "Invalid %s \"%.*s\": %s", what, (int)t->len, t->text, problem);
}

static bool parse_prefixed(struct toml_reader *r, const struct token *t, struct toml_node *node)
{
	static const struct {
		char letter, digits[24], name[16];
		int base;
	} kinds[] = {{'x', "0123456789abcdefABCDEF", "a hexadecimal", 16},
	             {'o', "01234567", "an octal", 8},
	             {'b', "01", "a binary", 2}};
	size_t k = 0;
	while (kinds[k].letter != t->text[1])
		k++;
	struct token rest = {t->text + 2, t->len - 2};
	size_t accepted = 0;
	while (accepted < rest.len &&
	       (rest.text[accepted] == '_' || strchr(kinds[k].digits, rest.text[accepted])))
		accepted++;
	if (!rest.len || accepted < rest.len)
		return toml_fail(r, "not %s number: '%.*s'", kinds[k].name, (int)t->len, t->text);
	char *plain = arena_alloc(r->arena, rest.len + 1);
	if (!plain)
		return toml_fail_memory(r);
	if (!strip_underscores(&rest, true, plain))
		return bad_number(r, "integer", t, "underscores must be surrounded by digits");
	errno = 0;
	long long value = strtoll(plain, NULL, kinds[k].base);
	if (errno)
		return toml_fail(r, "%.*s is out of range for int64", (int)t->len, t->text);
	node->type = TOML_INTEGER;
	node->integer = value;
	return true;
}

static bool parse_integer(struct toml_reader *r, const struct token *t, const char *plain,
                          struct toml_node *node)
{
	const char *digits = plain + (*plain == '+' || *plain == '-');
	if (digits[0] == '0' && digits[1])
		return bad_number(r, "integer", t, "cannot have leading zeroes");
	errno = 0;
	long long value = strtoll(plain, NULL, 10);
	if (errno)
		return toml_fail(r, "%.*s is out of range for int64", (int)t->len, t->text);
	node->type = TOML_INTEGER;
	node->integer = value;
	return true;
}

static const char *skip_digits(const char *s)
{
	while (is_digit(*s))
		s++;
	return s;
}

/* strtod() would take the decimal point of the locale. No setting is a float, so the last bit does
 * not matter. */
static double to_double(const char *s)
{
	bool negative = *s == '-';
	s += *s == '+' || *s == '-';
	long double value = 0;
	long exponent = 0;
	for (bool fraction = false; is_digit(*s) || *s == '.'; s++) {
		if (*s == '.') {
			fraction = true;
			continue;
		}
		value = value * 10 + (*s - '0');
		exponent -= fraction;
	}
	if (*s == 'e' || *s == 'E') {
		errno = 0;
		long given = strtol(s + 1, NULL, 10);
		given = MIN(given, 100000);
		exponent += given < -100000 ? -100000 : given;
	}
	for (; exponent > 0; exponent--)
		value *= 10;
	for (; exponent < 0; exponent++)
		value /= 10;
	double result = (double)value;
	return negative ? -result : result;
}

static bool parse_float(struct toml_reader *r, const struct token *t, const char *plain,
                        struct toml_node *node)
{
	const char *whole = plain + (*plain == '+' || *plain == '-');
	const char *s = skip_digits(whole);
	if (s == whole)
		return toml_fail(r, "floats must start with a digit, not '%c'", *s);
	if (*whole == '0' && s > whole + 1)
		return bad_number(r, "float", t, "cannot have leading zeroes");
	if (*s == '.') {
		const char *fraction = ++s;
		s = skip_digits(s);
		if (s == fraction)
			return bad_number(r, "float", t,
			                  "'.' must be followed by one or more digits");
	}
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '+' || *s == '-';
		const char *exponent = s;
		s = skip_digits(s);
		if (s == exponent)
			return toml_fail(r, "Invalid float value: \"%.*s\"", (int)t->len, t->text);
	}
	if (*s)
		return toml_fail(r, "Invalid float value: \"%.*s\"", (int)t->len, t->text);
	node->type = TOML_FLOAT;
	node->real = to_double(plain);
	return true;
}

static bool parse_number(struct toml_reader *r, const struct token *t, struct toml_node *node)
{
	const char *s = t->text;
	if (t->len > 1 && s[0] == '0' && strchr("xob", s[1]))
		return parse_prefixed(r, t, node);
	if (t->len > 2 && strchr("+-", s[0]) && s[1] == '0' && strchr("xob", s[2]))
		return toml_fail(r, "cannot use sign with non-decimal numbers: '%.3s'", s);
	char *plain = arena_alloc(r->arena, t->len + 1);
	if (!plain)
		return toml_fail_memory(r);
	bool is_float = memchr(s, '.', t->len) || memchr(s, 'e', t->len) || memchr(s, 'E', t->len);
	if (!strip_underscores(t, false, plain))
		return bad_number(r, is_float ? "float" : "integer", t,
		                  "underscores must be surrounded by digits");
	const char *digits = plain + (*plain == '+' || *plain == '-');
	if (*digits && !*skip_digits(digits))
		return parse_integer(r, t, plain, node);
	if (is_float)
		return parse_float(r, t, plain, node);
	return toml_fail(r, "expected value but found \"%.*s\" instead", (int)t->len, s);
}

static bool token_is(const struct token *t, const char *word)
{
	return t->len == strlen(word) && memcmp(t->text, word, t->len) == 0;
}

/* Reads the words of TOML, such as `true`. False: it is none of them. */
static bool parse_word(const struct token *t, struct toml_node *node)
{
	if (token_is(t, "true") || token_is(t, "false")) {
		node->type = TOML_BOOL;
		node->boolean = t->len == 4;
		return true;
	}
	struct token word = *t;
	bool negative = word.text[0] == '-';
	if (negative || word.text[0] == '+') {
		word.text++;
		word.len--;
	}
	if (!token_is(&word, "inf") && !token_is(&word, "nan"))
		return false;
	node->type = TOML_FLOAT;
	node->real = token_is(&word, "inf") ? (double)INFINITY : (double)NAN;
	if (negative)
		node->real = -node->real;
	return true;
}

bool toml_read_scalar(struct toml_reader *r, struct toml_node *node)
{
	struct token t = {r->pos, 0};
	size_t room = (size_t)(r->end - r->pos);
	while (t.len < room && is_token_char(t.text[t.len]))
		t.len++;
	if (!t.len || strchr("_:", t.text[0])) {
		char seen[TOML_SEEN_MAX];
		return toml_fail(r, "expected value but found %s instead", toml_seen(r, seen));
	}
	if (parse_word(&t, node)) {
		r->pos += t.len;
		return true;
	}
	if (looks_like_datetime(&t)) {
		/* The blank of "1979-05-27 07:32:00". */
		if (t.len == 10 && room > 12 && t.text[10] == ' ' && is_digit(t.text[11])) {
			t.len++;
			while (t.len < room && is_token_char(t.text[t.len]))
				t.len++;
		}
		if (!parse_datetime(&t, r->version, &node->type))
			return toml_fail(r, "invalid datetime: \"%.*s\"", (int)t.len, t.text);
		node->text = arena_strndup(r->arena, t.text, t.len);
		node->len = t.len;
		if (!node->text)
			return toml_fail_memory(r);
		r->pos += t.len;
		return true;
	}
	if (!is_digit(t.text[0]) && !strchr("+-.", t.text[0]))
		return toml_fail(r, "expected value but found \"%.*s\" instead", (int)t.len,
		                 t.text);
	if (!parse_number(r, &t, node))
		return false;
	r->pos += t.len;
	return true;
}
