/* SPDX-License-Identifier: Apache-2.0 */
/* How old something is. */
#ifndef CST_STORE_CHECK_AGE_H
#define CST_STORE_CHECK_AGE_H

#include "base/timestamp.h"
#include <stdint.h>
#include <time.h>

/* `nanoseconds` may be negative: then what is made soon is old, too. What has no time of creation always is. */
static inline bool age_exceeds(const struct timestamp *created, const struct timespec *now, int64_t nanoseconds)
{
	const struct timestamp never = TIMESTAMP_ZERO;
	int64_t seconds = now->tv_sec - created->sec, limit = nanoseconds / 1000000000;
	return timestamp_equal(created, &never) || seconds > limit ||
	       (seconds == limit && now->tv_nsec - created->nsec > nanoseconds % 1000000000);
}

#endif
