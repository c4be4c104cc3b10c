/* SPDX-License-Identifier: Apache-2.0 */
/* The verb unshare: runs a program in the user namespace of the store. */
#include "command.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* The program takes the place of this process, so that its exit status is ours. */
int run_unshare(struct invocation *in)
{
	const char *shell = getenv("SHELL");
	const char *fallback[] = {shell && shell[0] ? shell : "/bin/sh", NULL};
	const char *const *words = in->n_operands > 0 ? in->operands : fallback;
	size_t n = in->n_operands > 0 ? in->n_operands : 1;
	/* The run root says whether the user was warned already. The store is not opened: whoever
	 * opens it reports what is wrong with its options. */
	if (in->personality == GNU_STYLE) {
		set_log_level(CST_LOG_ERROR);
		(void)prepare_store_options(in, NULL, NULL);
	}
	int code = enter_user_namespace(in);
	if (code)
		return code;
	const char **args = calloc(n + 1, sizeof(*args));
	if (!args)
		return 1;
	memcpy(args, words, n * sizeof(*args));
	cst_store_close(in->store);
	in->store = NULL;
	fflush(stdout);
	char path[PATH_MAX];
	bool found = strchr(args[0], '/') || find_program(args[0], path, sizeof(path));
	if (!found) {
		complain(in, "exec: \"%s\": executable file not found in $PATH", args[0]);
		free(args);
		return EXIT_NOT_FOUND;
	}
	execv(strchr(args[0], '/') ? args[0] : path, (char *const *)args);
	int errnum = errno;
	complain(in, "fork/exec %s: %s", args[0], errno_words(errnum));
	free(args);
	return errnum == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
