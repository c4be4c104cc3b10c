/* SPDX-License-Identifier: Apache-2.0 */
/* Reads sizes with units as the Go tools do. */
#include "config/size.h"
#include "base/str.h"
#include <math.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes all of "1", "1.5", "1." and ".5". It is exact as far as a double is, as in the Go tools. */
static bool read_decimal(const char *s, size_t n, double *ret)
{
	double value = 0, unit = 1;
	bool fraction = false, digits = false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.' && !fraction) {
			fraction = true;
			continue;
		}
		if (!is_digit(s[i]))
			return false;
		digits = true;
		value = value * 10 + (s[i] - '0');
		if (fraction)
			unit *= 10;
	}
	if (!digits || !isfinite(value) || !isfinite(unit))
		return false;
	*ret = value / unit;
	return true;
}

/* The power of 1024 of "", "b", "k", "kb", "kib" and so on. -1: it is none. */
static int read_suffix(const char *s)
{
	static const char units[] = "kmgtp";
	if (!*s || streq(s, "b"))
		return 0;
	const char *unit = strchr(units, *s), *rest = s + 1;
	if (!unit || (*rest && !streq(rest, "b") && !streq(rest, "ib")))
		return -1;
	return (int)(unit - units) + 1;
}

int size_parse(const char *text, uint64_t *ret, cst_error **error)
{
	/* The number ends behind the last digit, point or blank. */
	size_t n = strlen(text);
	while (n && !is_digit(text[n - 1]) && text[n - 1] != '.' && text[n - 1] != ' ')
		n--;
	if (!n || *text == '-')
		return error_set(error, CST_EINVAL, "invalid size: '%s'", text);
	/* Go folds what may be a suffix, and shows a longer one as it is. */
	char folded[4] = "";
	const char *suffix = text + n;
	if (strlen(suffix) < sizeof(folded))
		suffix = str_lower(strcpy(folded, suffix));
	int power = read_suffix(suffix);
	size_t digits = text[n - 1] == ' ' ? n - 1 : n;
	double value;
	if (!read_decimal(text, digits, &value))
		return error_set(error, CST_EINVAL,
		                 "strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
		                 (int)digits, text);
	if (power < 0)
		return error_set(error, CST_EINVAL, "invalid suffix: '%s'", suffix);
	for (; power; power--)
		value *= 1024;
	if (value >= 0x1p63)
		return error_set(error, CST_EINVAL, "invalid size: '%s'", text);
	*ret = (uint64_t)value;
	return 0;
}
