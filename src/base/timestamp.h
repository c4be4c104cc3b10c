/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_BASE_TIMESTAMP_H
#define CST_BASE_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A point in time with the offset it was written in. Zero value of the store's JSON is
 * 0001-01-01T00:00:00Z. */
struct timestamp {
	int64_t sec; /* since 1970, UTC */
	int32_t nsec;
	int32_t offset; /* seconds east of UTC for display; 0 prints Z */
	bool zulu;      /* false with offset 0: was "+00:00", which Go prints back as Z */
};
#define TIMESTAMP_ZERO ((struct timestamp){.sec = -62135596800LL, .zulu = true})
#define TIMESTAMP_MAX  40 /* bytes of text with NUL */

struct timestamp timestamp_now(void);
bool timestamp_parse(const char *text, size_t len,
                     struct timestamp *ret); /* RFC 3339, as Go's time.UnmarshalJSON */
void timestamp_format(const struct timestamp *time, char ret[TIMESTAMP_MAX]); /* RFC3339Nano */
bool timestamp_equal(const struct timestamp *a, const struct timestamp *b); /* wherever it was */

#endif
