/* SPDX-License-Identifier: Apache-2.0 */
/* gc and prune: remove what no record knows, and what nobody uses. */
#include "check.h"
#include <inttypes.h>

static void print_json(const cst_garbage *garbage)
{
	putchar('[');
	for (size_t i = 0; i < cst_garbage_size(garbage); i++) {
		printf("%s{\"kind\":\"%s\",\"id\":", i ? "," : "",
		       kind_name(cst_garbage_kind(garbage, i)));
		json_print_string(cst_garbage_id(garbage, i));
		printf(",\"bytes\":%" PRIu64 "}", cst_garbage_bytes(garbage, i));
	}
	puts("]");
}

static void print_text(const struct invocation *in, const cst_garbage *garbage)
{
	char size[SIZE_TEXT_MAX];
	uint64_t sum = 0;
	for (size_t i = 0; i < cst_garbage_size(garbage); i++) {
		printf("%s ", kind_name(cst_garbage_kind(garbage, i)));
		show_text(stdout, cst_garbage_id(garbage, i));
		printf(": %s\n", size_text(size, (double)cst_garbage_bytes(garbage, i)));
		sum += cst_garbage_bytes(garbage, i);
	}
	printf("%s: %s\n", is_on(in, OPT_TEST) ? "To be removed" : "Removed",
	       size_text(size, (double)sum));
}

int run_gc(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_gc_options options = CST_GC_OPTIONS_INIT;
	cst_garbage *garbage = NULL;
	options.dry_run = is_on(in, OPT_TEST);
	int code = cst_store_gc(in->store, &options, &garbage, &error) < 0 ? fail(in, error) : 0;
	if (code == 0 && in->personality == GNU_STYLE)
		is_on(in, OPT_JSON) ? print_json(garbage) : print_text(in, garbage);
	else if (code == 0 && is_on(in, OPT_JSON))
		puts("\"\"");
	cst_garbage_free(garbage);
	if (in->personality == GO_STYLE)
		go_shut_down(in);
	return code;
}

int run_prune(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_prune_options options = CST_PRUNE_OPTIONS_INIT;
	struct progress progress;
	cst_garbage *garbage = NULL;
	if (parse_duration(in, text_of(in, OPT_OLDER_THAN), &options.older_than))
		return 1;
	options.images = is_on(in, OPT_IMAGES);
	options.containers = is_on(in, OPT_CONTAINERS);
	options.layers = is_on(in, OPT_LAYERS) || (!options.images && !options.containers);
	options.dry_run = is_on(in, OPT_TEST);
	progress_start(in, &progress);
	options.progress = progress.form == PROGRESS_NONE ? NULL : &progress.hook;
	int result = cst_store_prune(in->store, &options, &garbage, &error);
	progress_end(&progress);
	if (result < 0)
		return fail(in, error);
	is_on(in, OPT_JSON) ? print_json(garbage) : print_text(in, garbage);
	cst_garbage_free(garbage);
	return 0;
}
