/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs delete, delete-layer, delete-image and delete-container. */
#include "command.h"
#include <stdio.h>
#include <string.h>

struct outcome {
	cst_error *error; /* NULL: deleted */
	cst_strings *layers;
};

static void outcome_done(struct outcome *outcome)
{
	cst_error_free(outcome->error);
	cst_strings_free(outcome->layers);
}
#define _cleanup_outcome_ __attribute__((cleanup(outcome_done)))

/* Deletes one operand. Kind 0 is anything, without safety checks. */
static void delete_one(const struct invocation *in, int kind, const char *operand,
                       struct outcome *outcome)
{
	cst_delete_options options = CST_DELETE_OPTIONS_INIT;
	struct progress progress;
	progress_start(in, &progress);
	options.kind = kind;
	options.dry_run = kind == CST_KIND_IMAGE && is_on(in, OPT_TEST);
	/* Counting the files costs time, and is useless if nobody sees the progress. */
	options.progress = progress.form == PROGRESS_NONE ? NULL : &progress.hook;
	(void)cst_store_delete(in->store, operand, &options, &outcome->layers, &outcome->error);
	progress_end(&progress);
}

/* Prints {"error":"...","deleted-layers":[...]}, each member only if it has content. */
static void print_image_outcome(const struct invocation *in, const struct outcome *outcome)
{
	putchar('{');
	if (outcome->error) {
		fputs("\"error\":", stdout);
		json_print_string(error_text(in, outcome->error));
	} else if (cst_strings_size(outcome->layers) > 0) {
		fputs("\"deleted-layers\":", stdout);
		json_print_strings(outcome->layers, "[]");
	}
	putchar('}');
}

static void print_text_outcome(const struct invocation *in, const char *operand,
                               const struct outcome *outcome)
{
	if (outcome->error) {
		show_text(stderr, operand);
		fputs(": ", stderr);
		write_message(stderr, error_text(in, outcome->error), true);
		fputc('\n', stderr);
	}
	for (size_t i = 0; i < cst_strings_size(outcome->layers); i++)
		show_keyed(stderr, operand, cst_strings_get(outcome->layers, i));
}

/* In cstorage, what was deleted is a result, so it goes to stdout. */
static void print_gnu_outcome(const struct invocation *in, const char *operand,
                              const struct outcome *outcome)
{
	if (outcome->error)
		complain_about(in, operand, outcome->error);
	for (size_t i = 0; i < cst_strings_size(outcome->layers); i++)
		show_keyed(stdout, operand, cst_strings_get(outcome->layers, i));
}

static int delete_for_text(const struct invocation *in, int kind)
{
	int code = 0;
	for (size_t i = 0; i < in->n_operands; i++) {
		_cleanup_outcome_ struct outcome outcome = {0};
		if (is_repeated_operand(in, i))
			continue;
		if (interrupted_by())
			break;
		delete_one(in, kind, in->operands[i], &outcome);
		if (outcome.error && cst_error_code(outcome.error) == CST_ECANCELED)
			break;
		if (in->personality == GO_STYLE)
			print_text_outcome(in, in->operands[i], &outcome);
		else
			print_gnu_outcome(in, in->operands[i], &outcome);
		code = outcome.error ? 1 : code;
	}
	return code;
}

struct keyed {
	const char *operand;
	struct outcome outcome;
};

static int by_operand(const void *a, const void *b)
{
	const struct keyed *left = a, *right = b;
	return strcmp(left->operand, right->operand);
}

/* Deletes in the order given (a layer after its children), and prints in byte order. */
static int delete_for_json(const struct invocation *in, int kind)
{
	struct keyed *done = calloc(in->n_operands + 1, sizeof(*done));
	size_t n = 0;
	int code = 0;
	if (!done) {
		complain(in, "out of memory");
		return 1;
	}
	for (size_t i = 0; i < in->n_operands; i++) {
		if (is_repeated_operand(in, i))
			continue;
		if (interrupted_by())
			break;
		done[n].operand = in->operands[i];
		delete_one(in, kind, in->operands[i], &done[n].outcome);
		code = done[n++].outcome.error ? 1 : code;
	}
	qsort(done, n, sizeof(*done), by_operand);
	putchar('{');
	for (size_t i = 0; i < n; i++) {
		if (i)
			putchar(',');
		json_print_string(done[i].operand);
		putchar(':');
		if (kind == CST_KIND_IMAGE)
			print_image_outcome(in, &done[i].outcome);
		else
			json_print_string(
			        done[i].outcome.error ? error_text(in, done[i].outcome.error) : "");
		outcome_done(&done[i].outcome);
	}
	fputs("}\n", stdout);
	free(done);
	return code;
}

/* If a signal comes, what was begun is finished and reported, and the rest stays. */
static int delete_all(const struct invocation *in, int kind)
{
	catch_interrupts();
	int code = is_on(in, OPT_JSON) ? delete_for_json(in, kind) : delete_for_text(in, kind);
	return interrupted_by() ? 128 + interrupted_by() : code;
}

int run_delete(struct invocation *in)
{
	return delete_all(in, 0);
}

int run_delete_layer(struct invocation *in)
{
	return delete_all(in, CST_KIND_LAYER);
}

int run_delete_container(struct invocation *in)
{
	return delete_all(in, CST_KIND_CONTAINER);
}

int run_delete_image(struct invocation *in)
{
	return delete_all(in, CST_KIND_IMAGE);
}
