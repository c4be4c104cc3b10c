/* SPDX-License-Identifier: Apache-2.0 */
/* The verb applydiff-using-staging-dir: a copy of a directory becomes a layer, or the content of one that exists. */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool has_pull_option(const struct invocation *in, const char *option)
{
	const cst_store_options *options = &in->store_options;
	for (size_t i = 0; i < options->n_pull_options; i++)
		if (strcasecmp(options->pull_options[i], option) == 0)
			return true;
	return false;
}

/* The Go command does it as a partial pull, which the configuration must allow, and the driver be made for. */
static int check_as_go(const struct invocation *in)
{
	const char *driver = cst_store_driver(in->store);
	if (in->personality != GO_STYLE)
		return 0;
	if (!has_pull_option(in, "enable_partial_images=true")) {
		complain(in, "partial images are disabled");
		return 1;
	}
	if (strncmp(driver, "overlay", strlen("overlay")) == 0)
		return 0;
	complain(in, "graph driver %s does not support partial pull%s", driver,
	         has_pull_option(in, "convert_images=true") ? " but convert_images requires that"
	                                                    : "");
	return 1;
}

/* *fd is -1 for a directory that is not there, of which the Go command makes an empty layer. */
static int open_directory(const struct invocation *in, const char *path, int *fd)
{
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0 || (errno == ENOENT && in->personality == GO_STYLE))
		return 0;
	return fail_errno(in, errno, "open", path);
}

/* A layer of an additional store is hidden by the new one. */
static int stage(cst_store *store, const char *id, cst_staged_layer **staged, bool *is_new,
                 cst_error **error)
{
	cst_stage_options options = CST_STAGE_OPTIONS_INIT;
	cst_layer *layer = NULL;
	*is_new = !id[0] || cst_store_layer(store, id, &layer, NULL) < 0 ||
	          cst_layer_read_only(layer);
	if (!*is_new)
		options.layer = id;
	int result = cst_store_stage_layer(store, &options, staged, error);
	cst_layer_free(layer);
	return result;
}

static int commit(const struct invocation *in, cst_staged_layer *staged, const char *id,
                  cst_error **error)
{
	cst_staged_commit_options options = CST_STAGED_COMMIT_OPTIONS_INIT;
	cst_layer *layer = NULL;
	options.id = id;
	int result = cst_staged_layer_commit(staged, &options, &layer, error);
	if (result == 0 && is_on(in, OPT_JSON)) {
		result = json_print_layer(in, layer);
		putchar('\n');
	}
	cst_layer_free(layer);
	return result;
}

int run_apply_directory(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	const char *id = in->operands[0];
	cst_staged_apply_options options = CST_STAGED_APPLY_OPTIONS_INIT;
	cst_staged_layer *staged = NULL;
	struct progress progress;
	bool is_new;
	int fd = -1, code = check_as_go(in);
	code = code ? code : open_directory(in, in->operands[1], &fd);
	if (code)
		return code;
	progress_start(in, &progress);
	int result = stage(in->store, id, &staged, &is_new, &error);
	options.progress = &progress.hook;
	options.with_toc = in->personality == GO_STYLE;
	if (result == 0)
		result = cst_staged_layer_apply_directory(staged, fd, &options, &error);
	if (result == 0)
		result = commit(in, staged, is_new ? id : NULL, &error);
	progress_end(&progress);
	cst_staged_layer_free(staged);
	if (fd >= 0)
		close(fd);
	return result < 0 ? fail(in, error) : result;
}
