/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as the store writes them: RFC 3339 with up to nine decimals, as Go reads and
 * writes it. */
#include "base/timestamp.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_SECONDS 86400

struct timestamp timestamp_now(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (struct timestamp){.sec = now.tv_sec, .nsec = (int32_t)now.tv_nsec, .zulu = true};
}

/* ---- the proleptic Gregorian calendar, years 0 to 9999. A year runs from March here, so that the
 * leap day is its last ---- */

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
	static const signed char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01. */
static int64_t days_from_date(int year, int month, int day)
{
	/* 400 years are a whole period; adding them keeps the number positive. */
	int64_t y = year + 400 - (month <= 2);
	int64_t month_days = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;
	return y * 365 + y / 4 - y / 100 + y / 400 + month_days + day - 1 - 719468 - 146097;
}

static void date_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t n = days + 719468 + 146097;
	int64_t era = n / 146097, of_era = n % 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;
	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(era * 400 + y - 400) + (*month <= 2);
}

/* ---- text ---- */

struct scan {
	const char *p, *end;
	bool bad;
};

static int scan_digits(struct scan *s, int n)
{
	int value = 0;
	for (; n; n--, s->p++) {
		if (s->p == s->end || *s->p < '0' || *s->p > '9') {
			s->bad = true;
			return 0;
		}
		value = value * 10 + (*s->p - '0');
	}
	return value;
}

static void scan_char(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		s->bad = true;
	else
		s->p++;
}

/* Reads any number of digits. Those behind the ninth are dropped. */
static int32_t scan_fraction(struct scan *s)
{
	if (s->p == s->end || *s->p != '.')
		return 0;
	s->p++;
	int32_t value = scan_digits(s, 1), digits = 1;
	for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++, digits++) {
		if (digits < 9)
			value = value * 10 + (*s->p - '0');
	}
	for (; digits < 9; digits++)
		value *= 10;
	return value;
}

static int32_t scan_zone(struct scan *s, bool *zulu)
{
	*zulu = s->p < s->end && *s->p == 'Z';
	if (*zulu) {
		s->p++;
		return 0;
	}
	bool west = s->p < s->end && *s->p == '-';
	scan_char(s, west ? '-' : '+');
	int hours = scan_digits(s, 2);
	scan_char(s, ':');
	int minutes = scan_digits(s, 2);
	s->bad |= hours > 23 || minutes > 59;
	int32_t offset = hours * 3600 + minutes * 60;
	return west ? -offset : offset;
}

bool timestamp_parse(const char *text, size_t len, struct timestamp *ret)
{
	struct scan s = {.p = text, .end = text + len};
	int year = scan_digits(&s, 4);
	scan_char(&s, '-');
	int month = scan_digits(&s, 2);
	scan_char(&s, '-');
	int day = scan_digits(&s, 2);
	scan_char(&s, 'T');
	int hour = scan_digits(&s, 2);
	scan_char(&s, ':');
	int minute = scan_digits(&s, 2);
	scan_char(&s, ':');
	int second = scan_digits(&s, 2);
	struct timestamp time = {.nsec = scan_fraction(&s)};
	time.offset = scan_zone(&s, &time.zulu);
	if (s.bad || s.p != s.end || month < 1 || month > 12 || day < 1 ||
	    day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59)
		return false;
	time.sec = days_from_date(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 +
	           second - time.offset;
	*ret = time;
	return true;
}

static size_t format_fraction(int32_t nsec, char *to)
{
	if (!nsec)
		return 0;
	int n = sprintf(to, ".%09d", (int)nsec);
	while (to[n - 1] == '0')
		n--;
	return (size_t)n;
}

void timestamp_format(const struct timestamp *time, char ret[TIMESTAMP_MAX])
{
	int64_t local = time->sec + time->offset;
	int64_t days = local / DAY_SECONDS - (local % DAY_SECONDS < 0);
	int rest = (int)(local - days * DAY_SECONDS);
	int year, month, day;
	date_from_days(days, &year, &month, &day);
	size_t n = (size_t)snprintf(ret, TIMESTAMP_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", year,
	                            month, day, rest / 3600, rest / 60 % 60, rest % 60);
	/* A clock that is set millions of years off. */
	if (n >= TIMESTAMP_MAX - 17) {
		memcpy(ret, "0001-01-01T00:00:00Z", 21);
		return;
	}
	n += format_fraction(time->nsec, ret + n);
	if (!time->offset) {
		memcpy(ret + n, "Z", 2);
		return;
	}
	int minutes = (time->offset < 0 ? -time->offset : time->offset) / 60;
	(void)snprintf(ret + n, TIMESTAMP_MAX - n, "%c%02d:%02d", time->offset < 0 ? '-' : '+',
	               minutes / 60, minutes % 60);
}

bool timestamp_equal(const struct timestamp *a, const struct timestamp *b)
{
	return a->sec == b->sec && a->nsec == b->nsec;
}
