/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/timestamp.h"
#include <string.h>
#include <time.h>

static void assert_time(const char *text, const char *want, int64_t sec, int32_t nsec)
{
	struct timestamp time;
	char out[TIMESTAMP_MAX];
	if (!timestamp_parse(text, strlen(text), &time))
		fail_msg("%s is refused", text);
	assert_true(time.sec == sec);
	assert_int_equal(time.nsec, nsec);
	timestamp_format(&time, out);
	assert_string_equal(out, want);
}

static void test_good(void **state)
{
	assert_time("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0, 0);
	assert_time("2020-01-02T03:04:05+02:00", "2020-01-02T03:04:05+02:00", 1577927045, 0);
	assert_time("2020-01-02T03:04:05-09:30", "2020-01-02T03:04:05-09:30", 1577968445, 0);
	assert_time("2026-11-20T20:49:15.617978834Z", "2026-11-20T20:49:15.617978834Z", 1795207755,
	            617978834);
	assert_time("2026-11-20T20:49:15.600Z", "2026-11-20T20:49:15.6Z", 1795207755, 600000000);
	assert_time("2026-11-20T20:49:15.000Z", "2026-11-20T20:49:15Z", 1795207755, 0);
	assert_time("2026-11-20T20:49:15.1234567899Z", "2026-11-20T20:49:15.123456789Z", 1795207755,
	            123456789);
	assert_time("2020-02-29T00:00:00+00:00", "2020-02-29T00:00:00Z", 1582934400, 0);
	assert_time("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", -62135596800LL, 0);
	assert_time("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", -62167219200LL, 0);
	assert_time("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z",
	            253402300799LL, 999999999);
	assert_time("0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00+23:59",
	            -62167219200LL - 86340, 0);
	assert_time("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z", -1, 0);
	assert_time("2000-02-29T12:00:00Z", "2000-02-29T12:00:00Z", 951825600, 0);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"",
	                                  "2020",
	                                  "2020-01-01",
	                                  "2020-01-01T00:00:00",
	                                  "2020-01-01t00:00:00Z",
	                                  "2020-01-01T00:00:00z",
	                                  "2020-01-01 00:00:00Z",
	                                  "2020-1-01T00:00:00Z",
	                                  "2020-13-01T00:00:00Z",
	                                  "2020-00-01T00:00:00Z",
	                                  "2020-01-00T00:00:00Z",
	                                  "2020-02-30T00:00:00Z",
	                                  "2021-02-29T00:00:00Z",
	                                  "1900-02-29T00:00:00Z",
	                                  "2020-04-31T00:00:00Z",
	                                  "2020-01-01T24:00:00Z",
	                                  "2020-01-01T00:60:00Z",
	                                  "2020-01-01T00:00:60Z",
	                                  "2020-01-01T00:00:00.Z",
	                                  "2020-01-01T00:00:00,5Z",
	                                  "2020-01-01T00:00:00+24:00",
	                                  "2020-01-01T00:00:00+00:60",
	                                  "2020-01-01T00:00:00+0000",
	                                  "2020-01-01T00:00:00Zx",
	                                  "2020-01-01T00:00:00+01:00x",
	                                  "-020-01-01T00:00:00Z",
	                                  "2020-01-01T00:00:00.5",
	                                  "20200-01-01T00:00:00Z"};
	struct timestamp time = {.sec = 42};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (timestamp_parse(bad[i], strlen(bad[i]), &time))
			fail_msg("%s is accepted", bad[i]);
	}
	assert_int_equal(time.sec, 42);
	static const char good[] = "2020-01-01T00:00:00.5+01:00";
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_false(timestamp_parse(good, n, &time));
	assert_true(timestamp_parse(good, sizeof(good) - 1, &time));
}

/* Every day of 800 years against libc's calendar. */
static void test_calendar(void **state)
{
	for (int64_t day = -146097; day <= 146097; day++) {
		char want[TIMESTAMP_MAX], got[TIMESTAMP_MAX];
		struct timestamp time = {.sec = day * 86400 + 3661, .zulu = true}, back;
		struct tm tm;
		time_t sec = (time_t)time.sec;
		assert_non_null(gmtime_r(&sec, &tm));
		assert_true(strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
		timestamp_format(&time, got);
		assert_string_equal(got, want);
		assert_true(timestamp_parse(got, strlen(got), &back));
		assert_true(back.sec == time.sec);
	}
}

static void test_zero_and_now(void **state)
{
	struct timestamp zero = TIMESTAMP_ZERO, now = timestamp_now();
	char text[TIMESTAMP_MAX];
	timestamp_format(&zero, text);
	assert_string_equal(text, "0001-01-01T00:00:00Z");
	timestamp_format(&now, text);
	assert_int_equal(text[strlen(text) - 1], 'Z');
	assert_true(now.nsec >= 0 && now.nsec < 1000000000);
	/* no clock setting overruns the text */
	struct timestamp far[] = {{.sec = INT64_MAX / 2}, {.sec = INT64_MIN / 2, .nsec = 1}};
	for (int i = 0; i < 2; i++) {
		timestamp_format(&far[i], text);
		assert_true(strlen(text) < TIMESTAMP_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_good),
	        cmocka_unit_test(test_bad),
	        cmocka_unit_test(test_calendar),
	        cmocka_unit_test(test_zero_and_now),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
