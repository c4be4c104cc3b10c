/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program of another package, takes what it says, and gives it up if it does not end in time. */
#ifndef CST_DRIVER_RUN_H
#define CST_DRIVER_RUN_H

#include "base/error.h"
#include "base/str.h"

struct run_options {
	int limit_ms;
	const char *dir; /* where it starts. NULL: where this process is */
	const char *set; /* "NAME=value", in its environment. NULL: none */
	size_t said_max; /* bytes of its messages that are kept */
	bool silent;     /* what it prints is thrown away */
};

struct run {
	struct strbuf out; /* what it printed; at most RUN_OUT_MAX bytes of it */
	struct strbuf said; /* the beginning of its messages, in printable characters */
	bool started;
	int status; /* its exit status, or one of these */
};
#define RUN_OUT_MAX        (64U << 20)
#define RUN_STATUS_SIGNAL  (-1) /* a signal ended it */
#define RUN_STATUS_UNKNOWN (-2) /* the caller's program ignores SIGCHLD */

/* Looks for args[0] in PATH if it has no slash, and starts it without input, in a process group of its own. Processes that it leaves
 * behind are not waited for. 0: it ended, whatever its status. CST_ETIMEOUT: it ran longer than the limit, and its group was killed.
 * CST_ESYS: it could not be started. The caller frees *ret with run_free(), also after a failure. */
int run(char *const *args, const struct run_options *options, struct run *ret, cst_error **error);
void run_trim(struct run *run); /* takes the last line ends from its messages */
void run_free(struct run *run);
#define _cleanup_run_ _cleanup_(run_free)

/* Is there a program of this name in PATH? */
bool run_finds(const char *name);

#endif
