/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs mount, unmount and mounted. */
#include "command.h"
#include <stdio.h>
#include <string.h>

/* The result of one operand. All work is done before the first line is printed. */
struct mount_result {
	char *path;       /* of cst_store_mount */
	cst_error *error; /* NULL: success */
	bool mounted;
};

static void results_free(struct mount_result *results, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		cst_free(results[i].path);
		cst_error_free(results[i].error);
	}
	free(results);
}

static struct mount_result *results_new(const struct invocation *in)
{
	struct mount_result *results = calloc(in->n_operands, sizeof(*results));
	if (!results)
		complain(in, "out of memory");
	return results;
}

static int any_failed(const struct mount_result *results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (results[i].error)
			return 1;
	return 0;
}

static void complain_of(const struct invocation *in, const struct mount_result *result,
                        const char *format, const char *operand)
{
	_cleanup_text_ char *what = NULL;
	if (in->personality == GNU_STYLE) {
		complain_about(in, operand, result->error);
		return;
	}
	if (asprintf(&what, format, operand) < 0)
		what = NULL;
	complain(in, "%s %s", error_text(in, result->error), what ? what : operand);
}

static void mount_one(const struct invocation *in, const char *id, struct mount_result *result)
{
	cst_mount_options options = CST_MOUNT_OPTIONS_INIT;
	options.label = text_of(in, OPT_LABEL);
	(void)(is_on(in, OPT_READ_ONLY) ? cst_store_mount_image : cst_store_mount)(
	        in->store, id, &options, &result->path, &result->error);
}

static void print_mounts_json(const struct invocation *in, const struct mount_result *results)
{
	for (size_t i = 0; i < in->n_operands; i++) {
		fputs(i ? ",{\"id\":" : "[{\"id\":", stdout);
		json_print_string(in->operands[i]);
		fputs(",\"mountpoint\":", stdout);
		json_print_string(results[i].path ? results[i].path : "");
		fputs(",\"error\":", stdout);
		json_print_string(results[i].error ? error_text(in, results[i].error) : "");
		putchar('}');
	}
	fputs("]\n", stdout);
}

int run_mount(struct invocation *in)
{
	struct mount_result *results = results_new(in);
	if (!results)
		return 1;
	for (size_t i = 0; i < in->n_operands; i++)
		mount_one(in, in->operands[i], &results[i]);
	if (is_on(in, OPT_JSON)) {
		print_mounts_json(in, results);
	} else {
		for (size_t i = 0; i < in->n_operands; i++) {
			if (results[i].error)
				complain_of(in, &results[i], "while mounting %s", in->operands[i]);
			if (results[i].path || in->personality == GO_STYLE)
				print_field("", results[i].path ? results[i].path : "");
		}
	}
	int code = any_failed(results, in->n_operands);
	results_free(results, in->n_operands);
	return code;
}

/* `mounted` has one member more than the Go tool's object. cstorage always prints it,
 * containers-storage only where it is true and asked for, so that its objects stay the Go
 * command's. */
static void print_states_json(const struct invocation *in, const struct mount_result *results,
                              bool show_mounted)
{
	for (size_t i = 0; i < in->n_operands; i++) {
		fputs(i ? ",{\"id\":" : "[{\"id\":", stdout);
		json_print_string(in->operands[i]);
		fputs(",\"error\":", stdout);
		json_print_string(results[i].error ? error_text(in, results[i].error) : "");
		if (in->personality == GNU_STYLE)
			printf(",\"mounted\":%s", results[i].mounted ? "true" : "false");
		else if (show_mounted && results[i].mounted)
			fputs(",\"mounted\":true", stdout);
		putchar('}');
	}
	fputs("]\n", stdout);
}

static void print_state(const char *id, const char *state)
{
	show_text(stdout, id);
	printf(" %s\n", state);
}

/* An operand that is neither a layer nor a container can be an image. The first error counts. */
static void unmount_one(const struct invocation *in, const char *id, struct mount_result *result)
{
	cst_error *error = NULL;
	bool force = is_on(in, OPT_FORCE);
	if (cst_store_unmount(in->store, id, force, &result->mounted, &error) == 0) {
		if (!result->mounted && !is_on(in, OPT_JSON))
			print_state(id, "mountpoint unmounted");
	} else if (cst_store_unmount_image(in->store, id, force, &result->mounted, NULL) < 0) {
		result->error = error;
	} else {
		cst_error_free(error);
	}
}

int run_unmount(struct invocation *in)
{
	struct mount_result *results = results_new(in);
	if (!results)
		return 1;
	for (size_t i = 0; i < in->n_operands; i++)
		unmount_one(in, in->operands[i], &results[i]);
	if (is_on(in, OPT_JSON)) {
		print_states_json(in, results, false);
	} else {
		for (size_t i = 0; i < in->n_operands; i++)
			if (results[i].error)
				complain_of(in, &results[i], "while unmounting %s",
				            in->operands[i]);
	}
	int code = any_failed(results, in->n_operands);
	results_free(results, in->n_operands);
	return code;
}

static void ask_one(const struct invocation *in, const char *id, struct mount_result *result)
{
	int count = 0;
	if (cst_store_mounted(in->store, id, &count, &result->error) < 0)
		return;
	result->mounted = count > 0;
	if (result->mounted && !is_on(in, OPT_JSON))
		print_state(id, "mounted");
}

int run_mounted(struct invocation *in)
{
	struct mount_result *results = results_new(in);
	if (!results)
		return 1;
	for (size_t i = 0; i < in->n_operands; i++)
		ask_one(in, in->operands[i], &results[i]);
	if (is_on(in, OPT_JSON)) {
		print_states_json(in, results, true);
	} else {
		for (size_t i = 0; i < in->n_operands; i++)
			if (results[i].error)
				complain_of(in, &results[i], "checking if %s is mounted",
				            in->operands[i]);
	}
	int code = any_failed(results, in->n_operands);
	results_free(results, in->n_operands);
	return code;
}
