/* SPDX-License-Identifier: Apache-2.0 */
/* Doubles to text and back, independent of the locale. The text is Go's: the fewest digits that
 * read back as the same value, with an exponent only below 1e-6 and from 1e21 on
 * (docs/format/store.md, "Encoding rules"). */
#include "base/json.h"
#include <math.h>
#include <stdio.h>

/* ---- reading ---- */

/* 10^n is exact in a double up to n = 22, and so is every integer up to 2^53. A product or quotient
 * of the two is then rounded once, which gives the right result. */
static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define EXACT_POWER   22
#define EXACT_INTEGER (1ULL << 53)

/* Splits a number into a mantissa of up to 19 digits and a decimal exponent. False: it has more
 * digits, or a huge exponent. */
static bool split_number(const char *p, const char *end, uint64_t *mantissa, int *exponent)
{
	int digits = 0, shift = 0;
	bool fraction = false;
	*mantissa = 0;
	for (; p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			fraction = true;
			continue;
		}
		if (++digits > 19)
			return false;
		*mantissa = *mantissa * 10 + (uint64_t)(*p - '0');
		shift -= fraction;
	}
	int written = 0;
	if (p < end) {
		bool negative = p[1] == '-';
		for (p += 1 + (p[1] == '-' || p[1] == '+'); p < end; p++) {
			written = written * 10 + (*p - '0');
			if (written > 1000)
				return false;
		}
		written = negative ? -written : written;
	}
	*exponent = shift + written;
	return true;
}

/* strtod() expects the decimal point of the locale, so the text is written again with what printf()
 * uses. */
static bool parse_by_libc(const char *number, size_t len, double *ret)
{
	char point[16];
	(void)snprintf(point, sizeof(point), "%.1f", 0.5); /* "0", point, "5" */
	point[strlen(point) - 1] = '\0';
	_cleanup_strbuf_ struct strbuf text = {0};
	const char *dot = memchr(number, '.', len);
	strbuf_add(&text, number, dot ? (size_t)(dot - number) : len);
	if (dot) {
		strbuf_adds(&text, point + 1);
		strbuf_add(&text, dot + 1, len - (size_t)(dot + 1 - number));
	}
	if (text.failed)
		return false;
	*ret = strtod(text.data, NULL);
	return isfinite(*ret);
}

bool json_parse_double(const char *number, size_t len, double *ret)
{
	bool negative = *number == '-';
	uint64_t mantissa;
	int exponent;
	double value;
	if (split_number(number + negative, number + len, &mantissa, &exponent) &&
	    mantissa <= EXACT_INTEGER && exponent >= -EXACT_POWER && exponent <= EXACT_POWER) {
		value = (double)mantissa;
		value = exponent < 0 ? value / powers_of_ten[-exponent]
		                     : value * powers_of_ten[exponent];
		*ret = negative ? -value : value;
		return true;
	}
	return parse_by_libc(number, len, ret);
}

/* ---- writing ---- */

struct decimal {
	char digits[20]; /* d1 d2 ...: the value is 0.d1d2... * 10^point */
	int len, point;
};

static void round_to(double value, int len, struct decimal *ret)
{
	char text[40];
	(void)snprintf(text, sizeof(text), "%.*e", len - 1, value);
	const char *p = text;
	ret->len = 0;
	for (; *p != 'e'; p++) {
		if (*p >= '0' && *p <= '9') /* steps over the locale's decimal point */
			ret->digits[ret->len++] = *p;
	}
	ret->point = atoi(p + 1) + 1;
}

static void cut_zeros(struct decimal *decimal)
{
	while (decimal->len > 1 && decimal->digits[decimal->len - 1] == '0')
		decimal->len--;
}

static bool reads_back(const struct decimal *decimal, double value)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "%.*se%d", decimal->len, decimal->digits,
	                 decimal->point - decimal->len);
	double back;
	return json_parse_double(text, (size_t)n, &back) && back == value;
}

/* Makes it the next larger number with as many digits. */
static void increment(struct decimal *decimal)
{
	int i = decimal->len - 1;
	while (i >= 0 && decimal->digits[i] == '9')
		decimal->digits[i--] = '0';
	if (i >= 0) {
		decimal->digits[i]++;
		return;
	}
	decimal->digits[0] = '1';
	decimal->point++;
}

/* A number of 15 digits always reads back as itself, so the search starts there. A shorter number
 * ends in zeros, which are cut. At a power of two the gap below is half the gap above: there the
 * nearest number of 16 digits may miss where the next larger one does not. */
static void shortest(double value, struct decimal *ret)
{
	for (int len = fabs(value) < 0x1p-1022 ? 1 : 15; len <= 17; len++) {
		round_to(value, len, ret);
		bool found = reads_back(ret, value);
		if (!found && len == 16) {
			increment(ret);
			found = reads_back(ret, value);
		}
		if (found)
			break;
	}
	cut_zeros(ret);
}

static char *put_zeros(char *to, int n)
{
	while (n-- > 0)
		*to++ = '0';
	return to;
}

static char *put_digits(char *to, const char *digits, int n)
{
	memcpy(to, digits, (size_t)n);
	return to + n;
}

static char *put_plain(char *to, const struct decimal *d)
{
	if (d->point <= 0) {
		*to++ = '0';
		*to++ = '.';
		to = put_zeros(to, -d->point);
		return put_digits(to, d->digits, d->len);
	}
	if (d->point >= d->len)
		return put_zeros(put_digits(to, d->digits, d->len), d->point - d->len);
	to = put_digits(to, d->digits, d->point);
	*to++ = '.';
	return put_digits(to, d->digits + d->point, d->len - d->point);
}

static char *put_scientific(char *to, const struct decimal *d)
{
	*to++ = d->digits[0];
	if (d->len > 1) {
		*to++ = '.';
		to = put_digits(to, d->digits + 1, d->len - 1);
	}
	int exponent = d->point - 1;
	return to + sprintf(to, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

size_t json_format_double(double d, char ret[JSON_DOUBLE_MAX])
{
	char *to = ret;
	if (signbit(d))
		*to++ = '-';
	d = fabs(d);
	if (d == 0) {
		*to++ = '0';
	} else {
		struct decimal decimal;
		shortest(d, &decimal);
		to = d < 1e-6 || d >= 1e21 ? put_scientific(to, &decimal) : put_plain(to, &decimal);
	}
	*to = '\0';
	return (size_t)(to - ret);
}

void json_put_double(struct json_writer *w, double d)
{
	char text[JSON_DOUBLE_MAX];
	if (!isfinite(d)) { /* JSON has no such number */
		json_put_null(w);
		return;
	}
	size_t n = json_format_double(d, text);
	if (w->dialect == JSON_OUTPUT && n > 4 && memcmp(text + n - 4, "e-0", 3) == 0) {
		text[n - 2] = text[n - 1];
		n--;
	}
	json_put_raw(w, text, n);
}
