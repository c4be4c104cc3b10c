/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs about the store as a whole: config, status, version, shutdown, wipe. */
#include "command.h"
#include "config.h"
#include <stdio.h>
#include <string.h>

/* In containers-storage text goes to stderr, as in the Go tool. */
static void print_pairs(const struct invocation *in, const cst_pairs *pairs)
{
	if (is_on(in, OPT_JSON)) {
		json_print_pairs(pairs);
		putchar('\n');
		return;
	}
	FILE *to = in->personality == GO_STYLE ? stderr : stdout;
	for (size_t i = 0; i < cst_pairs_size(pairs); i++)
		show_keyed(to, cst_pairs_key(pairs, i), cst_pairs_value(pairs, i));
}

int run_status(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_pairs_ cst_pairs *pairs = NULL;
	if (cst_store_status(in->store, &pairs, &error) < 0) {
		complain(in, "status: %s", error_text(in, error));
		return 1;
	}
	print_pairs(in, pairs);
	return 0;
}

int run_version(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_pairs_ cst_pairs *pairs = NULL;
	if (in->personality == GNU_STYLE) {
		printf(is_on(in, OPT_JSON) ? "[[\"Version\",\"%s\"]]\n" : "cstorage %s\n",
		       CST_VERSION);
		return 0;
	}
	if (cst_store_version(in->store, &pairs, &error) < 0) {
		complain(in, "version: %s", error_text(in, error));
		return 1;
	}
	print_pairs(in, pairs);
	return 0;
}

/* If a file is named, no other configuration file is looked for. */
int run_config(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	const char *file = in->n_operands > 0 ? in->operands[0] : NULL;
	cst_config *config = NULL;
	char *json = NULL;
	if (load_config(in, file, &config, &error) < 0)
		return fail(in, error);
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	int result = cst_config_options(config, &options, &error);
	if (result == 0)
		result = cst_store_options_json(&options, &json, &error);
	cst_config_free(config);
	if (result < 0)
		return fail(in, error);
	json_print_raw(json, strlen(json));
	putchar('\n');
	cst_free(json);
	return 0;
}

/* The end of a verb that reports only its failure. With --json it prints a string, which is empty
 * after success. */
static int report(const struct invocation *in, int result, const cst_error *error)
{
	if (result < 0 && interrupted_by())
		return 128 + interrupted_by();
	if (is_on(in, OPT_JSON)) {
		json_print_string(result < 0 ? error_text(in, error) : "");
		putchar('\n');
	} else if (result < 0) {
		complain(in, "%s: %s", in->word, error_text(in, error));
		hint(in, error);
	}
	return result < 0 ? 1 : 0;
}

int run_shutdown(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	int result = cst_store_shutdown(in->store, is_on(in, OPT_FORCE), NULL, &error);
	return report(in, result, error);
}

int run_wipe(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	struct progress progress;
	progress_start(in, &progress);
	const cst_progress *shown = progress.form == PROGRESS_NONE ? NULL : &progress.hook;
	int result = cst_store_wipe(in->store, shown, &error);
	progress_end(&progress);
	int code = report(in, result, error);
	return interrupted_by() ? 128 + interrupted_by() : code;
}
