/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time in the records of the store. */
#ifndef CST_BASE_TIMESTAMP_H
#define CST_BASE_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A point in time, and the offset from UTC that it was written with. The zero value in the store's
 * JSON is 0001-01-01T00:00:00Z. */
struct timestamp {
	int64_t sec; /* since 1970, UTC */
	int32_t nsec;
	int32_t offset; /* seconds east of UTC for display; 0 prints Z */
	bool zulu;      /* false with offset 0: was "+00:00", which Go prints back as Z */
};
#define TIMESTAMP_ZERO ((struct timestamp){.sec = -62135596800LL, .zulu = true})
#define TIMESTAMP_MAX  40 /* bytes of text with NUL */

struct timestamp timestamp_now(void);
/* RFC 3339, as Go's time.UnmarshalJSON takes it. */
bool timestamp_parse(const char *text, size_t len, struct timestamp *ret);
void timestamp_format(const struct timestamp *time, char ret[TIMESTAMP_MAX]); /* RFC3339Nano */
/* The same point in time; the offsets may differ. */
bool timestamp_equal(const struct timestamp *a, const struct timestamp *b);

#endif
