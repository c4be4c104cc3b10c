/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target is: one function that takes any bytes and neither crashes, hangs nor breaks a
 * promise it checks. */
#ifndef CST_TESTS_FUZZ_H
#define CST_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise: broken is as bad as a crash. */
#define MUST(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#endif
