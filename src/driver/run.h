/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program of another package, takes what it says, and gives it up if it does not end in time. */
#ifndef CST_DRIVER_RUN_H
#define CST_DRIVER_RUN_H

#include "base/error.h"
#include "base/str.h"

struct run {
	struct strbuf out; /* what it printed; at most RUN_OUT_MAX bytes of it */
	struct strbuf said; /* the beginning of its messages, in printable characters, without the last line end */
	int status; /* its exit status; -1: a signal ended it */
};
#define RUN_OUT_MAX (64U << 20)

/* Looks for args[0] in PATH, and starts it without input, in the locale C. 0: it ended, whatever its status. CST_ETIMEOUT: it ran
 * longer than `limit_ms` and was killed. The caller frees *ret with run_free(), also after a failure. */
int run(char *const *args, int limit_ms, struct run *ret, cst_error **error);
void run_free(struct run *run);
#define _cleanup_run_ _cleanup_(run_free)

/* Is there a program of this name in PATH? */
bool run_finds(const char *name);

#endif
