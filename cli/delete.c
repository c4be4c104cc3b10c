/* SPDX-License-Identifier: Apache-2.0 */
/* delete, delete-layer, delete-image, delete-container. */
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

typedef void (*delete_function)(const struct invocation *in, const char *operand,
                                struct outcome *outcome);

static void delete_any(const struct invocation *in, const char *operand, struct outcome *outcome)
{
	(void)cst_store_delete(in->store, operand, &outcome->error);
}

static void delete_layer(const struct invocation *in, const char *operand, struct outcome *outcome)
{
	(void)cst_layer_delete(in->store, operand, &outcome->error);
}

static void delete_container(const struct invocation *in, const char *operand,
                             struct outcome *outcome)
{
	(void)cst_container_delete(in->store, operand, &outcome->error);
}

static void delete_image(const struct invocation *in, const char *operand, struct outcome *outcome)
{
	(void)cst_image_delete(in->store, operand, !is_on(in, OPT_TEST), &outcome->layers,
	                       &outcome->error);
}

/* {"error":"...","deleted-layers":[...]}, each only if there is something to say. */
static void print_image_outcome(const struct outcome *outcome)
{
	putchar('{');
	if (outcome->error) {
		fputs("\"error\":", stdout);
		json_print_string(cst_error_message(outcome->error));
	} else if (cst_strings_size(outcome->layers) > 0) {
		fputs("\"deleted-layers\":", stdout);
		json_print_strings(outcome->layers, "[]");
	}
	putchar('}');
}

static void print_text_outcome(const char *operand, const struct outcome *outcome)
{
	if (outcome->error)
		fprintf(stderr, "%s: %s\n", operand, cst_error_message(outcome->error));
	for (size_t i = 0; i < cst_strings_size(outcome->layers); i++)
		fprintf(stderr, "%s: %s\n", operand, cst_strings_get(outcome->layers, i));
}

/* In cstorage, what was deleted is a result and goes to stdout. */
static void print_gnu_outcome(const struct invocation *in, const char *operand,
                              const struct outcome *outcome)
{
	if (outcome->error) {
		complain(in, "%s: %s", operand, cst_error_message(outcome->error));
		hint(in, outcome->error);
	}
	for (size_t i = 0; i < cst_strings_size(outcome->layers); i++)
		printf("%s: %s\n", operand, cst_strings_get(outcome->layers, i));
}

static int delete_for_text(const struct invocation *in, delete_function delete_one)
{
	int code = 0;
	for (size_t i = 0; i < in->n_operands; i++) {
		_cleanup_outcome_ struct outcome outcome = {0};
		if (is_repeated_operand(in, i))
			continue;
		delete_one(in, in->operands[i], &outcome);
		if (in->personality == GO_STYLE)
			print_text_outcome(in->operands[i], &outcome);
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

/* Things are deleted in the order given (a layer after its children), and shown in byte order. */
static int delete_for_json(const struct invocation *in, delete_function delete_one, bool images)
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
		done[n].operand = in->operands[i];
		delete_one(in, in->operands[i], &done[n].outcome);
		code = done[n++].outcome.error ? 1 : code;
	}
	qsort(done, n, sizeof(*done), by_operand);
	putchar('{');
	for (size_t i = 0; i < n; i++) {
		if (i)
			putchar(',');
		json_print_string(done[i].operand);
		putchar(':');
		if (images)
			print_image_outcome(&done[i].outcome);
		else
			json_print_string(done[i].outcome.error
			                          ? cst_error_message(done[i].outcome.error)
			                          : "");
		outcome_done(&done[i].outcome);
	}
	fputs("}\n", stdout);
	free(done);
	return code;
}

static int delete_all(const struct invocation *in, delete_function delete_one, bool images)
{
	return is_on(in, OPT_JSON) ? delete_for_json(in, delete_one, images)
	                           : delete_for_text(in, delete_one);
}

int run_delete(struct invocation *in)
{
	return delete_all(in, delete_any, false);
}

int run_delete_layer(struct invocation *in)
{
	return delete_all(in, delete_layer, false);
}

int run_delete_container(struct invocation *in)
{
	return delete_all(in, delete_container, false);
}

int run_delete_image(struct invocation *in)
{
	return delete_all(in, delete_image, true);
}
