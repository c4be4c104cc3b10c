/* SPDX-License-Identifier: Apache-2.0 */
/* dedup: equal files of the images share their blocks. */
#include "command.h"
#include <inttypes.h>
#include <string.h>

/* 0: there is no such method. */
static int method_of(const char *name)
{
	static const struct {
		const char *name;
		enum cst_dedup_method method;
	} methods[] = {
	        {"crc", CST_DEDUP_CRC}, {"size", CST_DEDUP_SIZE}, {"sha256", CST_DEDUP_SHA256}};
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(name, methods[i].name) == 0)
			return methods[i].method;
	return 0;
}

/* Where blocks cannot be shared nothing is, and for that command this is no failure. A file that cannot be read is one. */
static int go_told(const struct invocation *in, int code, const cst_dedup_result *result,
                   const cst_error *error)
{
	bool json = is_on(in, OPT_JSON), failed = code < 0 && code != CST_ENOTSUP;
	if (interrupted_by())
		return fail(in, error);
	if (json && (failed || result->left))
		puts("{}");
	else if (failed)
		complain(in, "%s: %s", in->word, cst_error_go_message(error));
	else if (result->left)
		complain(in, "%s: %" PRIu64 " files could not be read or shared", in->word,
		         result->left);
	else
		printf(json ? "{\"Deduped\":%" PRIu64 "}\n" : "Deduplicated %" PRIu64 " bytes\n",
		       result->equal);
	return failed || result->left;
}

static int told(const struct invocation *in, const cst_dedup_result *result)
{
	char equal[SIZE_TEXT_MAX], freed[SIZE_TEXT_MAX];
	if (is_on(in, OPT_JSON))
		printf("{\"files\":%" PRIu64 ",\"equal\":%" PRIu64 ",\"freed\":%" PRIu64
		       ",\"hashed\":%" PRIu64 ",\"left\":%" PRIu64 "}\n",
		       result->files, result->equal, result->freed, result->hashed, result->left);
	else
		printf("Equal to another file: %s\n%s: %s\n",
		       size_text(equal, (double)result->equal),
		       is_on(in, OPT_TEST) ? "To be freed" : "Freed",
		       size_text(freed, (double)result->freed));
	if (result->left)
		complain(in, "%" PRIu64 " files could not be read or shared; --debug tells which",
		         result->left);
	return result->left > 0;
}

int run_dedup(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_dedup_options options = CST_DEDUP_OPTIONS_INIT;
	cst_dedup_result result = CST_DEDUP_RESULT_INIT;
	struct progress progress;
	options.method = method_of(text_of(in, OPT_HASH_METHOD));
	options.dry_run = is_on(in, OPT_TEST);
	if (!options.method) {
		complain(in, "invalid hash method: %s", text_of(in, OPT_HASH_METHOD));
		return 1;
	}
	progress_start(in, &progress);
	options.progress = &progress.hook;
	int code = cst_store_dedup(in->store, &options, &result, &error);
	progress_end(&progress);
	if (in->personality == GO_STYLE)
		return go_told(in, code, &result, error);
	return code < 0 ? fail(in, error) : told(in, &result);
}
